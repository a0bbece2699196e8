"""Failpoints fail in the place they name and nowhere else; a wrong one is refused with the list of what there is."""

import asyncio
import re

import pytest

from schemas.topics import ANSWERS, JOURNEYS, PANES, ROLLING
from streams.kafka.memory import MemoryLog
from streams.kafka.ports import Output
from tests.faults.harness.fault_injection import SINK, WORKER, Failed, FailingLog, FailingWarehouse, Failpoints
from tests.support.warehouses import memory_warehouse


def armed(text: str) -> Failpoints:
    return Failpoints.parse(text, WORKER)


def written(points: Failpoints) -> list[str]:
    """The topics of what is in the log after a batch of two records a stage was tried twice."""
    log = MemoryLog()
    failing = FailingLog(log, points)

    async def batches() -> None:
        for _ in range(2):
            for topic in (ANSWERS.name, PANES.name, JOURNEYS):
                failing.send_all([Output(topic, b"1", b"k", 0), Output(topic, b"2", b"k", 0)])
                await failing.flush()

    with pytest.raises(Failed):
        asyncio.run(batches())
    return [topic for (topic, _), records in log.partitions.items() for _ in records]


@pytest.mark.parametrize(
    ("text", "answers", "panes", "journeys"),
    [
        ("between-outputs:raise", 1, 0, 0),
        ("after-outputs:raise", 2, 0, 0),
        ("between-panes:1:raise", 2, 1, 0),
        ("after-panes:raise", 2, 2, 0),
        ("between-journeys:raise", 2, 2, 1),
        ("after-journeys:raise", 2, 2, 2),
        ("after-outputs:2:raise", 4, 2, 2),
        ("after-panes:9:raise,between-journeys:2:raise", 4, 4, 3),
    ],
)
def test_a_point_fails_where_it_says(text: str, answers: int, panes: int, journeys: int) -> None:
    """What was flushed before the point is in the log, the rest is not; NTH counts how often it is reached."""
    assert written(armed(text)) == [ANSWERS.name] * answers + [PANES.name] * panes + [JOURNEYS] * journeys


def test_a_held_stage_goes_on_whole() -> None:
    """Waiting between two records loses neither."""
    log = MemoryLog()
    failing = FailingLog(log, armed("between-panes:hold:0"))

    async def batch() -> None:
        failing.send_all([Output(PANES.name, b"1", b"k", 0), Output(PANES.name, b"2", b"k", 0)])
        await failing.flush()

    asyncio.run(batch())
    assert [record.value for record in log.partitions[PANES.name, 0]] == [b"1", b"2"]


def test_what_belongs_to_no_block_passes() -> None:
    """Rolling rows are no stage, and a flush after them is nobody's."""
    failing = FailingLog(MemoryLog(), armed("after-outputs:raise,between-outputs:raise"))
    failing.send_all([Output(ROLLING.name, b"1", b"k"), Output(ROLLING.name, b"2", b"k")])
    asyncio.run(failing.flush())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("before-lunch:raise", "there are in-batch, between-outputs"),
        ("mid-insert:raise", "'mid-insert' is no failpoint here"),
        ("in-batch", "one of kill, raise, hold, stall"),
        ("in-batch:explode", "one of kill, raise, hold, stall"),
        ("in-batch:0:kill", "one of kill, raise, hold, stall"),
        ("in-batch:kill:3", "takes nothing after it"),
        ("in-batch:hold", "takes whole seconds after it"),
        ("in-batch:hold:soon", "takes whole seconds after it"),
    ],
)
def test_a_wrong_order_is_refused(text: str, says: str) -> None:
    """In one line that says what there is."""
    with pytest.raises(ValueError, match=re.escape(says)) as caught:
        armed(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("point", "rows"), [("mid-insert", 2), ("after-insert", 4)])
def test_a_warehouse_fails_half_way(point: str, rows: int) -> None:
    """Half of the rows are there, or all."""
    warehouse = memory_warehouse()
    failing = FailingWarehouse(warehouse, Failpoints.parse(f"{point}:raise", SINK).at_once)
    with pytest.raises(Failed):
        failing.insert("answers", ("sent_at", "survey_id", "version"), [(0, str(number), 1) for number in range(4)])
    assert len(warehouse.rows("answers")) == rows
