"""May we ask this customer?  Checked when a survey is scheduled and again when it is sent."""

from typing import NamedTuple

from streams.domain.policy import Program
from streams.domain.reasons import Reason
from streams.domain.state import Journey


class Ask(NamedTuple):
    """Yes, at this time."""

    due_ms: int


class Suppress(NamedTuple):
    """No, and why; `cause_id` is the event that cancelled it."""

    reason: Reason
    cause_id: str | None = None


def decide(journey: Journey, survey: str, due_ms: int, program: Program) -> Ask | Suppress:
    """Ask at `due_ms`, or say why not.  The first rule that objects wins.

    Both clocks hold in both directions: a trigger that arrives out of order finds the later survey too.
    """
    if journey.opted_out:
        return Suppress(Reason.OPTED_OUT)
    for asked, last_ms in journey.asked:
        quarantine_ms = program.quarantine_of(survey) if asked == survey else 0
        if abs(due_ms - last_ms) < max(program.quarantine_ms, quarantine_ms):
            return Suppress(Reason.ASKED_RECENTLY)
    return Ask(due_ms)
