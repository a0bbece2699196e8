"""Inputs decided anew give what a worker gave, through whatever crashes; by another program, what the oracle does."""

import random
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from schemas.codec import Codec
from schemas.events import Answer, PaneTally, Record
from schemas.topics import ALERTS, ANSWERS, DECISIONS, DISPATCHES, ERASURES, PANES, key_of
from streams.kafka.memory import MemoryLog
from streams.processing.outputs import PUBLISHED_ON
from streams.processing.replay import TOPICS, ReplayTerms, inputs_of, replay
from streams.program import load
from streams.state.progress import UNREAD
from tests.faults.harness.memory_pipeline import PARTITIONS, MemoryPipeline
from tests.faults.harness.pure_pipeline import PurePipeline
from tests.faults.harness.reading import World
from tests.faults.oracle.terms import PROGRAM
from tests.faults.traffic.generator import Mix, Sent, generate

END_MS = 1_790_000_000_000
NOW_MS = END_MS + 60_000
CODEC = Codec()
NAMES: Mapping[str, tuple[str, ...]] = {
    DECISIONS.name: ("decision_id",),
    DISPATCHES.name: ("survey_id", "reminder"),
    ANSWERS.name: ("survey_id",),
    ALERTS.name: ("dedup_key", "alert_id"),
    ERASURES.name: ("erasure_id",),
}
"""Fields that name what a record says of each topic; the highest version holds."""

RECORDS: Mapping[str, type[Record]] = {
    **{topic: record for record, topic in PUBLISHED_ON.items()},
    PANES.name: PaneTally,
}
Cells = dict[tuple[object, ...], tuple[object, ...]]


def history(seed: int) -> list[Sent]:
    """A history with everything in it."""
    return list(generate(seed, Mix(visits=160, customers=110), END_MS))


def in_force(world: World) -> tuple[Cells, Cells]:
    """What holds of each name by the topics, and the tally of each pane that has one."""
    told = [
        (topic, CODEC.decode(record, row.value))
        for topic, record in RECORDS.items()
        for row in world.topics[topic]
        if row.value is not None
    ]
    return holding(one for one in told if one[0] != PANES.name), tallies(
        record for _, record in told if isinstance(record, PaneTally)
    )


def rebuilt(inputs: MemoryLog, program: Path, *, recorded: bool) -> tuple[Cells, Cells]:
    """The same, decided anew from the inbound topics."""
    terms = ReplayTerms(load(program), CODEC, None, NOW_MS, recorded)
    readers, nobody = dict.fromkeys(TOPICS, inputs), [UNREAD] * len(TOPICS)
    batches = [
        batch for number in range(PARTITIONS) for batch in replay(terms, number, inputs_of(readers, number, nobody))
    ]
    published = [(PUBLISHED_ON[type(record)], record) for batch in batches for record in batch.publications]
    return holding(published), tallies(pane for batch in batches for pane in batch.panes)


def holding(told: Iterable[tuple[str, Record]]) -> Cells:
    """The record of the highest version under each name, of two alike the later, without its version."""
    newest: dict[tuple[object, ...], Record] = {}
    for topic, record in told:
        name = (topic, *(getattr(record, field) for field in NAMES[topic]))
        if name not in newest or record.version >= newest[name].version:  # type: ignore[union-attr]
            newest[name] = record
    return {name: plain(record) for name, record in newest.items()}


def told_once(cells: Cells) -> Cells:
    """The same without alerts, and of answers without what depends on the order in which clicks are confirmed."""
    places = [Answer._fields.index(name) for name in ("response_id", "revision", "received_ms")]
    return {
        name: tuple(value for place, value in enumerate(fields) if place not in places)
        if name[0] == ANSWERS.name
        else fields
        for name, fields in cells.items()
        if name[0] != ALERTS.name
    }


def plain(record: Record) -> tuple[object, ...]:
    """The record's fields as Avro has them, without those that say which offset and which program decided."""
    fields = {name: value for name, value in record._asdict().items() if name not in ("program", "token", "version")}
    return tuple(tuple(value) if isinstance(value, list) else value for value in fields.values())


def tallies(panes: Iterable[PaneTally]) -> Cells:
    """The last tally of each pane, summed over partitions and supplements; those without answers left out."""
    last = {key_of(pane): pane for pane in panes}
    sums: dict[tuple[object, ...], list[int]] = {}
    for pane in last.values():
        tally = sums.setdefault((pane.segment, pane.resolution, pane.start_ms), [0, 0, 0])
        for place, count in enumerate((pane.promoters, pane.passives, pane.detractors)):
            tally[place] += count
    return {cell: tuple(tally) for cell, tally in sums.items() if any(tally)}


def differing(one: Cells, other: Cells) -> dict[object, tuple[object, object]]:
    """What is not the same in both."""
    return {key: (one.get(key), other.get(key)) for key in one.keys() | other.keys() if one.get(key) != other.get(key)}


@pytest.mark.parametrize("crash_ratio", [0.0, 0.5])
def test_rebuilt_is_what_is_in_force(crash_ratio: float) -> None:
    """Decisions, surveys, answers, alerts, erasures and every pane, field by field; and nothing was written."""
    for seed in range(4):
        ran = MemoryPipeline(random.Random(seed), PROGRAM, history(seed), NOW_MS, crash_ratio=crash_ratio)
        records, panes = in_force(ran.run())
        before = {part: len(found) for part, found in ran.topics.partitions.items()}
        anew, panes_anew = rebuilt(ran.topics, PROGRAM, recorded=True)
        assert not differing(records, anew), f"seed {seed}"
        assert not differing(panes, panes_anew), f"seed {seed}"
        assert before == {part: len(found) for part, found in ran.topics.partitions.items()}
        assert len(records) > 100
        assert panes


CHANGES = {
    "sooner": ('delay = "1d"', 'delay = "1h"'),
    "later": ('delay = "3s"', 'delay = "2d"'),
    "fewer": ('channels = ["email", "sms"]', 'channels = ["sms"]'),
}


@pytest.mark.parametrize("change", CHANGES)
def test_another_program_decides_as_if_it_always_had(change: str, tmp_path: Path) -> None:
    """As the pure step over the events alone, with somebody awake at every moment, whatever workers wrote there."""
    changed = tmp_path / "new.toml"
    changed.write_text(PROGRAM.read_text().replace(*CHANGES[change]))
    assert load(changed).hash != load(PROGRAM).hash
    for seed in range(2):
        sent = sorted(history(seed), key=lambda one: one.timestamp_ms)
        ran = MemoryPipeline(random.Random(seed), PROGRAM, sent, NOW_MS)
        world = ran.run()
        told = PurePipeline(random.Random(seed), changed, sent, NOW_MS, live=True, awake_ratio=1.0).run()
        records, panes = in_force(told)
        anew, panes_anew = rebuilt(ran.topics, changed, recorded=False)
        assert not differing(told_once(records), told_once(anew)), f"seed {seed}"
        assert not differing(panes, panes_anew), f"seed {seed}"
        assert differing(in_force(world)[0], anew), "the change must change something"
