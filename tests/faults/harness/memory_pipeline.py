"""The customer's side of the pipeline over topics in memory: the real code, without Kafka, dying where it is told to.

Topics are read in any order and in batches of any size; commits lag behind; after a crash a new process takes over with
what the topics hold.  Time stands at the end of the history and moves on only once all is read, as it were quiet.
"""

import asyncio
import random
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from schemas.codec import Codec
from schemas.events import PaneTally
from schemas.topics import BY_NAME, INBOUND, JOURNEYS, PANES
from streams.engine.fuse import Fuse, FuseLimits
from streams.kafka.ports import Batch, KafkaRecord, Output, TopicPartition
from streams.processing.agent import Assignment, read_back
from streams.processing.journeys import Journeys
from streams.processing.partition import PartitionProcessor
from streams.processing.rolling import RollingRows
from streams.program import load
from streams.state.lineage import Lineage
from tests.faults.harness.reading import Row, World
from tests.faults.harness.sampling import Sample
from tests.faults.traffic.generator import Sent
from tests.support.crashing import CrashingLog

PARTITIONS = 2
INBOUND_NAMES = tuple(topic.name for topic in INBOUND)
MOST_CRASHES = 30


class MemoryPipeline:
    """Workers one after the other; `crash_ratio` is how many batches are not survived."""

    log = CrashingLog

    def __init__(
        self, r: random.Random, program: Path, sent: Iterable[Sent], now_ms: int, *, crash_ratio: float = 0.0
    ) -> None:
        self.now_ms = now_ms
        self.topics = self.log(lambda topic: BY_NAME[topic].partitions or PARTITIONS, lambda: self.now_ms)
        self.crashes = 0
        self.samples: list[Sample] = []
        self._r, self._crash_ratio = r, crash_ratio
        self._program, self._codec = load(program), Codec()
        self._parts = [(topic, number) for topic in INBOUND_NAMES for number in range(PARTITIONS)]
        self._committed = dict.fromkeys(self._parts, 0)
        self.topics.send_all(Output(s.topic, s.value, s.key, -1, s.timestamp_ms, s.headers) for s in sent)

    def run(self) -> World:
        """Until all is read and nobody is due, through as many crashes as chance makes; what lies there then."""
        while not asyncio.run(self._life()):
            self.topics.crash_at = None
            self.crashes += 1
        self._roll()
        names = [topic for topic in BY_NAME if topic != JOURNEYS]
        rows = {name: [as_row(part, one) for (_, part), one in self._in(name)] for name in names}
        return World(rows, None, (), self.now_ms)

    def _in(self, topic: str) -> Iterator[tuple[TopicPartition, KafkaRecord]]:
        yield from self.topics.read([(topic, number) for number in range(BY_NAME[topic].partitions or PARTITIONS)])

    async def _life(self) -> bool:
        """One process, until there is nothing to do; False when it crashes."""
        journeys = await self._started()
        done = dict(self._committed)
        while True:
            part = self._next(done, journeys)
            try:
                if part is None:
                    self._commit(done)
                    self.now_ms += 3_000
                    journeys.tick()
                    if self._next(done, journeys) is None:
                        return True
                    continue
                await self._block(part, done, journeys)
            except ConnectionError:
                return False
            if self._r.random() < 0.5:
                self._commit(done)

    def _commit(self, done: dict[TopicPartition, int]) -> None:
        self._committed = dict(done)
        ends = {part: len(records) for part, records in self.topics.partitions.items()}
        everywhere = {(topic, number): 0 for topic in BY_NAME for number in range(PARTITIONS)}
        self.samples.append(Sample(self.now_ms, self._committed, {**everywhere, **ends}, {}))

    async def _block(self, part: TopicPartition, done: dict[TopicPartition, int], journeys: Journeys) -> None:
        records = self.topics.partitions[part][done[part] : done[part] + self._r.randrange(1, 40)]
        if self._r.random() < self._crash_ratio and self.crashes < MOST_CRASHES:
            self.topics.crash_after(self._r.randrange(3 * len(records)))
        await journeys.handle(Batch(*part, records))
        self.topics.crash_at = None
        done[part] += len(records)

    def _next(self, done: dict[TopicPartition, int], journeys: Journeys) -> TopicPartition | None:
        """Any partition with something unread that may be handed over."""
        replaying = journeys.replaying
        unread = [part for part in self._parts if done[part] < len(self.topics.partitions.get(part, ()))]
        free = [part for part in unread if replaying.get(part[1], part[0]) == part[0]]
        return self._r.choice(free) if free else None

    async def _started(self) -> Journeys:
        """A worker's customer side, its state read back."""
        now_ms = lambda: self.now_ms  # noqa: E731  # read again each time
        journeys = Journeys(self.topics, self._codec, Fuse(FuseLimits()), lambda: None, now_ms, self._processor)
        numbers = frozenset(range(PARTITIONS))
        assignment = Assignment(numbers, PARTITIONS, Lineage(0, {}), self._unread)
        restore = journeys.restore(assignment)
        read_back(self.topics, self._codec, assignment, [restore])
        await restore.put_in_place()
        return journeys

    def _processor(self, number: int, _: int) -> PartitionProcessor:
        return PartitionProcessor(number, self._program, self._codec, _segment_partition, lambda: self.now_ms)

    def _unread(self, topic: str, number: int) -> range:
        return range(self._committed[topic, number], len(self.topics.partitions.get((topic, number), ())))

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
