"""Effects, which a step asks the shell for.  A wire record stands for its publication; the shell sets its `version`."""

from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from schemas.events import Alert, Answer, Decision, Erasure, SurveyDispatch, SurveyResponse
from schemas.reasons import Reason
from streams.domain.nps import Band
from streams.domain.policy import Program


class Count(NamedTuple):
    """A change of tallies: add `sign`, 1 or -1, to this band in the panes of these segments at this instant."""

    segments: tuple[str, ...]
    at_ms: int
    band: Band
    sign: int


class Scheduled(NamedTuple):
    """The pending decision of a trigger that waits for its time, until the final decision takes its place."""

    decision: Decision


class Reject(NamedTuple):
    """A bad event, for the dead letters.  `raw` is the record of a parked response; None stands for the one in hand."""

    reason: Reason
    detail: str
    raw: bytes | None = None


class Ignore(NamedTuple):
    """An event that changes nothing, and the reason."""

    reason: Reason


class Requeue(NamedTuple):
    """A parked response whose survey is sent now: put it back on its topic."""

    raw: bytes


class Confirm(NamedTuple):
    """A click that waited long enough: put it on the responses' topic as an answer, with `at_ms` as timestamp."""

    response: SurveyResponse
    at_ms: int


Publication: TypeAlias = Decision | SurveyDispatch | Answer | Alert | Erasure
Effect: TypeAlias = Publication | Scheduled | Count | Reject | Ignore | Requeue | Confirm


@dataclass(slots=True)
class Step:
    """One event's step through its customer's journey: its context and its effects.

    `now_ms` is the Kafka timestamp of the event's record and `raw` the record itself, opaque: it comes back in `Reject`
    and `Requeue`.  `history` is true for a record loaded as history: its survey is never too late to send.  `effects`
    grows while the step is taken, in the order in which things happen.
    """

    customer_id: str
    program: Program
    now_ms: int
    history: bool = False
    raw: bytes = b""
    effects: list[Effect] = field(default_factory=list)
