"""A journey: all we know of one customer, as values small enough to keep millions of.

Stored as arrays in field order (`streams.state.tables`): append fields with a default, never reorder or remove.
"""

from typing import NamedTuple

from streams.domain.nps import Band
from streams.domain.segments import Dimensions


class Pending(NamedTuple):
    """A survey that is scheduled and not yet sent.

    `values` are what the dispatch may say of the trigger; `history` is true when the trigger was loaded as such, so
    that it is never too late to send.
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


class Given(NamedTuple):
    """What a customer answered so far; whatever the order of arrival, the same.

    `scores` are (time, fingerprint, score) in order of time, of those not withdrawn since and within the edit window of
    the first; the last one holds.  The comment with the highest stamp (time, fingerprint) holds.  `counted` is the
    instant and band that the panes hold now, `severity` that of the alert that is open.
    """

    revision: int = 0
    scores: tuple[tuple[int, int, int], ...] = ()
    comment: str | None = None
    comment_stamp: tuple[int, int] = (-1, 0)
    voided_ms: int = -1
    counted: tuple[int, Band] | None = None
    severity: str = ""


class Click(NamedTuple):
    """A provisional answer: a score link was opened, by a person or by a machine."""

    time_ms: int
    score: int


class Clicks(NamedTuple):
    """Who opened the links of a survey: its clicks in order of time, and when a machine gave itself away."""

    seen: tuple[Click, ...] = ()
    traps: tuple[int, ...] = ()


class Invitation(NamedTuple):
    """A survey that was sent.

    `channel` is empty where the delivery tool chose it.  What is first answered from `cancelled_ms` on is kept and not
    counted; -1 for never.  `reminded` are channel and time of its reminders, `trigger_ms` is when its cause happened.
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
        """True when the customer said anything that was not withdrawn."""
        return self.given is not None and (bool(self.given.scores) or self.given.comment is not None)


class Message(NamedTuple):
    """A message of a survey: the first, `number` 0, or a reminder.  The rest is as `Pending` has it."""

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
    """A click that is confirmed at `due_ms` unless a machine gives itself away before."""

    due_ms: int
    survey_id: str
    click: Click


Said = tuple[int, str]
"""When something was said, and what; -1 and nothing when it never was."""

UNSAID: Said = (-1, "")


class Contact(NamedTuple):
    """What a customer told us about being contacted; for each matter the newest statement, in event time.

    `consents` are "purpose/channel", when, and whether it was granted; `bounces` are channel, when, and whether it
    bounced.  After `erased_ms` an older event changes nothing, and nobody is asked without consent given since.
    """

    time_zone: Said = UNSAID
    locale: Said = UNSAID
    preferred: Said = UNSAID
    consents: tuple[tuple[str, int, bool], ...] = ()
    bounces: tuple[tuple[str, int, bool], ...] = ()
    erased_ms: int = -1


SILENT = Contact()


class Journey(NamedTuple):
    """One customer.  `clock_ms` is the customer's own time: the highest `now_ms` stepped to.

    `contact` is None while the customer said nothing but, perhaps, not to be asked.  `reminders` are the next ones of
    surveys not answered yet.
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
