"""The oracle agrees with the real code over whole histories in memory, and objects to every kind of wrong output."""

import os
import random
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import pytest

from schemas.codec import Codec
from schemas.events import Alert, Answer, Decision, PaneTally, Record, SegmentNps, SurveyDispatch
from tests.faults.generator import CLEAN, Mix, generate, live
from tests.faults.invariants import SETTLE_MS, differing, judge
from tests.faults.memory_pipeline import MemoryPipeline, as_row
from tests.faults.oracle_asking import Asking
from tests.faults.oracle_inputs import RESPONSES
from tests.faults.oracle_inputs import judge as judge_inputs
from tests.faults.oracle_terms import PROGRAM, read_terms
from tests.faults.outputs import ALERTS, ANSWERS, DEAD, DECISIONS, DISPATCHES, PANES, ROLLING, decode
from tests.faults.reading import Row, World
from tests.faults.sampling import MIB, Sample, check_lag, check_memory, resident_bytes
from tests.faults.warehouse_rows import LOADED

SEEDS = 50
CHUNKS = 5
END_MS = 1_790_000_000_000
SMALL = Mix(visits=60, customers=40)
TERMS = read_terms()
CODEC = Codec()


def pipeline(seed: int, mix: Mix = SMALL, crash_ratio: float = 0.0) -> MemoryPipeline:
    """A pipeline in memory with a history to read."""
    sent = list(generate(seed, mix, END_MS))
    return MemoryPipeline(random.Random(seed), PROGRAM, sent, END_MS + 60_000, crash_ratio=crash_ratio)


