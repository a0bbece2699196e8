"""A worker: the journeys and the rolling windows of its partitions, restored before the first batch is touched."""

import asyncio
import gc
import logging
import sys
import time
import zlib
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial

from schemas.codec import Codec
from schemas.events import PaneTally
from schemas.topics import INBOUND, JOURNEYS, PANES
from streams import metrics
from streams.clock import wall_ms
from streams.domain.links import Keys
from streams.domain.policy import Program
from streams.engine.config import EngineConfig
from streams.engine.engine import BatchHandler, Engine
from streams.engine.failpoints import FailingLog, Failpoints, failing_handler
from streams.engine.fuse import Fuse, FuseLimits
from streams.engine.guard import guard, stop_at_once
from streams.errors import ExitCode
from streams.kafka.admin import topic_ids, wait_for_broker
from streams.kafka.batch import Batch
from streams.kafka.ports import Log, Output
from streams.kafka.producer import Producer
from streams.kafka.reader import KafkaReader
from streams.processing.journeys import WAKEUPS_PER_S, Journeys
from streams.processing.partition import EPOCH_SHIFT, PartitionProcessor
from streams.processing.rolling import Rolling
from streams.state.lineage import KEY as ORIGIN
from streams.state.lineage import Lineage, decode, encode
from streams.state.recovery import TAIL_RECORDS, Recovery, output_partitions

TICK_S = 0.2
"""How often wakeups and rolling rows go out."""

GARBAGE_AFTER = 200_000
"""New objects before Python looks for cycles: a batch makes many thousands and no cycles."""

SWITCH_S = 0.02
"""How long the thread that decides may keep the interpreter when the Kafka client asks for it, four times as long as by
default: every change takes both threads' time, and a heartbeat has seconds.
"""

logger = logging.getLogger("streams.worker")


