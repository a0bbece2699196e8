"""Detection of records that a state topic lost since offsets were committed, by extents kept in each commit.

A commit's metadata holds the first offset and the end of its partition's state topics at that moment: all the state
that the committed offsets rely on lies between.  Compaction moves neither bound.  So when a topic later begins further
on, or ends earlier, records were deleted or lost.  Counting on would publish wrong numbers: the worker stops.

    StateLost   the state is incomplete; the operator must restore the topic or have everything counted anew
"""

import json
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from streams.errors import StateLost
from streams.kafka.ports import TopicPartition


class Extent(NamedTuple):
    """First offset of a partition, and the offset after its last record."""

    start: int
    end: int


class StateExtents:
    """Widest known extents of the state topics; `group` is named in the advice of StateLost."""

    def __init__(self, group: str) -> None:
        self._group = group
        self._known: dict[TopicPartition, Extent] = {}

    def remember_commit(self, partition: int, commit_metadata: str) -> None:
        """Take the extents in the metadata of a commit of this partition; metadata of other tools is ignored."""
        for topic, extent in _read(commit_metadata).items():
            known = self._known.get((topic, partition), extent)
            self._known[topic, partition] = Extent(min(known.start, extent.start), max(known.end, extent.end))

    def compare(self, extents: Mapping[TopicPartition, Extent]) -> None:
        """Compare the present extents with the known ones, and remember them.  Raises StateLost."""
        for partition, now in extents.items():
            before = self._known.setdefault(partition, now)
            if now.start > before.start or now.end < before.end:
                raise StateLost(self._loss(partition, before, now))
            self._known[partition] = Extent(before.start, now.end)

    def commit_metadata(self, partition: int) -> str:
        """Metadata for a commit of this partition: JSON of a few dozen characters for any number of partitions."""
        extents_by_topic = {topic: extent for (topic, number), extent in self._known.items() if number == partition}
        return json.dumps(extents_by_topic, separators=(",", ":"), sort_keys=True) if extents_by_topic else ""

    def _loss(self, partition: TopicPartition, before: Extent, now: Extent) -> str:
        return (
            f"{partition[0]} partition {partition[1]} held offsets {before.start} to {before.end} when offsets were "
            f"committed and holds {now.start} to {now.end}: state was lost.  Restore the topic; or have all input "
            f"counted anew: stop the workers, delete nps.journeys, nps.panes and the consumer group {self._group}, "
            "raise NPS_TOPIC_EPOCH by one, run nps topics, start the workers"
        )


def _read(commit_metadata: str) -> dict[str, Extent]:
    try:
        bounds = json.loads(commit_metadata)
        return {str(topic): Extent(int(start), int(end)) for topic, (start, end) in bounds.items()}
    except (ValueError, TypeError, AttributeError):
        return {}


def extents(starts: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]) -> dict[TopicPartition, Extent]:
    """The extent of each partition, from its first offset and its end."""
    return {partition: Extent(starts[partition], ends[partition]) for partition in ends}


def partitions_of(topics: Iterable[str], numbers: Iterable[int]) -> list[TopicPartition]:
    """The partitions with these numbers of all topics."""
    wanted = sorted(numbers)
    return [(topic, number) for topic in topics for number in wanted]
