"""One partition's topics read in step: always the record of the smallest time next, each topic in its own order.

A topic's time is the highest Kafka timestamp that it had so far.  Of topics at one time contacts come first, then
purchases, support, responses, wakeups.  What the pipeline itself put on a topic is read after what made it do so: until
then that topic stands still and the others go on, as they do for a worker that has read it to its end.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from tests.faults.oracle.inputs import ORDER, Taken

TOGETHER: Mapping[str, int] = MappingProxyType({})


class Timed(NamedTuple):
    """A record and its topic's time."""

    time_ms: int
    taken: Taken


def timed(records: Iterable[Taken]) -> list[Timed]:
    """The records of one partition, each topic's in their order, with their topics' times."""
    times_ms, found = dict.fromkeys(ORDER, 0), []
    for taken in records:
        topic = taken.place[0]
        if taken.moves_time:
            times_ms[topic] = max(times_ms[topic], taken.row.timestamp_ms)
        found.append(Timed(times_ms[topic], taken))
    return found


def in_step(
    records: Iterable[Timed], is_caused: Callable[[Taken], bool], late_ms: Mapping[str, int] = TOGETHER
) -> Iterator[Taken]:
    """The records in order; what nothing causes comes when all else is read.  `late_ms` are topics read behind time."""
    lanes: dict[str, deque[Timed]] = {topic: deque() for topic in ORDER}
    for one in records:
        lanes[one.taken.place[0]].append(one)
    while heads := [topic for topic, left in lanes.items() if left]:
        ready = [topic for topic in heads if is_caused(lanes[topic][0].taken)] or heads
        first = min(ready, key=lambda topic: lanes[topic][0].time_ms + late_ms.get(topic, 0))
        yield lanes[first].popleft().taken
