"""Did a topic that holds our state lose records since offsets were committed?  Every commit bears witness.

A commit's metadata says where the state topics of its partition began and ended at that moment: all the state that the
committed offsets rely on lies between.  Compaction moves neither bound.  So when a topic later begins further on, or
ends earlier, records were deleted or lost, and whoever counted on would publish wrong numbers: the worker stops.

    StateLost   the state is incomplete; a person must restore the topic or have everything counted anew
"""

import json
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from streams.errors import StateLost
from streams.kafka.ports import TopicPartition


class Extent(NamedTuple):
    """Where a partition begins, and the offset after its last record."""

    start: int
    end: int


class StateExtents:
    """What is known of the state topics' extents; `group` is named in the advice."""

    def __init__(self, group: str) -> None:
        self._group = group
        self._known: dict[TopicPartition, Extent] = {}

    def remember_commit(self, partition: int, commit_metadata: str) -> None:
        """Take what a commit of this partition said, or nothing where some other tool wrote it."""
        for topic, extent in _read(commit_metadata).items():
            known = self._known.get((topic, partition), extent)
            self._known[topic, partition] = Extent(min(known.start, extent.start), max(known.end, extent.end))

    def compare(self, extents: Mapping[TopicPartition, Extent]) -> None:
        """Compare what is there now with what was.  Raises StateLost."""
        for partition, now in extents.items():
            before = self._known.setdefault(partition, now)
            if now.start > before.start or now.end < before.end:
                raise StateLost(self._loss(partition, before, now))
            self._known[partition] = Extent(before.start, now.end)

    def commit_metadata(self, partition: int) -> str:
        """What a commit of this partition says: a few dozen characters, whatever the number of partitions."""
        told = {topic: extent for (topic, number), extent in self._known.items() if number == partition}
        return json.dumps(told, separators=(",", ":"), sort_keys=True) if told else ""

    def _loss(self, partition: TopicPartition, before: Extent, now: Extent) -> str:
        return (
            f"{partition[0]} partition {partition[1]} held offsets {before.start} to {before.end} when offsets were "
            f"committed and holds {now.start} to {now.end}: state was lost.  Restore the topic; or have all input "
            f"counted anew: stop the workers, delete nps.journeys, nps.panes and the consumer group {self._group}, "
            "raise NPS_TOPIC_EPOCH by one, run nps topics, start the workers"
        )


def _read(commit_metadata: str) -> dict[str, Extent]:
    try:
        found = json.loads(commit_metadata)
        return {str(topic): Extent(int(start), int(end)) for topic, (start, end) in found.items()}
    except (ValueError, TypeError, AttributeError):
        return {}


def extents(starts: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]) -> dict[TopicPartition, Extent]:
    """The bounds of each partition in one."""
    return {partition: Extent(starts[partition], ends[partition]) for partition in ends}


def partitions_of(topics: Iterable[str], numbers: Iterable[int]) -> list[TopicPartition]:
    """The partitions with these numbers of all topics."""
    wanted = sorted(numbers)
    return [(topic, number) for topic in topics for number in wanted]
