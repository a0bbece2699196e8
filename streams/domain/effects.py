"""What a step wants done.  Wire records stand for their own publication; the shell fills in their `version`."""

from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from schemas.events import Alert, Answer, Decision, Erasure, SurveyDispatch, SurveyResponse
from schemas.reasons import Reason
from streams.domain.nps import Band
from streams.domain.policy import Program


class Count(NamedTuple):
    """Add `sign` (1 or -1) to this band in the panes of these segments at this instant."""

    segments: tuple[str, ...]
    at_ms: int
    band: Band
    sign: int


class Scheduled(NamedTuple):
    """The trigger waits for its time: its decision is pending, until the final one takes its place."""

    decision: Decision


class Reject(NamedTuple):
    """The event is bad: a dead letter.  `raw` is a record held since earlier; None is the one in hand."""

    reason: Reason
    detail: str
    raw: bytes | None = None


class Ignore(NamedTuple):
    """Nothing new in the event."""

    reason: Reason


class Requeue(NamedTuple):
    """The survey that a held response waited for is sent: put the response back on its topic."""

    raw: bytes


class Confirm(NamedTuple):
    """A click waited long enough: put it on the responses' topic as an answer, with this Kafka timestamp."""

    response: SurveyResponse
    at_ms: int


Publication: TypeAlias = Decision | SurveyDispatch | Answer | Alert | Erasure
Effect: TypeAlias = Publication | Scheduled | Count | Reject | Ignore | Requeue | Confirm


@dataclass(slots=True)
class Step:
    """One event's step through its customer's journey: what it is taken with, and what it leads to.

    `now_ms` is the Kafka timestamp of the event's record and `raw` the record itself, opaque: it comes back in `Reject`
    and `Requeue`.  `history` says that the record was loaded as history: what it asks for is never too late to send.
    `effects` grows while the step is taken, in the order in which things happen.
    """

    customer_id: str
    program: Program
    now_ms: int
    history: bool = False
    raw: bytes = b""
    effects: list[Effect] = field(default_factory=list)
