"""I5, the ledger of asking: one decision for each trigger, a dispatch for each that was sent, nothing left undone."""

from collections.abc import Iterator

from schemas.events import SurveyDispatch
from tests.faults.harness.report import Finding
from tests.faults.oracle.comparison import compare
from tests.faults.oracle.expected import Expected
from tests.faults.oracle.outputs import DISPATCHES, Outputs


def check_asking(expected: Expected, settled_ms: int) -> Iterator[Finding]:
    """Decisions, dispatches and erasures; what fell due by `settled_ms` must be done."""
    outcome, found = expected.outcome, expected.found
    yield compare("I5", "decisions, one for each trigger", outcome.decisions, found.decisions)
    yield compare("I5", "decisions pending until due", outcome.pending, found.pending)
    yield compare("I5", "dispatches and reminders, one for each message", outcome.dispatches, found.dispatches)
    yield compare("I5", "erasures, by id", outcome.erasures, found.erasures)
    late = [f"{left.what}: due {left.due_ms}" for left in outcome.left if left.due_ms <= settled_ms]
    yield Finding("I5", "nothing due is left undone", len(outcome.left), len(late), min(late, default=""))


def check_due(outputs: Outputs) -> Finding:
    """No dispatch lies in Kafka from before it was due; producers' clocks must not run ahead of Kafka's for that."""
    sent = [(one.row, one.value) for one in outputs.told[DISPATCHES]]
    early = sorted(
        f"{value.survey_id}: due {value.due_ms}, in Kafka {value.due_ms - row.timestamp_ms} ms earlier"
        for row, value in sent
        if isinstance(value, SurveyDispatch) and row.timestamp_ms < value.due_ms
    )
    return Finding("I5", "dispatches, none before it was due", len(sent), len(early), early[0] if early else "")


def check_put_back(expected: Expected) -> Iterator[Finding]:
    """I1: what the pipeline put on nps.responses itself: responses whose survey was sent, clicks that count."""
    outcome, found = expected.outcome, expected.found
    yield compare("I1", "responses put back, once sent", outcome.put_back, found.put_back)
    yield compare("I1", "clicks confirmed, once waited for", outcome.confirmed, found.confirmed)
    wrong = sorted(map(str, outcome.uncaused))
    what = "responses put back, each for a reason"
    yield Finding("I1", what, len(expected.written), len(wrong), wrong[0] if wrong else "")
