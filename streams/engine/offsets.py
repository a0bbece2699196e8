"""Offsets of the assigned partitions: read, handed over to handlers, finished and committed.

A commit never passes an unfinished batch:

    handed over:   [0..9] [10..19] [20..29]
    finished:       yes      no       yes      ->  10 may be committed, and 30 as soon as [10..19] is finished

Reading whose next offset was deleted goes on at the oldest record there is; the gap is logged and counted.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping

from faust.types import TP

from streams import metrics
from streams.engine.extents import Extent
from streams.errors import BadTopics
from streams.kafka.ports import Batch, TopicPartition

logger = logging.getLogger("streams.engine")


class Tracker:
    """The batches of one partition that were handed to a handler, known by their last offset, in order."""

    __slots__ = ("_finished", "_handed", "_last", "_next")

    def __init__(self) -> None:
        self._handed: deque[int] = deque()
        self._finished: set[int] = set()
        self._last: int | None = None
        self._next: int | None = None

    @property
    def committable(self) -> int | None:
        """The next offset to process once everything before it is finished; None until a batch is."""
        return self._next

    def holds(self, last_offset: int) -> bool:
        """True while the batch that ends at this offset is handed over and not finished."""
        return last_offset in self._handed and last_offset not in self._finished

    def hand(self, last_offset: int) -> None:
        """Add the batch ending at `last_offset`.  Raises ValueError when it does not follow the one before."""
        if self._last is not None and last_offset <= self._last:
            raise ValueError(f"batch ending at {last_offset} handed over after {self._last}")
        self._last = last_offset
        self._handed.append(last_offset)

    def finish(self, last_offset: int) -> None:
        """Mark a batch whose effects are durable.  Raises ValueError when it is not handed over."""
        if not self.holds(last_offset):
            raise ValueError(f"batch ending at {last_offset} is not in hand")
        self._finished.add(last_offset)
        while self._handed and self._handed[0] in self._finished:
            head = self._handed.popleft()
            self._finished.remove(head)
            self._next = head + 1


class BatchOffsets:
    """Commit of the offsets of finished batches, and the batches that handlers have in hand.

    `committed` is Faust's table of the offsets that the group knows, by partition, None for no commit; a successful
    commit updates it.  `positions` are those of the present assignment; `group` is named in the advice of BadTopics.
    """

    def __init__(self, group: str, committed: MutableMapping[TP, int | None]) -> None:
        self.positions = Positions({}, {})
        self._group = group
        self._committed = committed
        self._trackers: dict[TP, Tracker] = {}
        self._in_hand: set[Batch] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._commit_lock = asyncio.Lock()

    def committed(self, tp: TP) -> int | None:
        """The next offset to process as the group knows it; None when nothing was ever committed."""
        return self._committed[tp]

    def hand(self, tp: TP, batch: Batch) -> None:
        """Track a batch that goes to its handler.  Raises BadTopics when it lies before what is committed."""
        committed = self._committed[tp]
        if committed is not None and batch.first_offset < committed:
            raise BadTopics(
                f"the topic has fewer records than the {committed} that were committed: was it made anew? "
                f"delete the consumer group {self._group} and raise NPS_TOPIC_EPOCH by one"
            )
        self._trackers.setdefault(tp, Tracker()).hand(batch.last_offset)

    def begin(self, batch: Batch) -> bool:
        """Take the batch in hand; False when it is left over from an assignment that has ended."""
        tracker = self._trackers.get(TP(batch.topic, batch.partition))
        if tracker is None or not tracker.holds(batch.last_offset):
            return False
        self._in_hand.add(batch)
        self._idle.clear()
        return True

    def finish(self, batch: Batch) -> None:
        """Let the batch be committed: its effects are durable."""
        self._trackers[TP(batch.topic, batch.partition)].finish(batch.last_offset)

    def release(self, batch: Batch) -> None:
        """Take the batch out of hand, finished or not."""
        self._in_hand.discard(batch)
        if not self._in_hand:
            self._idle.set()

    async def in_hand_after(self, timeout_s: float) -> Collection[Batch]:
        """Wait until no batch is in hand, at most `timeout_s`; the batches that still are."""
        try:
            await asyncio.wait_for(self._idle.wait(), timeout_s)
        except TimeoutError:
            return frozenset(self._in_hand)
        return ()

    async def commit(self, write: Callable[[dict[TP, int]], Awaitable[bool]]) -> bool:
        """Commit all that is finished through `write`, False when the group moved on; True when it committed some."""
        async with self._commit_lock:
            offsets = self._committable()
            if not offsets:
                return False
            with metrics.COMMIT_SECONDS.time():
                accepted = await write(offsets)
            if not accepted:
                logger.warning("the group moved on before we could commit: the last batches will be read again")
                return False
            self._committed.update(offsets)
            return True

    def _committable(self) -> dict[TP, int]:
        """The offsets by partition that are finished and beyond what is committed."""
        committable: dict[TP, int] = {}
        for tp, tracker in self._trackers.items():
            offset, committed = tracker.committable, self._committed[tp]
            if offset is not None and offset > (committed or 0):
                committable[tp] = offset
        return committable

    def forget(self) -> None:
        """Drop the trackers: the partitions are revoked."""
        self._trackers.clear()


class Positions:
    """The next offset to read of each partition of one assignment, and what was deleted before it was read."""

    def __init__(self, committed: Mapping[TP, int | None], extents: Mapping[TopicPartition, Extent]) -> None:
        """Start from what is committed; what lies between that and the oldest record is missed."""
        self._unread = {tp: range(max(extents[tp].start, at or 0), extents[tp].end) for tp, at in committed.items()}
        self._next = {tp: offset for tp, offset in committed.items() if offset is not None}
        self.count_missed({tp: extents[tp].start for tp in self._next})

    def unread(self, tp: TP) -> range:
        """The offsets that were there and not committed at the assignment."""
        return self._unread[tp]

    def gaps(self, first: Mapping[TP, int]) -> list[TP]:
        """Partitions whose first fetched offset is beyond the next: deleted, compacted or a transaction's mark."""
        return [tp for tp, offset in first.items() if offset > self._next.get(tp, offset)]

    def count_missed(self, starts: Mapping[TP, int]) -> None:
        """Log and count the unread records before `starts`, the offsets at which reading goes on."""
        for tp, start in starts.items():
            if (missed := start - self._next[tp]) > 0:
                self._next[tp] = start
                metrics.MISSED.labels(tp[0]).inc(missed)
                logger.error("%s[%d]: %d records were deleted by retention before they were read", *tp, missed)

    def advance(self, last: Mapping[TP, int]) -> None:
        """Move past these offsets, the last ones fetched."""
        self._next.update({tp: offset + 1 for tp, offset in last.items()})
