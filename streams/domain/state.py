"""The journey, all state of one customer, in named tuples small enough to keep millions of.

Stored as arrays in field order (`streams.state.tables`): append fields with a default, never reorder or remove.
"""

from typing import NamedTuple

from streams.domain.nps import Band
from streams.domain.segments import Dimensions


class Pending(NamedTuple):
    """A survey that is scheduled and not yet sent.

    `source` to `correlation` are those of its trigger, `values` the trigger's attributes that the dispatch repeats.
    `lifetime_ms` runs from sending to expiry, `probability` is the rule's sample.  `history` is true when the trigger
    was loaded as history, so that it is never too late to send.
    """

    due_ms: int
    survey_id: str
    rule: str
    survey: str
    source: str
    id: str
    type: str
    time_ms: int
    correlation: str
    segments: tuple[str, ...]
    dimensions: Dimensions
    lifetime_ms: int
    values: tuple[tuple[str, str], ...] = ()
    probability: float = 1.0
    history: bool = False


AnswerPart = tuple[int, int, int]
"""Part of an answer: its time, the fingerprint of its source and id, and its score (see `streams.domain.parts`)."""


class Given(NamedTuple):
    """The answer to a survey so far; the same whatever the order of arrival.

    `parts` is all that was said, in order of time, and `others` are (time, fingerprint, text) of the comments that do
    not hold.  What holds of it: `scores`, the first part and the last one with a score that counts; the comment with
    the highest stamp (time, fingerprint); `voided_ms`, the last withdrawal.  `counted` is the instant and band that the
    panes hold now, `severity` that of the open alert.
    """

    revision: int = 0
    scores: tuple[tuple[int, int, int], ...] = ()
    comment: str | None = None
    comment_stamp: tuple[int, int] = (-1, 0)
    voided_ms: int = -1
    counted: tuple[int, Band] | None = None
    severity: str = ""
    parts: tuple[AnswerPart, ...] = ()
    others: tuple[tuple[int, int, str], ...] = ()


class Click(NamedTuple):
    """A provisional answer: a score link was opened, by a person or by a machine."""

    time_ms: int
    score: int


class Clicks(NamedTuple):
    """The clicks on a survey's links and what tells machines from persons; each in order of time.

    `traps` are the times at which a machine gave itself away, `heads` those of HEAD requests.  `persons` are the clicks
    whose page was looked at, and the times and scores, -1 for none, of all that was answered otherwise; an answer of a
    click's very time and score is a look at its page.
    """

    seen: tuple[Click, ...] = ()
    traps: tuple[int, ...] = ()
    heads: tuple[int, ...] = ()
    persons: tuple[Click, ...] = ()


class Invitation(NamedTuple):
    """A survey that was sent.

    `channel` is empty where the delivery tool chose it.  An answer first given at `cancelled_ms` or later is kept and
    not counted; -1 for never.  `reminded` are (channel, sent_ms) of its reminders, `trigger_ms` is its trigger's time.
    """

    survey_id: str
    rule: str
    survey: str
    correlation: str
    segments: tuple[str, ...]
    dimensions: Dimensions
    sent_ms: int
    expires_ms: int
    given: Given | None = None
    clicks: Clicks | None = None
    channel: str = ""
    cancelled_ms: int = -1
    reminded: tuple[tuple[str, int], ...] = ()
    trigger_ms: int = -1

    @property
    def is_answered(self) -> bool:
        """True when there is a score that was not withdrawn, or a comment."""
        return self.given is not None and (bool(self.given.scores) or self.given.comment is not None)


class Message(NamedTuple):
    """A message of a survey: the first, `number` 0, or a reminder, from 1.  The other fields are as in `Pending`."""

    due_ms: int
    number: int
    survey_id: str
    source: str
    id: str
    values: tuple[tuple[str, str], ...] = ()
    probability: float = 1.0
    history: bool = False


class Parked(NamedTuple):
    """A response that came before its survey, with the record it came in; given up at `until_ms`."""

    survey_id: str
    until_ms: int
    raw: bytes


class Cancel(NamedTuple):
    """An event that cancels surveys about the same order or case, also those whose trigger comes later."""

    type: str
    correlation: str
    id: str
    time_ms: int


class Waiting(NamedTuple):
    """A click that becomes an answer at `due_ms` unless a machine gives itself away before."""

    due_ms: int
    survey_id: str
    click: Click


Statement = tuple[int, str]
"""Time and text of a customer's newest statement on one matter; (-1, "") when there is none."""

NO_STATEMENT: Statement = (-1, "")


class Contact(NamedTuple):
    """The customer's statements about being contacted; of each matter the newest, by event time.

    `consents` are ("purpose/channel", time, granted), `bounces` are (channel, time, bounced).  After an erasure at
    `erased_ms`, -1 for never, an older event changes nothing, and the customer is asked only with consent given since.
    """

    time_zone: Statement = NO_STATEMENT
    locale: Statement = NO_STATEMENT
    preferred: Statement = NO_STATEMENT
    consents: tuple[tuple[str, int, bool], ...] = ()
    bounces: tuple[tuple[str, int, bool], ...] = ()
    erased_ms: int = -1


NO_CONTACT = Contact()


class Journey(NamedTuple):
    """The state of one customer.  `clock_ms` is the customer's own time: the highest `now_ms` stepped to.

    `seen` are (fingerprint, time) of known triggers, `asked` are (survey, sent_ms) for the quarantines.  `contact` is
    None until a contact update says more than whether the customer may be asked, which `opted_out` holds as of
    `opted_ms`.  `reminders` are the next ones of surveys not answered yet.
    """

    clock_ms: int = 0
    opted_out: bool = False
    opted_ms: int = -1
    pending: tuple[Pending, ...] = ()
    invitations: tuple[Invitation, ...] = ()
    parked: tuple[Parked, ...] = ()
    seen: tuple[tuple[int, int], ...] = ()
    asked: tuple[tuple[str, int], ...] = ()
    cancels: tuple[Cancel, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    contact: Contact | None = None
    reminders: tuple[Message, ...] = ()


NEW = Journey()
