"""The customer's side of the pipeline over topics in memory: the real code, without Kafka, dying where it is told to.

Topics are read in any order and in blocks of any size; commits lag behind; after a crash a new process takes over with
what the topics hold.  Time stands at the end of the history and moves on only once all is read, as it were quiet.
"""

import asyncio
import random
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from schemas.codec import Codec
from schemas.events import PaneTally
from schemas.topics import BY_NAME, INBOUND, JOURNEYS, PANES
from streams.engine.fuse import Fuse, FuseLimits
from streams.kafka.batch import Batch
from streams.kafka.ports import KafkaRecord, MemoryLog, Output, TopicPartition
from streams.processing.journeys import Journeys
from streams.processing.partition import PartitionProcessor
from streams.processing.rolling import Rolling
from streams.program import load
from streams.state.recovery import BatchInDoubt, Recovery, output_partitions
from tests.faults.harness.reading import Row, World
from tests.faults.harness.sampling import Sample
from tests.faults.traffic.generator import Sent

PARTITIONS = 2
INBOUND_NAMES = tuple(topic.name for topic in INBOUND)
MOST_CRASHES = 30


class Topics(MemoryLog):
    """The log in memory with what Kafka adds to a record: the partition that its key chooses, and the time."""

    def __init__(self, now_ms: int) -> None:
        super().__init__()
        self.now_ms = now_ms

    def crash_after(self, records: int) -> None:
        """Let so many more records through."""
        self.crash_at = self.sent + records

    def send_all(self, outputs: Iterable[Output]) -> None:
        """Append the records, or raise where the crash was asked for."""
        super().send_all(map(self._placed, outputs))

    def _placed(self, out: Output) -> Output:
        known = BY_NAME[out.topic].partitions or PARTITIONS
        partition = out.partition if out.partition >= 0 else zlib.crc32(out.key or b"") % known
        return out._replace(partition=partition, timestamp_ms=out.timestamp_ms or self.now_ms)


class MemoryPipeline:
    """Workers one after the other; `crash_ratio` is how many blocks are not survived."""

    def __init__(
        self, r: random.Random, program: Path, sent: Iterable[Sent], now_ms: int, *, crash_ratio: float = 0.0
    ) -> None:
        self.topics = Topics(now_ms)
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
        return World(rows, None, (), self.topics.now_ms)

    def _in(self, topic: str) -> Iterator[tuple[TopicPartition, KafkaRecord]]:
        yield from self.topics.read([(topic, number) for number in range(BY_NAME[topic].partitions or PARTITIONS)])

    async def _life(self) -> bool:
        """One process, until there is nothing to do; False when it crashes."""
        journeys = self._started()
        done = dict(self._committed)
        while True:
            part = self._next(done, journeys)
            try:
                if part is None:
                    self._commit(done)
                    self.topics.now_ms += 3_000
                    journeys.wake()
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
        self.samples.append(Sample(self.topics.now_ms, self._committed, {**everywhere, **ends}, {}))

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

    def _started(self) -> Journeys:
        processors = {number: self._restored(number) for number in range(PARTITIONS)}
        recovery = self.recovery(processors)
        journeys = Journeys(self.topics, self._codec, Fuse(FuseLimits()), lambda: None, lambda: self.topics.now_ms)
        for number, work in processors.items():
            journeys.assign(work, lambda topic, number=number: self._unread(topic, number), recovery.get(number))  # type: ignore[misc]
        return journeys

    def recovery(self, processors: Mapping[int, PartitionProcessor]) -> Mapping[int, BatchInDoubt | None]:
        """Which block of each partition may have been left half done."""
        recovery = Recovery(self._codec, {number: work.journeys for number, work in processors.items()})
        for (topic, number), record in self.topics.read(output_partitions(processors)):
            recovery.take(topic, number, record)
        return {number: recovery.of(number) for number in processors}

    def _unread(self, topic: str, number: int) -> range:
        return range(self._committed[topic, number], len(self.topics.partitions.get((topic, number), ())))

    def _restored(self, number: int) -> PartitionProcessor:
        work = PartitionProcessor(number, self._program, self._codec, _segment_partition, lambda: self.topics.now_ms)
        for _, record in self.topics.read([(JOURNEYS, number)]):
            work.journeys.restore(record)
        for _, record in self._in(PANES.name):
            pane = self._codec.decode(PaneTally, record.value)
            if pane.source_partition == number:
                work.panes.restore(pane)
        work.restored()
        return work

    def _roll(self) -> None:
        rolling = Rolling(self._program, self._codec, lambda: self.topics.now_ms, lambda offset: offset)
        for (_, number), record in self._in(PANES.name):
            rolling.take(number, record.offset, self._codec.decode(PaneTally, record.value))
        self.topics.send_all(rolling.changes())


def as_row(partition: int, record: KafkaRecord) -> Row:
    """The record as a reader of Kafka has it."""
    return Row(partition, record.offset, record.timestamp, record.key, record.value, tuple(record.headers))


def _segment_partition(segment: str) -> int:
    return zlib.crc32(segment.encode()) % PARTITIONS
