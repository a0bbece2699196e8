"""How far each partition was read, and a loud word on what was deleted before it could be.

A reader whose next offset is gone starts again at the oldest record there is: the reset is defined, and never silent.
"""

import logging
from collections.abc import Mapping

from faust.types import TP

from streams import metrics
from streams.engine.extents import Extent
from streams.kafka.ports import TopicPartition

logger = logging.getLogger("streams.engine")


class Positions:
    """The next offset to read of each partition of one assignment."""

    def __init__(self, committed: Mapping[TP, int | None], extents: Mapping[TopicPartition, Extent]) -> None:
        """Start from what is committed; what lies between that and the oldest record is missed."""
        self._unread = {tp: range(max(extents[tp].start, at or 0), extents[tp].end) for tp, at in committed.items()}
        self._next = {part: offset for part, offset in committed.items() if offset is not None}
        self.explain({part: extents[part].start for part in self._next})

    def unread(self, partition: TP) -> range:
        """The offsets that were there and not committed at the assignment."""
        return self._unread[partition]

    def jumped(self, first: Mapping[TP, int]) -> list[TP]:
        """The partitions whose next record does not follow the last: deleted, compacted or a transaction's mark."""
        return [part for part, offset in first.items() if offset > self._next.get(part, offset)]

    def explain(self, starts: Mapping[TP, int]) -> None:
        """Say and count what lies before these offsets, at which reading goes on, and was not read."""
        for part, start in starts.items():
            if (missed := start - self._next[part]) > 0:
                self._next[part] = start
                metrics.MISSED.labels(part[0]).inc(missed)
                logger.error("%s[%d]: %d records were deleted by retention before they were read", *part, missed)

    def took(self, last: Mapping[TP, int]) -> None:
        """Records up to these offsets were read."""
        self._next.update({part: offset + 1 for part, offset in last.items()})
