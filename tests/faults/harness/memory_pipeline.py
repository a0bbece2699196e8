"""The customer's side of the pipeline over topics in memory: the real code, without Kafka, dying where it is told to.

Topics are fetched in any order and in pieces of any size; after a crash a new process takes over with what the topics
hold.  Time stands at the end of the history and moves on once all is read.
"""

import asyncio
import random
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from schemas.codec import Codec
from schemas.events import PaneTally
from schemas.topics import BY_NAME, JOURNEYS, PANES
from streams.kafka.ports import KafkaRecord, Output, TopicPartition
from streams.processing.partition import PartitionProcessor
from streams.processing.rolling import RollingRows
from streams.program import load
from tests.faults.harness.reading import Row
from tests.faults.harness.reading import World as Read
from tests.faults.harness.sampling import Sample
from tests.faults.traffic.generator import Sent
from tests.support.crashing import CrashingLog
from tests.support.memory_feed import World

PARTITIONS = 2
MOST_CRASHES = 30
CRASH_WITHIN = 60
"""Records after which a process dies at the latest, with a ratio of 1."""

TURN_MS = 3_000


class MemoryPipeline:
    """Workers one after the other; the higher `crash_ratio`, up to 1, the sooner each dies; with 0 none does."""

    def __init__(
        self, r: random.Random, program: Path, sent: Iterable[Sent], now_ms: int, *, crash_ratio: float = 0.0
    ) -> None:
        self.now_ms = now_ms
        self.topics = CrashingLog(lambda topic: BY_NAME[topic].partitions or PARTITIONS, lambda: self.now_ms)
        self.crashes = 0
        self.samples: list[Sample] = []
        self._r, self._crash_ratio = r, crash_ratio
        self._program, self._codec = load(program), Codec()
        early_ms = self._program.limits.early_ms
        self._world = World(self.topics, self._codec, self._processor, range(PARTITIONS), early_ms)
        self._world.ticks = 0.03
        self.topics.send_all(Output(s.topic, s.value, s.key, -1, s.timestamp_ms, s.headers) for s in sent)

    def run(self) -> Read:
        """Until all is read and nobody is due, through as many crashes as chance makes; what lies there then."""
        while not asyncio.run(self._life()):
            self.topics.crash_at = None
            self.crashes += 1
        self._roll()
        names = [topic for topic in BY_NAME if topic != JOURNEYS]
        rows = {name: [as_row(part, one) for (_, part), one in self._in(name)] for name in names}
        return Read(rows, None, (), self.now_ms)

    def _in(self, topic: str) -> Iterator[tuple[TopicPartition, KafkaRecord]]:
        yield from self.topics.read([(topic, number) for number in range(BY_NAME[topic].partitions or PARTITIONS)])

    async def _life(self) -> bool:
        """One process, until there is nothing to do; False when it crashes."""
        world = self._world
        world.now_ms = self.now_ms
        journeys = await world.started()
        if self._crash_ratio and self.crashes < MOST_CRASHES:
            self.topics.crash_after(self._r.randrange(int(CRASH_WITHIN / self._crash_ratio)))
        try:
            while True:
                await world.drain(journeys, self._r, 40)
                self._sample()
                self.now_ms = world.now_ms = self.now_ms + TURN_MS
                await world.drain(journeys, self._r)
                journeys.tick()
                if not any(world.feed.has_unread(part) for part in world.parts):
                    return True
        except ConnectionError:
            return False
        finally:
            self.topics.crash_at = None

    def _sample(self) -> None:
        ends = {part: len(records) for part, records in self.topics.partitions.items()}
        everywhere = {(topic, number): 0 for topic in BY_NAME for number in range(PARTITIONS)}
        self.samples.append(Sample(self.now_ms, dict(self._world.feed.done), {**everywhere, **ends}, {}))

    def _processor(self, number: int, _: int) -> PartitionProcessor:
        return PartitionProcessor(number, self._program, self._codec, _segment_partition)

    def _roll(self) -> None:
        rolling = RollingRows(self._program, self._codec, lambda: self.now_ms, lambda offset: offset)
        for (_, number), record in self._in(PANES.name):
            if record.value is not None:
                rolling.restore(number, record.offset, self._codec.decode(PaneTally, record.value))
        self.topics.send_all(rolling.changes())
        while rolling.is_behind:
            self.topics.send_all(rolling.changes())


def as_row(partition: int, record: KafkaRecord) -> Row:
    """The record as a reader of Kafka has it."""
    return Row(partition, record.offset, record.timestamp, record.key, record.value, tuple(record.headers))


def _segment_partition(segment: str) -> int:
    return zlib.crc32(segment.encode()) % PARTITIONS
