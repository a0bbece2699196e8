"""The ledger balances as records come, however often and in whatever order topics are read."""

import io

from rich.columns import Columns
from rich.console import Console
from rich.table import Table

from streams.proof.decision_counts import DecisionCounts
from tests.support.decisions import answer, decision, dispatch


def test_the_rate_is_of_surveys_not_of_messages() -> None:
    """Reminders, repeated records and answers withdrawn later change nothing."""
    ledger = DecisionCounts()
    rates = [ledger.rate]
    for record in (dispatch(1), dispatch(1), dispatch(1, 1), dispatch(2), answer(1), answer(1), answer(2)):
        ledger.take(record)
    rates.append(ledger.rate)
    ledger.take(answer(2, counted=False))
    assert ([*rates, ledger.rate], len(ledger.dispatched)) == ([None, 1.0, 0.5], 2)


def test_the_ledger_is_shown_beside_the_numbers_or_below() -> None:
    """All reasons are shown on a wide terminal, on a narrow one and in a log file."""
    ledger = DecisionCounts()
    for record in (decision(1, "sent"), dispatch(1), answer(1), decision(2, "opted_out"), decision(3, "pending")):
        ledger.take(record)
    other = Table(title="rolling NPS")
    other.add_column("x" * 60)
    for width in (160, 80):
        console = Console(width=width, record=True, file=io.StringIO())
        console.print(Columns([other, ledger.table()]))
        said = console.export_text()
        for words in ("ledger of 3 triggers", "asked", "pending", "suppressed", "opted_out", "1 (100.0 %)"):
            assert words in said
        lines = said.splitlines()
        assert ("rolling NPS" in lines[0] and "ledger" in lines[0]) == (width == 160)
    assert ledger.line() == (
        "ledger: 3 triggers = 1 asked + 1 pending + 1 suppressed (opted_out 1); answered 1 (100.0 %)"
    )


def test_one_event_id_under_two_customers_is_two_triggers() -> None:
    """A trigger is known by its decision, whose id includes the customer."""
    ledger = DecisionCounts()
    for record in (decision(1, "sent"), decision(1, "opted_out")._replace(decision_id="d2", customer_id="c2")):
        ledger.take(record)
    assert (ledger.outcomes()["sent"], ledger.outcomes()["suppressed"]) == (1, 1)
