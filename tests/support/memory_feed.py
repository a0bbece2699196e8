"""The engine's part without Kafka: fetches what lies in a log in memory, as much and in whatever order it is told."""

import random
from collections import defaultdict
from collections.abc import Collection, Mapping
from time import monotonic_ns

from schemas.codec import Codec
from schemas.topics import INBOUND
from streams.engine.fuse import Fuse, FuseLimits
from streams.kafka.memory import MemoryLog
from streams.kafka.ports import Batch, TopicPartition
from streams.processing.agent import Assignment, read_back
from streams.processing.journeys import Journeys, MakeProcessor
from streams.state.lineage import Lineage


class MemoryFeed:
    """Where reading is in each partition, and of which the last fetch found nothing."""

    def __init__(self, log: MemoryLog) -> None:
        self.log = log
        self.at: defaultdict[TopicPartition, int] = defaultdict(int)
        self.done: dict[TopicPartition, int] = {}
        self._empty: dict[TopicPartition, int] = {}

    def start(self, positions: Mapping[TopicPartition, int]) -> None:
        """Read on from what the state knows."""
        self.at.update(positions)

    def fetch(self, journeys: Journeys, part: TopicPartition, at_most: int) -> int:
        """Hand over so many records at most; how many there were."""
        if not journeys.wants(*part):
            return 0
        asked_ns, at = monotonic_ns(), self.at[part]
        records = self.log.partitions.get(part, [])[at : at + at_most]
        if not records:
            self._empty[part] = asked_ns
            return 0
        self._empty.pop(part, None)
        self.at[part] += len(records)
        journeys.receive(Batch(*part, records))
        return len(records)

    def has_unread(self, part: TopicPartition) -> bool:
        """True while there is more."""
        return self.at[part] < len(self.log.partitions.get(part, ()))

    def applied(self, topic: str, partition: int, offset: int) -> None:
        """Durable up to here."""
        self.done[topic, partition] = offset

    def caught_up_ns(self, topic: str, partition: int) -> int:
        """When the last fetch was asked that found nothing after all that was handed over."""
        return self._empty.get((topic, partition), -1)

    def tell_when_empty(self) -> None:
        """Nobody waits here."""


class World:
    """The customers' side over a log in memory, started anew after each crash with what its topics hold."""

    def __init__(
        self, log: MemoryLog, codec: Codec, make_processor: MakeProcessor, numbers: Collection[int], early_ms: int
    ) -> None:
        self.log, self.codec, self.make_processor, self.early_ms = log, codec, make_processor, early_ms
        self.numbers = frozenset(numbers)
        self.parts = [(topic.name, number) for topic in INBOUND for number in sorted(self.numbers)]
        self.now_ms = 0
        self.ticks = 0.0
        """Share of the steps in which somebody looks for who is due before all is read."""
        self.feed = MemoryFeed(log)

    async def started(self) -> Journeys:
        """A worker's customers' side, its state read back; it processes only when it is told to."""
        feed = self.feed = MemoryFeed(self.log)
        journeys = Journeys(
            self.log, self.codec, Fuse(FuseLimits()), feed, lambda: None, lambda: self.now_ms, self.make_processor,
            early_ms=self.early_ms,
        )  # fmt: skip
        journeys.start = lambda: None  # type: ignore[method-assign]  # no tasks: the test has every step in hand
        assignment = Assignment(self.numbers, len(self.numbers), Lineage(0, {}))
        restore = journeys.restore(assignment)
        read_back(self.log, self.codec, assignment, [restore])
        feed.start(await restore.put_in_place())
        return journeys

    async def drain(self, journeys: Journeys, r: random.Random, at_most: int = 25) -> None:
        """Fetch, process and look for who is due in an order that chance makes, until all that is there is applied."""
        while True:
            chance = r.random()
            if chance < self.ticks:
                journeys.tick()
            elif chance < 0.6:
                self.feed.fetch(journeys, r.choice(self.parts), r.randrange(1, at_most))
            else:
                number = r.choice(sorted(self.numbers))
                journeys._assigned[number].at_most = r.randrange(1, at_most)
                await journeys.process_next(number)
            if not any(self.feed.has_unread(part) for part in self.parts) and await self._settled(journeys):
                return

    async def _settled(self, journeys: Journeys) -> bool:
        """True once nothing is left, neither in a topic nor in a merge."""
        for part in self.parts:
            self.feed.fetch(journeys, part, 25)
        progressed = [await journeys.process_next(number) for number in sorted(self.numbers)]
        return not any(progressed) and not any(self.feed.has_unread(part) for part in self.parts)
