"""The oracle agrees with the real code over whole histories in memory, and the histories have everything in them."""

import random
from dataclasses import replace

import pytest

from schemas.codec import Codec
from schemas.events import Alert, Decision, SurveyDispatch
from tests.faults.harness.memory_pipeline import MemoryPipeline
from tests.faults.harness.pure_pipeline import PurePipeline
from tests.faults.harness.reading import Row
from tests.faults.oracle.invariants import SETTLE_MS, differing, judge
from tests.faults.oracle.outputs import ALERTS, DECISIONS, DISPATCHES, decode
from tests.faults.oracle.terms import PROGRAM, read_terms
from tests.faults.traffic.generator import CLEAN, Mix, Sent, generate, live
from tests.support.laws import seeds

SEEDS = 50
PARTS = 5
END_MS = 1_790_000_000_000
SMALL = Mix(visits=60, customers=40)
TERMS = read_terms()
CODEC = Codec()


def pure(seed: int, sent: list[Sent]) -> PurePipeline:
    """The pure step over a history, with somebody awake whenever something falls due."""
    return PurePipeline(random.Random(seed), PROGRAM, sent, END_MS + 60_000, live=True, awake_ratio=1.0)


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("crash_ratio", [0.0, 0.2])
def test_the_real_code_agrees(part: int, crash_ratio: float) -> None:
    """In whatever order and batches topics are read, and killed before whatever write, every invariant holds."""
    crashes, tried = 0, seeds(SEEDS, part, PARTS)
    for seed in tried:
        sent = list(generate(seed, SMALL, END_MS))
        ran = MemoryPipeline(random.Random(seed), PROGRAM, sent, END_MS + 60_000, crash_ratio=crash_ratio)
        findings = judge(ran.run(), TERMS, samples=ran.samples)
        assert not differing(findings), f"seed {seed}: {differing(findings)}"
        crashes += ran.crashes
    assert crashes > len(tried) or not crash_ratio, "the crashes must happen"


def test_every_invariant_looks_at_something() -> None:
    """Over one larger history no invariant goes without anything to check, and every reason for it all occurs."""
    world = pure(1, list(generate(1, Mix(visits=1_500, customers=1_000, burst=150), END_MS))).run()
    findings = judge(world, TERMS)
    assert not differing(findings), differing(findings)
    assert all(found.checked for found in findings), findings
    outputs = decode(world)
    assert {reason for deaths in outputs.deaths.values() for reason in deaths} == {
        "no_value", "undecodable", "unknown_schema", "wrong_type", "too_large", "wrong_key", "invalid_score",
        "empty_response", "unknown_survey", "edit_closed", "too_late", "too_early", "too_long", "absurd_time",
        "invalid_contact",
    }  # fmt: skip
    assert {one.reason for one in outputs.decisions()} == {
        None, "no_rule", "unknown_type", "opted_out", "asked_recently", "cancelled", "no_consent", "bounced",
        "no_channel", "erased", "too_many_triggers",
    }  # fmt: skip
    flags = {answer.flag for told in outputs.answers.values() for answer in told}
    assert flags == {None, "expired", "voided", "no_score", "cancelled"}
    assert {alert.status for alert in outputs.values(ALERTS, Alert)} == {"open", "resolved"}
    assert {one.reminder for one in outputs.values(DISPATCHES, SurveyDispatch)} == {0, 1, 2}


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
    assert END_MS - 10_000 <= stamps[0] <= stamps[-1] <= END_MS + 30_000, "consents are given before they are needed"
    findings = judge(pure(3, sent).run(), TERMS)
    assert not differing(findings), differing(findings)
    assert findings[0].checked > 100


def test_what_fell_due_just_now_may_be_on_its_way() -> None:
    """A survey due within the settling time need not be decided yet; one due before must be."""
    sent = list(generate(3, replace(CLEAN, visits=1, customers=1, types=("order.delivered",)), END_MS))
    pipeline = PurePipeline(random.Random(3), PROGRAM, sent, END_MS, live=True, awake_ratio=0.0)
    pipeline.now_ms = max(one.timestamp_ms for one in sent)
    world = pipeline.run()
    (pending,) = [one for one in decode(world).values(DECISIONS, Decision) if one.outcome == "pending"]
    assert not differing(judge(replace(world, now_ms=pending.decided_ms + SETTLE_MS - 1), TERMS))
    late = judge(replace(world, now_ms=pending.decided_ms + SETTLE_MS), TERMS)
    assert {found.what for found in differing(late)} == {"nothing due is left undone"}


@pytest.mark.parametrize("only_last", [False, True], ids=["a whole topic", "one record"])
def test_live_a_topic_or_a_record_may_be_late_but_no_two(only_last: bool) -> None:
    """What comes of contacts read or written some seconds late is right where that is granted, and wrong elsewhere."""
    mix = replace(CLEAN, visits=60, customers=60, opted_ratio=1.0, types=("order.delivered",))
    sent = list(generate(4, mix, END_MS))
    last = {one.key: one for one in sent if one.topic == "nps.contacts"}
    late = {id(one) for one in sent if one.topic == "nps.contacts" and (one is last[one.key] or not only_last)}
    world = pure(4, [_later(one, 5_000) if id(one) in late else one for one in sent]).run()
    values = {one.value for one in sent if id(one) in late}
    contacts = [_earlier(row, 5_000) if row.value in values else row for row in world.topics["nps.contacts"]]
    world = replace(world, topics={**world.topics, "nps.contacts": contacts})
    assert "decisions, one for each trigger" in {found.what for found in differing(judge(world, TERMS))}
    assert not differing(judge(world, TERMS, slack_ms=5_000))


def _later(sent: Sent, by_ms: int) -> Sent:
    return sent._replace(timestamp_ms=sent.timestamp_ms + by_ms)


def _earlier(row: Row, by_ms: int) -> Row:
    return row._replace(timestamp_ms=row.timestamp_ms - by_ms)
