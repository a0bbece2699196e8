"""Counts of the triggers' outcomes, from the output topics as they come: asked, pending, suppressed, answered.

Records may come more than once and decisions twice, first pending and then final; each trigger counts once.
"""

from collections import Counter

from rich.table import Table

from schemas.events import Answer, Decision, SurveyDispatch
from schemas.topics import ANSWERS, DECISIONS, DISPATCHES

TOPICS = (DECISIONS, DISPATCHES, ANSWERS)
"""Topics whose records `DecisionCounts.take` counts."""

PENDING = "pending"


class DecisionCounts:
    """Running balance of the triggers: all = sent + suppressed + pending."""

    def __init__(self) -> None:
        self.decided: dict[str, tuple[str, str | None]] = {}
        """Outcome and reason of each trigger, by the id of its decision."""
        self.dispatched: set[str] = set()
        """Surveys that were sent; a reminder is no further one."""
        self.answered: set[str] = set()
        """Surveys with an answer that counts."""

    def take(self, record: Decision | SurveyDispatch | Answer) -> None:
        """Count one record, in the order of its topic."""
        if isinstance(record, Decision):
            if record.outcome != PENDING or record.decision_id not in self.decided:
                self.decided[record.decision_id] = record.outcome, record.reason
        elif isinstance(record, SurveyDispatch):
            self.dispatched.add(record.survey_id)
        elif record.counted:
            self.answered.add(record.survey_id)
        else:
            self.answered.discard(record.survey_id)

    def outcomes(self) -> Counter[str]:
        """Count the triggers by outcome: sent, suppressed, pending."""
        return Counter(outcome for outcome, _ in self.decided.values())

    def reasons(self) -> Counter[str]:
        """Count the suppressed triggers by reason."""
        return Counter(reason for _, reason in self.decided.values() if reason is not None)

    @property
    def rate(self) -> float | None:
        """Response rate: answered surveys of those sent, 0 to 1; None while none was sent."""
        return len(self.answered) / len(self.dispatched) if self.dispatched else None

    def table(self) -> Table:
        """Render the ledger for a terminal."""
        table = Table(title=f"ledger of {len(self.decided)} triggers", title_justify="left")
        table.add_column("became of them")
        table.add_column("triggers", justify="right")
        for name, count in self._rows():
            table.add_row(name, str(count))
        table.add_section()
        table.add_row("answered", f"{len(self.answered)} ({_percent(self.rate)})")
        return table

    def line(self) -> str:
        """Render the ledger for a log file, in one line."""
        outcomes = self.outcomes()
        reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(self.reasons().items()))
        sums = f"{outcomes['sent']} asked + {outcomes[PENDING]} pending + {outcomes['suppressed']} suppressed"
        answers = f"answered {len(self.answered)} ({_percent(self.rate)})"
        return f"ledger: {len(self.decided)} triggers = {sums}{f' ({reasons})' if reasons else ''}; {answers}"

    def _rows(self) -> list[tuple[str, int]]:
        outcomes = self.outcomes()
        rows = [("asked", outcomes["sent"]), ("pending", outcomes[PENDING]), ("suppressed", outcomes["suppressed"])]
        return rows + [(f"  {reason}", count) for reason, count in sorted(self.reasons().items())]


def _percent(rate: float | None) -> str:
    return "-" if rate is None else f"{100 * rate:.1f} %"
