"""Watch over the progress of each assigned partition: its lag, and the end of the process when one stands still."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from streams import metrics
from streams.errors import Stalled
from streams.kafka.ports import TopicPartition

WATCH_S = 5.0
"""Interval between two looks at all partitions."""


class Reading(NamedTuple):
    """One partition at one moment: its end, the next offset to apply, and true when all that is there was read."""

    end: int
    applied: int
    caught_up: bool


class ProgressWatch:
    """Lag in records and seconds of every partition that this process owns.

    `stall_ms` is the time for which records may lie there without one being applied.
    """

    def __init__(self, stall_ms: int) -> None:
        self._stall_ms = stall_ms
        self._moved: dict[TopicPartition, tuple[int, int]] = {}  # the next offset to apply, and since when

    def look(self, now_ms: int, readings: Mapping[TopicPartition, Reading]) -> None:
        """Take one look; `now_ms` is a monotonic clock.  Raises Stalled for a partition that stands still."""
        self._moved = {partition: at for partition, at in self._moved.items() if partition in readings}
        stalled = []
        for partition, reading in readings.items():
            lag = 0 if reading.caught_up else max(0, reading.end - reading.applied)
            offset, since_ms = self._moved.get(partition, (-1, now_ms))
            if lag == 0 or reading.applied != offset:
                since_ms = now_ms
            self._moved[partition] = reading.applied, since_ms
            metrics.LAG_RECORDS.labels(*partition).set(lag)
            metrics.STILL_SECONDS.labels(*partition).set((now_ms - since_ms) / 1000)
            if now_ms - since_ms >= self._stall_ms:
                stalled.append((partition, lag))
        if stalled:
            raise Stalled(self._describe(stalled))

    def forget(self) -> None:
        """Drop what is known: the partitions are revoked."""
        for partition in self._moved:
            metrics.LAG_RECORDS.remove(*partition)
            metrics.STILL_SECONDS.remove(*partition)
        self._moved.clear()

    def _describe(self, stalled: Sequence[tuple[TopicPartition, int]]) -> str:
        (topic, number), lag = stalled[0]
        others = f", and {len(stalled) - 1} other partitions" if len(stalled) > 1 else ""
        return (
            f"{topic} partition {number} stands still: {lag} records are there and none was applied for "
            f"{self._stall_ms // 1000} s{others}: restart"
        )
