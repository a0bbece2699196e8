"""A journey: all we know of one customer, as values small enough to keep millions of.

Stored as arrays in field order (`streams.engine.tables`): append fields with a default, never reorder or remove.
"""

from typing import NamedTuple

from streams.domain.nps import Band
from streams.domain.segments import Dimensions


class Pending(NamedTuple):
    """A survey that is scheduled and not yet sent."""

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

    @property
    def first_ms(self) -> int | None:
        """When the score was first given: the minute in which the answer counts."""
        return self.scores[0][0] if self.scores else None

    @property
    def score(self) -> int | None:
        """The score that holds."""
        return self.scores[-1][2] if self.scores else None


class Click(NamedTuple):
    """A provisional answer: a score link was opened, by a person or by a machine."""

    time_ms: int
    score: int


class Clicks(NamedTuple):
    """Who opened the links of a survey: its clicks in order of time, and when a machine gave itself away."""

    seen: tuple[Click, ...] = ()
    traps: tuple[int, ...] = ()


class Survey(NamedTuple):
    """A survey that was sent."""

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


class Held(NamedTuple):
    """A response that came before its survey, with the record it came in; given up at `until_ms`."""

    survey_id: str
    until_ms: int
    evidence: bytes


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


class Journey(NamedTuple):
    """One customer.  `clock_ms` is the customer's own time: the highest `now_ms` stepped to."""

    clock_ms: int = 0
    opted_out: bool = False
    opted_ms: int = -1
    pending: tuple[Pending, ...] = ()
    surveys: tuple[Survey, ...] = ()
    held: tuple[Held, ...] = ()
    seen: tuple[tuple[int, int], ...] = ()
    asked: tuple[tuple[str, int], ...] = ()
    cancels: tuple[Cancel, ...] = ()
    waiting: tuple[Waiting, ...] = ()


NEW = Journey()
