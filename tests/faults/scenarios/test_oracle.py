"""The oracle agrees with the real code over whole histories in memory, and objects to every kind of wrong output."""

import random
from dataclasses import replace

import pytest

from schemas.codec import Codec
from schemas.events import Alert, Decision, SurveyDispatch
from tests.faults.harness.memory_pipeline import MemoryPipeline
from tests.faults.harness.reading import Row
from tests.faults.oracle.inputs import judge as judge_inputs
from tests.faults.oracle.invariants import SETTLE_MS, differing, judge
from tests.faults.oracle.outputs import ALERTS, DECISIONS, DISPATCHES, decode
from tests.faults.oracle.terms import PROGRAM, read_terms
from tests.faults.oracle.triggers import Asking
from tests.faults.traffic.generator import CLEAN, Mix, generate, live
from tests.support.laws import seeds

SEEDS = 50
PARTS = 5
END_MS = 1_790_000_000_000
SMALL = Mix(visits=60, customers=40)
TERMS = read_terms()
CODEC = Codec()


def pipeline(seed: int, mix: Mix = SMALL, crash_ratio: float = 0.0) -> MemoryPipeline:
    """A pipeline in memory with a history to read."""
    sent = list(generate(seed, mix, END_MS))
    return MemoryPipeline(random.Random(seed), PROGRAM, sent, END_MS + 60_000, crash_ratio=crash_ratio)


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("crash_ratio", [0.0, 0.2])
def test_the_real_code_agrees(part: int, crash_ratio: float) -> None:
    """In whatever order and batches topics are read, and killed before whatever write, every invariant holds."""
    crashes, tried = 0, seeds(SEEDS, part, PARTS)
    for seed in tried:
        ran = pipeline(seed, crash_ratio=crash_ratio)
        findings = judge(ran.run(), TERMS, samples=ran.samples)
        assert not differing(findings), f"seed {seed}: {differing(findings)}"
        crashes += ran.crashes
    assert crashes > len(tried) or not crash_ratio, "the crashes must happen"


def test_every_invariant_looks_at_something() -> None:
    """Over one larger history no invariant goes without anything to check, and every reason for it all occurs."""
    ran = pipeline(1, Mix(visits=500, customers=300))
    world = ran.run()
    findings = judge(world, TERMS, samples=ran.samples)
    assert not differing(findings), differing(findings)
    assert all(found.checked for found in findings), findings
    outputs = decode(world)
    assert {reason for deaths in outputs.deaths.values() for reason in deaths} == {
        "no_value", "undecodable", "unknown_schema", "wrong_type", "too_large", "wrong_key", "invalid_score",
        "empty_response", "unknown_survey", "edit_closed", "too_late", "too_early", "absurd_time",
    }  # fmt: skip
    assert {one.reason for one in outputs.decisions()} == {
        None, "no_rule", "opted_out", "asked_recently", "cancelled"
    }  # fmt: skip
    flags = {answer.flag for told in outputs.answers.values() for answer in told}
    assert flags == {None, "expired", "voided", "no_score"}
    assert {alert.status for alert in outputs.values(ALERTS, Alert)} == {"open", "resolved"}


def test_the_same_seed_makes_the_same_history() -> None:
    """A seed that failed can be run again; another seed is another history."""
    assert list(generate(7, SMALL, END_MS)) == list(generate(7, SMALL, END_MS))
    assert list(generate(7, SMALL, END_MS)) != list(generate(8, SMALL, END_MS))


def test_live_traffic_can_be_answered() -> None:
    """Live traffic keeps to its seconds, is written in time's order, and most of its customers are asked and answer."""
    mix = replace(CLEAN, answered_ratio=1.0)
    sent = list(live(3, rate=10, seconds=30, start_ms=END_MS, mix=mix))
    stamps = [one.timestamp_ms for one in sent]
    assert stamps == sorted(stamps)
    assert END_MS <= stamps[0] <= stamps[-1] <= END_MS + 30_000
    ran = MemoryPipeline(random.Random(3), PROGRAM, sent, END_MS + 60_000)
    findings = judge(ran.run(), TERMS)
    assert not differing(findings), differing(findings)
    assert findings[0].checked > 100


def test_orders_of_reading_are_all_walked() -> None:
    """Two triggers that race one quarantine have two right ledgers, and no third."""
    sent = list(generate(5, replace(CLEAN, visits=40, customers=40, racing_ratio=1.0), END_MS))
    rows: dict[str, list[Row]] = {topic: [] for topic in ("nps.contacts", "nps.responses", "nps.wakeups")}
    for topic, key, value, timestamp_ms, headers in sent:
        at = rows.setdefault(topic, [])
        at.append(Row(0, len(at), timestamp_ms, key, value, headers))
    customers = judge_inputs(rows, TERMS, END_MS, ()).customers.values()
    asking = [one for customer in customers if len((one := Asking(customer, TERMS)).dues) == 2]
    asked = [[{id_ for id_, v in ledger if v.outcome == "sent"} for ledger in one.ledgers()] for one in asking]
    assert all(len(sent) <= 1 for ledgers in asked for sent in ledgers), "a quarantine lets two through"
    assert sum(len(set().union(*ledgers)) == 2 for ledgers in asked) > 5, "either may win"


def test_what_fell_due_just_now_may_be_on_its_way() -> None:
    """A survey due within the settling time need not be decided yet; one due before must be."""
    world = pipeline(3, replace(CLEAN, visits=5, customers=5)).run()
    pending_ms = max(one.decided_ms for one in decode(world).decisions())
    rows = [row for row in world.topics[DECISIONS] if _decided_ms(row) != pending_ms]
    sent = [row for row in world.topics[DISPATCHES] if CODEC.decode(SurveyDispatch, row.value).due_ms != pending_ms]
    less = {**world.topics, DECISIONS: rows, DISPATCHES: sent}
    early = judge(replace(world, topics=less, now_ms=pending_ms + SETTLE_MS + 1), TERMS)
    assert "triggers, each with one decision" in {found.what for found in differing(early)}


def _decided_ms(row: Row) -> int:
    return CODEC.decode(Decision, row.value).decided_ms
