"""Offsets: a commit never passes what is applied, and records deleted before they were read are counted."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Mapping, MutableMapping

import pytest
from faust.types import TP
from prometheus_client import REGISTRY

from streams.engine.extents import Extent
from streams.engine.offsets import Offsets
from streams.errors import BadTopics
from streams.kafka.ports import Batch, KafkaRecord

A, B = TP("positions-a", 0), TP("positions-b", 1)


def batch(first: int, last: int) -> Batch:
    """A batch of partition A."""
    return Batch(*A, [KafkaRecord(offset, 0, None, None) for offset in (first, last)])


def started(positions: Mapping[TP, int | None], committed: MutableMapping[TP, int | None] | None = None) -> Offsets:
    """Offsets of an assignment whose topics begin at 0."""
    offsets = Offsets("group", dict(positions) if committed is None else committed)
    offsets.start(positions, {tp: Extent(0, 20) for tp in positions})
    return offsets


def test_only_what_is_applied_is_committed_and_each_once() -> None:
    """A commit covers what is applied, updates the table, and has nothing to do until more is."""
    committed: defaultdict[TP, int | None] = defaultdict(lambda: None)
    written: list[Mapping[TP, int]] = []

    async def write(offsets: Mapping[TP, int]) -> bool:
        written.append(offsets)
        return True

    async def run() -> None:
        offsets = started({A: None}, committed)
        offsets.read(A, batch(0, 9))
        offsets.read(A, batch(10, 19))
        assert not await offsets.commit(write)
        offsets.apply(A, 10)
        assert await offsets.commit(write)
        assert not await offsets.commit(write)
        assert offsets.handed_over(A) == 20

    asyncio.run(run())
    assert (written, dict(committed)) == ([{A: 10}], {A: 10})


def test_a_commit_that_the_group_refuses_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """The group moved on: the batches will be read again, by whoever has the partition now."""

    async def refuse(offsets: Mapping[TP, int]) -> bool:
        return False

    async def run() -> None:
        offsets = started({A: 5})
        offsets.read(A, batch(5, 9))
        offsets.apply(A, 10)
        assert not await offsets.commit(refuse)
        assert offsets.committed(A) == 5

    asyncio.run(run())
    assert caplog.messages == ["the group moved on before we could commit: the last batches will be read again"]


def test_a_batch_before_what_is_applied_is_refused() -> None:
    """The topic starts anew: its records would be taken for old ones."""
    with pytest.raises(BadTopics, match="fewer records than the 5 that were committed"):
        started({A: 5}).read(A, batch(3, 9))


def missed(tp: TP) -> float:
    return REGISTRY.get_sample_value("nps_missed_records_total", {"topic": tp.topic}) or 0


def test_what_lay_between_the_position_and_the_oldest_record_is_missed(caplog: pytest.LogCaptureFixture) -> None:
    """Applied to 5, the oldest is 12: seven are lost, in one line; never read and the oldest is 3: three are."""
    before = missed(A), missed(B)
    offsets = Offsets("group", {A: 5, B: None})
    with caplog.at_level(logging.ERROR):
        offsets.start({A: 5, B: None}, {A: Extent(12, 20), B: Extent(3, 9)})
    assert caplog.messages == [
        "positions-a[0]: 7 records were deleted by retention before they were read",
        "positions-b[1]: 3 records were deleted by retention before they were read",
    ]
    assert (missed(A) - before[0], missed(B) - before[1]) == (7, 3)


def test_a_gap_while_reading_is_explained_by_the_oldest_record() -> None:
    """Offsets that a transaction or compaction left out are none of ours; what begins beyond our next one is gone."""
    before = missed(A)
    offsets = started({A: 5, B: 0})
    assert offsets.gaps({A: 5, B: 0}) == []
    offsets.read(A, batch(5, 9))
    offsets.read(B, Batch(*B, [KafkaRecord(3, 0, None, None)]))
    assert offsets.gaps({A: 12, B: 4}) == [A]
    offsets.count_missed({A: 0})
    assert missed(A) == before, "a hole in the offsets"
    offsets.count_missed({A: 12})
    assert missed(A) - before == 2, "10 and 11 were deleted"
    offsets.read(A, batch(12, 15))
    assert offsets.gaps({A: 16}) == []