class Worker:
    """One worker process.

    `epoch` is the topics' epoch, `now_ms` the wall clock; `keys` sign survey links; `failpoints` are for tests.
    """

    def __init__(
        self,
        config: EngineConfig,
        program: Program,
        codec: Codec,
        fuse: FuseLimits,
        epoch: int = 0,
        now_ms: Callable[[], int] = wall_ms,
        failpoints: Failpoints | None = None,
        keys: Keys | None = None,
        wakeups_per_s: int = WAKEUPS_PER_S,
    ) -> None:
        self._config = config
        self._program = program
        self._codec = codec
        self._epoch = epoch
        self._now_ms = now_ms
        self._keys = keys
        self._log: Log = Producer(
            config.brokers,
            client_id=config.client_id,
            security=config.security,
            delivery_timeout_ms=config.session_timeout_ms,  # what waited longer may be a successor's to write
        )
        batch: BatchHandler = self._journey_batch
        if failpoints:
            self._log, batch = FailingLog(self._log, failpoints), failing_handler(batch, failpoints)
        handlers = {topic.name: batch for topic in INBOUND}
        self._engine = Engine(
            config,
            {**handlers, PANES.name: self._pane_batch},
            state_topics=(JOURNEYS, PANES.name),
            assigned=self._assigned,
            revoked=self._revoked,
        )
        self._journeys = Journeys(self._log, codec, Fuse(fuse), self._engine.lease.check, now_ms, wakeups_per_s)
        self._rolling = self._no_segments()
        self._segment_partitions = 0
        self._held_back: Mapping[int, str] = {}
        self._unsigned: list[int] = []
        self._ticking: asyncio.Task[None] | None = None

    def run(self) -> ExitCode:
        """Work until asked to stop; the exit code says how it ended."""
        gc.set_threshold(GARBAGE_AFTER)
        sys.setswitchinterval(SWITCH_S)
        return self._engine.run()

    async def _journey_batch(self, batch: Batch) -> None:
        await self._journeys.handle(batch)
        if self._held_back:
            self._hold_back()

    async def _pane_batch(self, batch: Batch) -> None:
        for record in batch.records:
            if record.value is not None:
                self._rolling.take(batch.partition, record.offset, self._codec.decode(PaneTally, record.value))

    async def _assigned(self, partitions: frozenset[int]) -> None:
        config = self._config
        known = await wait_for_broker(config.brokers, config.security, config.broker_wait_ms)
        self._segment_partitions = known[PANES.name]
        rolling = self._no_segments()
        lineage = Lineage(
            self._epoch, await topic_ids(config.brokers, config.security, [topic.name for topic in INBOUND])
        )
        processors, recovery = await asyncio.to_thread(self._restored, partitions, rolling, lineage)
        for number, work in processors.items():
            self._journeys.assign(work, partial(self._engine.unread, partition=number), recovery.of(number))
        await self._sign(lineage)
        self._hold_back()
        self._rolling = rolling
        self._ticking = asyncio.create_task(self._tick())

    async def _sign(self, lineage: Lineage) -> None:
        """Say in the state what it is made from, where it does not say so yet."""
        if self._unsigned and lineage.topics:
            self._engine.lease.check()
            self._log.send_all(Output(JOURNEYS, encode(lineage), ORIGIN, number) for number in self._unsigned)
            await self._log.flush()

    def _hold_back(self) -> None:
        """Let nothing but one topic in where it is still being replayed."""
        self._held_back = self._journeys.replaying
        first = self._held_back.items()
        self._engine.hold_back((each.name, number) for number, name in first for each in INBOUND if each.name != name)

    async def _revoked(self, partitions: frozenset[int]) -> None:
        if self._ticking is not None:
            self._ticking.cancel()
        await self._log.flush()
        self._journeys.revoke(partitions)
        self._rolling = self._no_segments()

    def _restored(
        self, partitions: frozenset[int], rolling: Rolling, lineage: Lineage
    ) -> tuple[dict[int, PartitionProcessor], Recovery]:
        """Tables of these partitions as their topics hold them; nps.panes is read once for tables and windows."""
        started, count = time.perf_counter(), 0
        processors = {number: self._work(number) for number in partitions}
        made_from: dict[int, Lineage] = {}
        journeys = [(JOURNEYS, number) for number in partitions]
        panes = [(PANES.name, number) for number in range(self._segment_partitions)]
        ours = tuple(f"|{number}".encode() for number in partitions)
        with closing(KafkaReader(self._config.brokers, self._config.security)) as reader:
            for (topic, number), record in reader.read([*journeys, *panes]):
                count += 1
                if count % 10_000 == 0:
                    metrics.LAST_PROGRESS.set_to_current_time()
                if topic == JOURNEYS and record.key == ORIGIN:
                    made_from[number] = decode(record.value or b"")
                    lineage.follow(made_from[number])
                elif topic == JOURNEYS:
                    processors[number].journeys.restore(record)
                elif record.value is not None and (number in processors or (record.key or b"").endswith(ours)):
                    self._restore_pane(number, record.offset, record.value, processors, rolling)
            recovery = Recovery(self._codec, {number: work.journeys for number, work in processors.items()})
            for (topic, number), record in reader.tail(output_partitions(partitions), TAIL_RECORDS):
                recovery.take(topic, number, record)
        for work in processors.values():
            work.restored()
        self._unsigned = [number for number in partitions if made_from.get(number) != lineage]
        seconds = time.perf_counter() - started
        metrics.RESTORED.inc(count)
        metrics.RESTORE_SECONDS.observe(seconds)
        logger.info("restored partitions=%s records=%d seconds=%.2f", sorted(partitions), count, seconds)
        return processors, recovery

    def _restore_pane(
        self, number: int, offset: int, value: bytes, processors: dict[int, PartitionProcessor], rolling: Rolling
    ) -> None:
        pane = self._codec.decode(PaneTally, value)
        if pane.source_partition in processors:
            processors[pane.source_partition].panes.restore(pane)
        if number in processors:
            rolling.take(number, offset, pane)

    def _no_segments(self) -> Rolling:
        return Rolling(self._program, self._codec, self._now_ms, lambda offset: self._epoch << EPOCH_SHIFT | offset)

    def _work(self, partition: int) -> PartitionProcessor:
        program, codec = self._program, self._codec
        return PartitionProcessor(
            partition, program, codec, self._segment_partition, self._now_ms, self._epoch, self._keys
        )

    def _segment_partition(self, segment: str) -> int:
        return zlib.crc32(segment.encode()) % self._segment_partitions

    async def _tick(self) -> None:
        """Write due wakeups and changed rolling rows, again and again while the partitions are ours."""
        while True:
            with guard("writing wakeups and rolling rows", stop_at_once):
                self._journeys.wake()
                if not self._journeys.busy:
                    metrics.LAST_PROGRESS.set_to_current_time()
                if rows := self._rolling.changes():
                    self._engine.lease.check()
                    self._log.send_all(rows)
            await asyncio.sleep(TICK_S)
