"""Watch over the progress of each assigned partition: its lag, and the end of the process when one stands still."""

from collections.abc import Collection, Mapping
from operator import itemgetter
from typing import NamedTuple

from streams import metrics
from streams.errors import Stalled
from streams.kafka.ports import TopicPartition

WATCH_S = 5.0
"""Interval between two looks at all partitions."""


class Reading(NamedTuple):
    """One partition at one moment: its end, the next offset to apply, and when the last answered fetch was asked."""

    end: int
    applied: int
    asked_ms: int


class ProgressWatch:
    """Lag of every partition that this process owns.

    `stall_ms` is the time for which records may lie there without one being applied, or fetches go without an answer.
    Of the topics `in_step` those of one partition wait for each other, so that one that moves on speaks for all.
    """

    def __init__(self, stall_ms: int, in_step: Collection[str] = ()) -> None:
        self._stall_ms = stall_ms
        self._in_step = frozenset(in_step)
        self._moved: dict[TopicPartition, tuple[int, int]] = {}  # the next offset to apply, and since when
        self._standing = ""

    def look(self, now_ms: int, readings: Mapping[TopicPartition, Reading]) -> None:
        """Take one look; `now_ms` is a monotonic clock.  Raises Stalled for a partition that stands still."""
        self._moved = {partition: at for partition, at in self._moved.items() if partition in readings}
        moving = {
            number for (topic, number), reading in readings.items()
            if topic in self._in_step and self._moved.get((topic, number), (-1, 0))[0] != reading.applied
        }  # fmt: skip
        for partition, reading in readings.items():
            offset, since_ms = self._moved.get(partition, (-1, now_ms))
            waits = partition[0] in self._in_step and partition[1] in moving and reading.applied < reading.end
            if reading.applied == reading.end or reading.applied != offset or waits:
                since_ms = now_ms
            self._moved[partition] = reading.applied, since_ms
            metrics.LAG_RECORDS.labels(*partition).set(max(0, reading.end - reading.applied))
            metrics.STILL_SECONDS.labels(*partition).set(max(now_ms - since_ms, now_ms - reading.asked_ms) / 1000)
        longest = {at: max(now_ms - self._moved[at][1], now_ms - each.asked_ms) for at, each in readings.items()}
        (topic, number), still_ms = max(longest.items(), key=itemgetter(1), default=(("", 0), 0))
        is_long = still_ms > self._stall_ms / 2
        self._standing = f"{topic} partition {number} has stood still for {still_ms // 1000} s" if is_long else ""
        for partition, reading in readings.items():
            self._check(partition, reading, now_ms)

    def standing(self) -> str:
        """Say which partition has stood still for half of the time after which the worker ends; empty for none."""
        return self._standing

    def forget(self) -> None:
        """Drop what is known: the partitions are revoked."""
        for partition in self._moved:
            metrics.LAG_RECORDS.remove(*partition)
            metrics.STILL_SECONDS.remove(*partition)
        self._moved.clear()
        self._standing = ""

    def _check(self, partition: TopicPartition, reading: Reading, now_ms: int) -> None:
        name, seconds = f"{partition[0]} partition {partition[1]} stands still", self._stall_ms // 1000
        if now_ms - self._moved[partition][1] >= self._stall_ms:
            if reading.end < reading.applied:
                raise Stalled(
                    f"{name}: it ends at offset {reading.end}, and {reading.applied} were applied: was the topic made "
                    "anew? Then raise NPS_TOPIC_EPOCH by one"
                )
            lag = reading.end - reading.applied
            raise Stalled(f"{name}: {lag} records are there and none was applied for {seconds} s: restart")
        if now_ms - reading.asked_ms >= self._stall_ms:
            raise Stalled(f"{name}: no fetch of it was answered for {seconds} s: restart")