@pytest.mark.parametrize("chunk", range(CHUNKS))
@pytest.mark.parametrize("crash_ratio", [0.0, 0.2])
def test_the_real_code_agrees(chunk: int, crash_ratio: float) -> None:
    """In whatever order and blocks topics are read, and killed before whatever write, every invariant holds."""
    crashes = 0
    for seed in range(chunk * SEEDS // CHUNKS, (chunk + 1) * SEEDS // CHUNKS):
        ran = pipeline(seed, crash_ratio=crash_ratio)
        findings = judge(ran.run(), TERMS, samples=ran.samples)
        assert not differing(findings), f"seed {seed}: {differing(findings)}"
        crashes += ran.crashes
    assert crashes > SEEDS // CHUNKS or not crash_ratio, "the crashes must happen"


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
        "empty_response", "unknown_survey", "edit_closed", "too_late", "too_early",
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


class Wrong(NamedTuple):
    """A way to spoil the outputs, and the invariant that must object."""

    invariant: str
    topic: str
    spoil: Callable[[list[Row]], list[Row]]


def first(cls: type[Record], fits: Callable[[Record], bool], change: Callable[[Record], Record]) -> Callable[
    [list[Row]], list[Row]
]:  # fmt: skip
    """Change the first value that fits."""

    def spoil(rows: list[Row]) -> list[Row]:
        at = next(i for i, row in enumerate(rows) if fits(CODEC.decode(cls, row.value)))
        value = CODEC.encode(change(CODEC.decode(cls, rows[at].value)))
        return [*rows[:at], rows[at]._replace(value=value), *rows[at + 1 :]]

    return spoil


def dropped(rows: list[Row]) -> list[Row]:
    """Without the first record."""
    return rows[1:]


def without_a_full_one(rows: list[Row]) -> list[Row]:
    """Without one window that holds answers."""
    at = next(i for i, row in enumerate(rows) if is_full(CODEC.decode(SegmentNps, row.value)))
    return [*rows[:at], *rows[at + 1 :]]


def with_more(cls: type[Record], change: Callable[[Record], Record]) -> Callable[[list[Row]], list[Row]]:
    """With the last record once more, changed."""

    def spoil(rows: list[Row]) -> list[Row]:
        last = rows[-1]
        value = CODEC.encode(change(CODEC.decode(cls, last.value)))
        return [*rows, last._replace(offset=last.offset + 1, value=value)]

    return spoil


def is_any(record: Record) -> bool:
    return True


def is_open(record: Record) -> bool:
    return isinstance(record, Alert) and record.status == "open"


def is_sent(record: Record) -> bool:
    return isinstance(record, Decision) and record.outcome == "sent"


def changed(**fields: object) -> Callable[[Record], Record]:
    """The record with other fields."""
    return lambda record: record._replace(**fields)  # type: ignore[arg-type]


def moved(**by: int) -> Callable[[Record], Record]:
    """The record with numbers moved."""
    return lambda record: record._replace(**{name: getattr(record, name) + step for name, step in by.items()})


def is_scored(record: Record) -> bool:
    return isinstance(record, Answer) and record.score is not None


def is_full(record: Record) -> bool:
    return isinstance(record, SegmentNps) and record.n > 0


def bitten(rows: list[Row]) -> list[Row]:
    """One dead letter lacks its last byte."""
    at = next(i for i, row in enumerate(rows) if row.value)
    return [*rows[:at], rows[at]._replace(value=(rows[at].value or b"")[:-1]), *rows[at + 1 :]]


def untimely(rows: list[Row]) -> list[Row]:
    """One dispatch was in Kafka a second before it was due."""
    due_ms = CODEC.decode(SurveyDispatch, rows[0].value).due_ms
    return [rows[0]._replace(timestamp_ms=due_ms - 1_000), *rows[1:]]


WRONGS = {
    "an answer is missing": Wrong("I1", ANSWERS, dropped),
    "an answer has another score": Wrong("I1", ANSWERS, first(Answer, is_any, changed(score=4, band="detractor"))),
    "an answer has no band": Wrong("I1", ANSWERS, first(Answer, is_scored, changed(band=None))),
    "an answer has another segment": Wrong("I1", ANSWERS, first(Answer, is_any, changed(segments=["all"]))),
    "an answer is told in two ways": Wrong("I9", ANSWERS, with_more(Answer, changed(comment="another"))),
    "a revision is skipped": Wrong("I9", ANSWERS, with_more(Answer, moved(revision=2, version=1))),
    "a pane is missing": Wrong("I2", PANES, dropped),
    "a pane lies a minute later": Wrong("I2", PANES, first(PaneTally, is_any, moved(start_ms=60_000))),
    "a pane counts one too many": Wrong("I2", PANES, with_more(PaneTally, moved(passives=1, version=1))),
    "a pane is of another partition": Wrong("I2", PANES, first(PaneTally, is_any, moved(source_partition=1))),
    "a pane is written again below": Wrong("I9", PANES, with_more(PaneTally, moved(version=-1))),
    "a pane changes in place": Wrong("I9", PANES, with_more(PaneTally, moved(promoters=1))),
    "a window is one off": Wrong("I3", ROLLING, first(SegmentNps, is_any, moved(detractors=1))),
    "a window is missing": Wrong("I3", ROLLING, without_a_full_one),
    "a window has another interval": Wrong("I3", ROLLING, first(SegmentNps, is_full, moved(low=1))),
    "a window stands still": Wrong(
        "I3", ROLLING, first(SegmentNps, is_full, moved(as_of_ms=-86_400_000, start_ms=-86_400_000))
    ),
    "a window goes back": Wrong("I9", ROLLING, with_more(SegmentNps, moved(as_of_ms=-60_000))),
    "an alert is missing": Wrong("I4", ALERTS, dropped),
    "an alert is doubled": Wrong("I4", ALERTS, with_more(Alert, changed(alert_id="another"))),
    "an alert resolves what is open": Wrong("I4", ALERTS, first(Alert, is_open, changed(status="resolved"))),
    "an alert says two things": Wrong("I4", ALERTS, with_more(Alert, changed(comment="another"))),
    "a decision is missing": Wrong("I5", DECISIONS, lambda rows: rows[:-1]),
    "a decision about nothing": Wrong("I5", DECISIONS, with_more(Decision, changed(decision_id="another"))),
    "a refusal that was none": Wrong(
        "I5", DECISIONS, first(Decision, is_sent, changed(outcome="suppressed", reason="opted_out"))
    ),
    "decided too early": Wrong("I5", DECISIONS, first(Decision, is_sent, moved(decided_ms=-1))),
    "a decision told in two ways": Wrong("I9", DECISIONS, with_more(Decision, changed(cause_id="another"))),
    "a dispatch is missing": Wrong("I5", DISPATCHES, dropped),
    "a dispatch of another survey": Wrong("I5", DISPATCHES, with_more(SurveyDispatch, changed(survey_id="another"))),
    "a dispatch has other dimensions": Wrong("I5", DISPATCHES, first(SurveyDispatch, is_any, changed(dimensions={}))),
    "a dispatch before its time": Wrong("I5", DISPATCHES, untimely),
    "a dead letter is missing": Wrong("I6", DEAD, dropped),
    "a dead letter lost a byte": Wrong("I6", DEAD, bitten),
    "a dead letter lost its headers": Wrong("I6", DEAD, lambda rows: [rows[0]._replace(headers=()), *rows[1:]]),
}


@pytest.fixture(scope="module")
def right() -> World:
    """A world in which everything holds, with ClickHouse's tables as they must be."""
    world = pipeline(2, Mix(visits=120, customers=80)).run()
    return replace(world, tables=loaded(world))


def loaded(world: World) -> dict[str, list[dict[str, object]]]:
    """The tables that a faultless loader makes of the topics."""
    outputs = decode(world)
    tables: dict[str, list[dict[str, object]]] = {}
    for table in LOADED:
        newest: dict[object, Record] = {}
        for one in outputs.told[table.topic]:
            key = tuple(getattr(one.value, name) for name in table.key)
            newest[key] = max(one.value, newest.get(key, one.value), key=version)  # of two alike the later
        tables[table.name] = [record._asdict() for record in newest.values()]
    tables["dead_letters"] = [
        {"origin_topic": place[0], "origin_partition": place[1], "origin_offset": place[2], "reason": reason,
         "key": (copies[0].row.key or b"").hex().upper(), "value": (copies[0].row.value or b"").hex().upper()}
        for place, deaths in outputs.deaths.items() for reason, copies in deaths.items()
    ]  # fmt: skip
    return tables


def version(record: Record) -> int:
    return int(getattr(record, "version", 0))


def test_the_world_to_spoil_is_right(right: World) -> None:
    """What the spoiled worlds are made of holds in every point, tables included."""
    assert not differing(judge(right, TERMS)), differing(judge(right, TERMS))


@pytest.mark.parametrize("name", WRONGS)
def test_a_wrong_output_is_objected_to(right: World, name: str) -> None:
    """Each wrong output makes the invariant object that stands for it, naming the first key that differs."""
    wrong = WRONGS[name]
    topics = {**right.topics, wrong.topic: wrong.spoil(list(right.topics[wrong.topic]))}
    objections = differing(judge(replace(right, topics=topics, tables=None), TERMS))
    assert wrong.invariant in {found.invariant for found in objections}, objections
    assert all(found.first for found in objections)


@pytest.mark.parametrize("table", [*(table.name for table in LOADED), "dead_letters"])
@pytest.mark.parametrize("how", ["missing", "another"])
def test_a_wrong_row_is_objected_to(right: World, table: str, how: str) -> None:
    """A row that ClickHouse lacks, or has otherwise, is found."""
    assert right.tables is not None
    rows = right.tables[table]
    spoiled = (
        rows[1:]
        if how == "missing"
        else [{**rows[0], "key" if table == "dead_letters" else "program": "no"}, *rows[1:]]
    )
    objections = differing(judge(replace(right, tables={**right.tables, table: spoiled}), TERMS))
    assert [f"ClickHouse {table}" in found.what for found in objections] == [True], objections


def test_an_audit_with_rows_is_objected_to(right: World) -> None:
    """What ClickHouse itself finds to differ is a finding."""
    objections = differing(judge(replace(right, audit=[{"segment": "all"}]), TERMS))
    assert [found.invariant for found in objections] == ["I2"]


def test_a_lost_event_is_missed(right: World) -> None:
    """What the pipeline never read is missed: the input decides, not the output."""
    ran = pipeline(2, Mix(visits=120, customers=80))
    records = ran.topics.records
    kept = {part: list(all_) for part, all_ in records.items()}
    for part in [part for part in records if part[0] == "nps.purchases"]:
        records[part] = [*records[part][:-10]]
    world = ran.run()
    whole = [as_row(part, one) for (topic, part), all_ in kept.items() if topic == "nps.purchases" for one in all_]
    assert differing(judge(replace(world, topics={**world.topics, "nps.purchases": whole}), TERMS))


@pytest.mark.parametrize("output", [ANSWERS, ALERTS, DECISIONS, DISPATCHES, PANES, DEAD])
def test_a_commit_before_its_effects_is_objected_to(output: str) -> None:
    """All but the first record of an output were there only after their causes were committed."""
    ran = pipeline(4, Mix(visits=120, customers=80))
    world = ran.run()
    assert not differing(judge(world, TERMS, samples=ran.samples))
    last = ran.samples[-1]
    behind = {part: min(end, 1) if part[0] == output else end for part, end in last.ends.items()}
    objections = differing(judge(world, TERMS, samples=[*ran.samples, last._replace(ends=behind)]))
    assert [found.invariant for found in objections] == ["I7"], objections


def test_lag_that_stays_and_memory_without_bound_are_objected_to() -> None:
    """What is left unread at the end, and a process that holds too much at any time."""
    part = (RESPONSES, 0)
    samples = [Sample(1, {part: 0}, {part: 9}, {"worker": 5 * MIB}), Sample(2, {part: 9}, {part: 9}, {"worker": MIB})]
    assert check_lag(samples).holds
    assert not check_lag(samples[:1]).holds
    assert check_memory(samples, 5 * MIB).holds
    assert not check_memory(samples, 5 * MIB - 1).holds
    assert MIB < resident_bytes(os.getpid()) < 4_096 * MIB


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
