"""Offsets of the assigned partitions: read, applied and committed.

A commit never passes what is applied.  Reading whose next offset was deleted goes on at the oldest record there is; the
gap is logged and counted.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping

from faust.types import TP

from streams import metrics
from streams.engine.extents import Extent
from streams.errors import BadTopics
from streams.kafka.ports import Batch, TopicPartition

logger = logging.getLogger("streams.engine")


class Offsets:
    """The next offset to read, to apply and to commit, of each partition of one assignment.

    `committed` is Faust's table of the offsets that the group knows, by partition, None for no commit; a successful
    commit updates it.  `group` is named in the advice of BadTopics.
    """

    def __init__(self, group: str, committed: MutableMapping[TP, int | None]) -> None:
        self._group = group
        self._committed = committed
        self.next_to_read: dict[TP, int] = {}
        """Position of the client once all that it fetched was handed over."""
        self.applied: dict[TP, int] = {}
        """The next offset to apply, of the partitions where it is known."""
        self._expected: dict[TP, int] = {}
        self._commit_lock = asyncio.Lock()

    def committed(self, tp: TP) -> int | None:
        """The next offset to process as the group knows it; None when nothing was ever committed."""
        return self._committed[tp]

    def start(self, positions: Mapping[TP, int | None], extents: Mapping[TopicPartition, Extent]) -> None:
        """Begin an assignment at these positions, None for the oldest record; what lies before that is missed."""
        self.forget()
        self._expected = {tp: offset or 0 for tp, offset in positions.items()}
        self.applied = {tp: extents[tp].start if offset is None else offset for tp, offset in positions.items()}
        self.count_missed({tp: extents[tp].start for tp in positions})

    def read(self, tp: TP, batch: Batch) -> None:
        """Move past a batch that is handed over.  Raises BadTopics when it lies before what is applied."""
        if batch.first_offset < (applied := self.applied.get(tp, 0)):
            raise BadTopics(
                f"{batch}: the topic has fewer records than the {applied} that were committed: was it made anew? "
                f"delete the consumer group {self._group} and raise NPS_TOPIC_EPOCH by one"
            )
        self._expected[tp] = batch.last_offset + 1

    def handed_over(self, tp: TP) -> int:
        """The offset after the last record that was handed over."""
        return self._expected.get(tp, 0)

    def apply(self, tp: TP, offset: int) -> None:
        """Let everything before `offset` be committed: its effects are durable."""
        self.applied[tp] = offset

    async def commit(self, write: Callable[[dict[TP, int]], Awaitable[bool]]) -> bool:
        """Commit all that is applied through `write`, False when the group moved on; True when it committed some."""
        async with self._commit_lock:
            offsets = {tp: offset for tp, offset in self.applied.items() if offset > (self._committed[tp] or 0)}
            if not offsets:
                return False
            with metrics.COMMIT_SECONDS.time():
                accepted = await write(offsets)
            if not accepted:
                logger.warning("the group moved on before we could commit: the last batches will be read again")
                return False
            self._committed.update(offsets)
            return True

    def forget(self) -> None:
        """Drop the positions: the partitions are revoked."""
        self.next_to_read.clear()
        self.applied.clear()
        self._expected.clear()

    def gaps(self, first: Mapping[TP, int]) -> list[TP]:
        """Partitions whose first fetched offset is beyond the next: deleted, compacted or a transaction's mark."""
        return [tp for tp, offset in first.items() if offset > self._expected.get(tp, offset)]

    def count_missed(self, starts: Mapping[TP, int]) -> None:
        """Log and count the unread records before `starts`, the offsets at which reading goes on."""
        for tp, start in starts.items():
            if (missed := start - self._expected[tp]) > 0:
                self._expected[tp] = start
                metrics.MISSED.labels(tp[0]).inc(missed)
                logger.error("%s[%d]: %d records were deleted by retention before they were read", *tp, missed)
