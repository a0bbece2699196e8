"""Law of the ledger: it balances as records come, however often and in whatever order topics are read."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from streams.proof.decision_counts import DecisionCounts
from tests.support.decisions import decision

ENDS = ("sent", "opted_out", "asked_recently", "pending")


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
