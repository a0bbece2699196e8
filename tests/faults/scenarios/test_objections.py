"""The invariants object to every kind of wrong output: each is spoilt here in turn, one record at a time."""

import os
import random
from dataclasses import replace

import pytest

from schemas.events import Decision, Record
from tests.faults.harness.pure_pipeline import PurePipeline
from tests.faults.harness.reading import World
from tests.faults.harness.sampling import MIB, Sample, resident_bytes
from tests.faults.oracle.forgotten import EMPTIED_WITHIN_MS, Forgotten
from tests.faults.oracle.inputs import RESPONSES
from tests.faults.oracle.invariants import differing, judge
from tests.faults.oracle.outputs import ALERTS, ANSWERS, DEAD, DECISIONS, DISPATCHES, PANES, decode
from tests.faults.oracle.samples import check_lag, check_memory
from tests.faults.oracle.terms import PROGRAM, read_terms
from tests.faults.oracle.warehouse_rows import LOADED, is_readable
from tests.faults.oracle.wrongs import WRONGS
from tests.faults.traffic.generator import Mix, Sent, generate

END_MS = 1_790_000_000_000
TERMS = read_terms()


def history(seed: int) -> list[Sent]:
    """A history with everything in it."""
    return list(generate(seed, Mix(visits=200, customers=140), END_MS))


def pipeline(seed: int, sent: list[Sent]) -> PurePipeline:
    """The pure step over a history."""
    return PurePipeline(random.Random(seed), PROGRAM, sent, END_MS + 60_000, live=True, awake_ratio=1.0)


@pytest.fixture(scope="module")
def right() -> World:
    """A world in which everything holds, with ClickHouse's tables as they must be."""
    world = pipeline(2, history(2)).run()
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
         "key": (copies[0].row.key or b"").hex().upper(),
         "value": value.hex().upper() if is_readable(place[0], value) else ""}
        for place, deaths in outputs.deaths.items() for reason, copies in deaths.items()
        for value in [copies[0].row.value or b""]
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


def test_rows_of_the_erased_are_emptied_in_time(right: World) -> None:
    """For a minute and a half they may be there in full; from then on what names the customer must be gone."""
    assert right.tables is not None
    outputs, later = decode(right), replace(right, now_ms=right.now_ms + EMPTIED_WITHIN_MS + 1)
    forgotten = Forgotten(right, outputs)
    gone = {one.decision_id: forgotten.emptied("decisions", one) for one in outputs.values(DECISIONS, Decision)}
    assert any(gone.values())
    assert "ClickHouse decisions, emptied of the erased" in {found.what for found in differing(judge(later, TERMS))}
    rows = [{**row, **gone[row["decision_id"]]} for row in right.tables["decisions"]]
    later = replace(later, tables={**right.tables, "decisions": rows})
    assert not [found for found in differing(judge(later, TERMS)) if "decisions" in found.what]


def test_an_audit_with_rows_is_objected_to(right: World) -> None:
    """What ClickHouse itself finds to differ is a finding."""
    objections = differing(judge(replace(right, audit=[{"segment": "all"}]), TERMS))
    assert [found.invariant for found in objections] == ["I2"]


def test_a_lost_event_is_missed(right: World) -> None:
    """What the pipeline never read is missed: the input decides, not the output."""
    sent = history(2)
    purchases = [one for one in sent if one.topic == "nps.purchases"]
    world = pipeline(2, [one for one in sent if one not in purchases[-10:]]).run()
    whole = right.topics["nps.purchases"]
    assert differing(judge(replace(world, topics={**world.topics, "nps.purchases": whole}), TERMS))


@pytest.mark.parametrize("output", [ANSWERS, ALERTS, DECISIONS, DISPATCHES, PANES, DEAD])
def test_a_commit_before_its_effects_is_objected_to(output: str) -> None:
    """All but the first record of an output were there only after their causes were committed."""
    ran = pipeline(4, history(4))
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
