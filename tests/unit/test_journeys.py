"""What fell due while nobody was there leaves at a bounded pace, oldest first; a registry holds up its batch alone."""

import asyncio

from schemas.codec import Codec
from schemas.memory_registry import MemoryRegistry
from schemas.topics import PURCHASES, WAKEUPS
from streams.domain.state import Journey
from streams.engine.fuse import Fuse, FuseLimits
from streams.kafka.ports import Batch, KafkaRecord
from streams.processing.journeys import QUIET_MS, Journeys
from streams.processing.partition import PartitionProcessor
from streams.state.tables import JourneyEntry, encode
from tests.support.crashing import CrashingLog
from tests.support.histories import PROGRAM, START_MS, purchase

CODEC = Codec()
PER_S = 100
DUE = 1_000
TICK_MS = 200


def overdue(partition: int, _: int = 1) -> PartitionProcessor:
    """A restored partition whose customers fell due one a second, long ago."""
    processor = PartitionProcessor(partition, PROGRAM, CODEC, lambda _: 0, lambda: START_MS)
    for number in range(DUE):
        due_ms = START_MS - (DUE - number) * 1_000
        value = encode(JourneyEntry((-1,) * 5, due_ms, Journey(clock_ms=due_ms - 1)))
        processor.journeys.restore(KafkaRecord(number, due_ms, f"{partition}-{number:04}".encode(), value))
    processor.restored()
    return processor


def test_a_backlog_leaves_at_the_pace_and_oldest_first() -> None:
    """After each tick no more is out than the pace allows, in the end all is, and each partition in its order."""
    log, clock = CrashingLog(), [START_MS]
    journeys = Journeys(log, CODEC, Fuse(FuseLimits()), lambda: None, lambda: clock[0], overdue, wakeups_per_s=PER_S)
    for partition in (0, 1):
        journeys.assign(overdue(partition), lambda _: range(0))
    clock[0] += QUIET_MS
    began_ms = clock[0]
    while log.sent < 2 * DUE:
        journeys.tick()
        assert log.sent * 1_000 <= PER_S * (1_000 + clock[0] - began_ms)
        clock[0] += TICK_MS
        assert clock[0] - began_ms < 60_000
    assert clock[0] - began_ms >= (2 * DUE / PER_S - 1) * 1_000
    for partition in (0, 1):
        keys = [record.key or b"" for record in log.partitions[WAKEUPS.name, partition]]
        assert keys == sorted(keys)
        assert len(keys) == DUE


def test_a_registry_that_is_away_does_not_stop_the_loop() -> None:
    """The batch waits until its schema can be asked for; heartbeats and other partitions go on meanwhile."""
    registry = MemoryRegistry()
    value = Codec(registry).encode(purchase("p", "order.delivered", START_MS))
    registry.away = True
    codec, log = Codec(registry, encodes=False, patience_s=30), CrashingLog()

    def processor(partition: int, _: int = 1) -> PartitionProcessor:
        return PartitionProcessor(partition, PROGRAM, CODEC, lambda _: 0, lambda: START_MS)

    journeys = Journeys(log, codec, Fuse(FuseLimits()), lambda: None, lambda: START_MS, processor)
    journeys.assign(processor(0), lambda _: range(0))

    async def run() -> int:
        batch = Batch(PURCHASES.name, 0, [KafkaRecord(0, START_MS, b"c1", value)])
        task, beats = asyncio.create_task(journeys.handle(batch)), 0
        while not task.done():
            await asyncio.sleep(0.01)
            beats += 1
            registry.away = beats < 20
        await task
        return beats

    assert asyncio.run(run()) >= 20
