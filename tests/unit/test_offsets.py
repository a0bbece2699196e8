"""Offsets: a commit never passes an unfinished batch, and records deleted before they were read are counted."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Mapping

import pytest
from faust.types import TP
from prometheus_client import REGISTRY

from streams.engine.extents import Extent
from streams.engine.offsets import BatchOffsets, Positions, Tracker
from streams.errors import BadTopics
from streams.kafka.ports import Batch, KafkaRecord

A, B = TP("positions-a", 0), TP("positions-b", 1)


def test_nothing_may_be_committed_before_a_block_is_finished() -> None:
    """A batch in hand is held and not committable."""
    tracker = Tracker()
    tracker.hand(9)
    assert tracker.holds(9)
    assert tracker.committable is None


@pytest.mark.parametrize("last", [5, 9])
def test_blocks_must_be_handed_over_in_order(last: int) -> None:
    """Going back or handing over the same batch twice is refused."""
    tracker = Tracker()
    tracker.hand(9)
    with pytest.raises(ValueError, match="handed over after 9"):
        tracker.hand(last)


def test_only_a_block_in_hand_can_be_finished() -> None:
    """An unknown batch, and one finished before, are refused."""
    tracker = Tracker()
    tracker.hand(9)
    tracker.hand(19)
    tracker.finish(19)
    for last in (19, 29):
        with pytest.raises(ValueError, match="not in hand"):
            tracker.finish(last)


def batch(first: int, last: int) -> Batch:
    """A batch of partition A."""
    return Batch(*A, [KafkaRecord(offset, 0, None, None) for offset in (first, last)])


def test_only_finished_batches_are_committed_and_each_once() -> None:
    """A commit covers what is finished, updates the table, and has nothing to do until more is finished."""
    committed: defaultdict[TP, int | None] = defaultdict(lambda: None)
    written: list[Mapping[TP, int]] = []

    async def write(offsets: Mapping[TP, int]) -> bool:
        written.append(offsets)
        return True

    async def run() -> None:
        offsets = BatchOffsets("group", committed)
        first, second = batch(0, 9), batch(10, 19)
        for handed in (first, second):
            offsets.hand(A, handed)
            assert offsets.begin(handed)
        assert not await offsets.commit(write)
        offsets.finish(first)
        offsets.release(first)
        assert await offsets.commit(write)
        assert not await offsets.commit(write)
        assert await offsets.in_hand_after(0.01) == {second}
        offsets.release(second)
        assert not await offsets.in_hand_after(0.01)

    asyncio.run(run())
    assert (written, dict(committed)) == ([{A: 10}], {A: 10})


def test_a_commit_that_the_group_refuses_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """The group moved on: the batches will be read again, by whoever has the partition now."""

    async def refuse(offsets: Mapping[TP, int]) -> bool:
        return False

    async def run() -> None:
        offsets = BatchOffsets("group", {A: 5})
        offsets.hand(A, batch(5, 9))
        offsets.finish(batch(5, 9))
        assert not await offsets.commit(refuse)
        assert offsets.committed(A) == 5

    asyncio.run(run())
    assert caplog.messages == ["the group moved on before we could commit: the last batches will be read again"]


def test_a_batch_of_an_assignment_that_ended_is_not_begun() -> None:
    """What waited in a buffer while the partitions were revoked belongs to another worker now."""
    offsets = BatchOffsets("group", {A: None})
    offsets.hand(A, batch(0, 9))
    offsets.forget()
    assert not offsets.begin(batch(0, 9))


def test_a_batch_before_the_commit_is_refused() -> None:
    """The topic starts anew: its records would be taken for old ones."""
    with pytest.raises(BadTopics, match="fewer records than the 5 that were committed"):
        BatchOffsets("group", {A: 5}).hand(A, batch(3, 9))


def missed(tp: TP) -> float:
    return REGISTRY.get_sample_value("nps_missed_records_total", {"topic": tp.topic}) or 0


def test_what_lay_between_the_commit_and_the_oldest_record_is_missed(caplog: pytest.LogCaptureFixture) -> None:
    """Committed to 5, the oldest is 12: seven are lost, in one line; a partition that was never read misses nothing."""
    before = missed(A)
    with caplog.at_level(logging.ERROR):
        positions = Positions({A: 5, B: None}, {A: Extent(12, 20), B: Extent(3, 9)})
    assert caplog.messages == ["positions-a[0]: 7 records were deleted by retention before they were read"]
    assert missed(A) - before == 7
    assert (positions.unread(A), positions.unread(B)) == (range(12, 20), range(3, 9))


def test_a_gap_while_reading_is_explained_by_the_oldest_record() -> None:
    """Offsets that a transaction or compaction left out are none of ours; what begins beyond our next one is gone."""
    before = missed(A)
    positions = Positions({A: 5, B: 0}, {A: Extent(0, 20), B: Extent(0, 20)})
    assert positions.gaps({A: 5, B: 0}) == []
    positions.advance({A: 9, B: 3})
    assert positions.gaps({A: 12, B: 4}) == [A]
    positions.count_missed({A: 0})
    assert missed(A) == before, "a hole in the offsets"
    positions.count_missed({A: 12})
    assert missed(A) - before == 2, "10 and 11 were deleted"
    positions.advance({A: 15})
    assert positions.gaps({A: 16}) == []
