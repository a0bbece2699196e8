"""The ledger balances as records come, however often and in whatever order topics are read."""

import io
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.columns import Columns
from rich.console import Console
from rich.table import Table

from schemas.events import Answer, Decision, SurveyDispatch
from streams.proof.decision_counts import DecisionCounts
from streams.proof.reconciliation import NOT_RECOUNTED, Figure

ENDS = ("sent", "opted_out", "asked_recently", "pending")


def decision(number: int, end: str) -> Decision:
    reason = end if end not in ("sent", "pending") else None
    return Decision(
        f"d{number}", "c1", "shop", f"t{number}", "order.delivered", 0, "o", "rule", "survey",
        "suppressed" if reason else end, reason, None, None, 0, ["all"], "prog", None, None, None, None, None, 0,
    )  # fmt: skip


def dispatch(number: int, reminder: int = 0) -> SurveyDispatch:
    return SurveyDispatch(
        f"s{number}", "c1", "survey", "rule", "shop", f"t{number}", 0, "o", 0, 9, ["all"], {}, "prog", "nps", 1, None,
        None, {}, None, reminder, 0, 1.0, 0,
    )  # fmt: skip


def answer(number: int, counted: bool = True) -> Answer:
    return Answer(
        f"s{number}", "c1", "survey", "rule", "o", "tool", "r", 1, 9, "promoter", None, counted, None, 0, 0, 0, ["all"],
        {}, "prog", 1,
    )  # fmt: skip


@given(st.lists(st.sampled_from(ENDS), max_size=20), st.randoms(use_true_random=False))
def test_every_trigger_ends_once(ends: list[str], chance: Random) -> None:
    """Pending first or not, repeated or not: triggers = sent + suppressed + pending, as a recount has it."""
    told = [decision(n, step) for n, end in enumerate(ends) for step in dict.fromkeys(("pending", end, end, "pending"))]
    chance.shuffle(told)
    ledger = DecisionCounts()
    for record in [*told, *told]:
        ledger.take(record)
    outcomes = ledger.outcomes()
    assert outcomes["sent"] == ends.count("sent")
    assert outcomes["pending"] == ends.count("pending")
    assert dict(ledger.reasons()) == {end: ends.count(end) for end in ends if end in ENDS[1:3]}
    assert outcomes["sent"] + outcomes["suppressed"] + outcomes["pending"] == len(ends) == len(ledger.decided)


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


@pytest.mark.parametrize(
    ("recount", "stream", "clickhouse", "agrees"),
    [(1, 1, 1, True), (2, 1, 1, False), (1, 1, 2, False), (NOT_RECOUNTED, 1, 1, True), (NOT_RECOUNTED, 1, 2, False)],
)
def test_a_figure_agrees_with_all_that_counted(recount: object, stream: int, clickhouse: int, agrees: bool) -> None:
    """What the input alone cannot tell is compared between stream and ClickHouse alone."""
    assert Figure("figure", recount, stream, clickhouse).agrees is agrees
