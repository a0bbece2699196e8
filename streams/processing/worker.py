"""Worker: agents on the partitions that the group assigns, with state read back before the first batch."""

import asyncio
import gc
import logging
import sys
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing

from schemas.codec import Codec
from schemas.topics import INBOUND, JOURNEYS, PANES
from streams import metrics
from streams.clock import wall_ms
from streams.domain.links import Keys
from streams.domain.policy import Program
from streams.engine.config import EngineConfig
from streams.engine.engine import Engine
from streams.engine.fuse import Fuse, FuseLimits
from streams.engine.guard import guard, stop_at_once
from streams.errors import ExitCode
from streams.kafka.admin import topic_ids, wait_for_broker
from streams.kafka.ports import Batch, Log, TopicPartition
from streams.kafka.reader import KafkaReader
from streams.processing.agent import Agent, Assignment, Restore, read_back
from streams.processing.journeys import WAKEUPS_PER_S, Journeys
from streams.processing.partition import EPOCH_SHIFT, PartitionProcessor
from streams.processing.rolling import Rolling, RollingRows
from streams.state.lineage import Lineage

TICK_S = 0.2
"""Interval between writes of wakeups and rolling rows."""

GARBAGE_AFTER = 200_000
"""New objects before Python searches for cycles: a batch makes many thousands and no cycles."""

SWITCH_S = 0.02
"""Time for which the thread that decides keeps the interpreter while the Kafka client waits, 4 times the default:
each switch costs both threads time, and a heartbeat has seconds.
"""

logger = logging.getLogger("streams.worker")


class Worker:
    """A worker process.  Outputs go to `log`, which must give a record up after the session timeout.

    `epoch` is the topics' epoch, `now_ms` the wall clock; `keys` sign the links of surveys; None makes no links.
    """

    def __init__(
        self,
        config: EngineConfig,
        program: Program,
        codec: Codec,
        log: Log,
        fuse: FuseLimits,
        *,
        epoch: int = 0,
        now_ms: Callable[[], int] = wall_ms,
        keys: Keys | None = None,
        wakeups_per_s: int = WAKEUPS_PER_S,
    ) -> None:
        self._config, self._codec, self._log, self._epoch = config, codec, log, epoch
        self.topics, self.in_step = (*Journeys.topics, *Rolling.topics), Journeys.topics
        self._engine = Engine(config, self, state_topics=(JOURNEYS, PANES.name))
        check_lease = self._engine.lease.check

        def make_processor(number: int, segment_partitions: int) -> PartitionProcessor:
            def partition_of(segment: str) -> int:
                return zlib.crc32(segment.encode()) % segment_partitions

            return PartitionProcessor(number, program, codec, partition_of, epoch, keys, segment_partitions)

        def make_rows(segment_partitions: int) -> RollingRows:
            return RollingRows(program, codec, now_ms, lambda offset: epoch << EPOCH_SHIFT | offset, segment_partitions)

        self._agents: list[Agent] = [
            Journeys(
                log, codec, Fuse(fuse), self._engine, check_lease, now_ms, make_processor,
                early_ms=program.limits.early_ms, wakeups_per_s=wakeups_per_s,
            ),
            Rolling(log, codec, self._engine, check_lease, make_rows),
        ]  # fmt: skip
        self._agent_of = {topic: agent for agent in self._agents for topic in agent.topics}
        self._tick_task: asyncio.Task[None] | None = None

    def run(self) -> ExitCode:
        """Work until a signal or an error stops the process; the exit code tells them apart."""
        gc.set_threshold(GARBAGE_AFTER)
        sys.setswitchinterval(SWITCH_S)
        return self._engine.run()

    def unready(self) -> str:
        """Say why no records can be processed; empty while they can.  From any thread."""
        return self._engine.unready()

    async def assigned(self, partitions: frozenset[int]) -> Mapping[TopicPartition, int]:
        """Restore the state of these partitions; returns the offsets to read on from, where the state knows them."""
        brokers, security = self._config.brokers, self._config.security
        partition_counts = await wait_for_broker(brokers, security, self._config.broker_wait_ms)
        lineage = Lineage(self._epoch, await topic_ids(brokers, security, [topic.name for topic in INBOUND]))
        assignment = Assignment(partitions, partition_counts[PANES.name], lineage)
        restores = [agent.restore(assignment) for agent in self._agents]
        await asyncio.to_thread(self._read_back, assignment, restores)
        positions: dict[TopicPartition, int] = {}
        for restore in restores:
            positions.update(await restore.put_in_place())
        self._tick_task = asyncio.create_task(self._tick())
        return positions

    def wants(self, topic: str, partition: int) -> bool:
        """True while there is room for more records of this partition."""
        return self._agent_of[topic].wants(topic, partition)

    def receive(self, batch: Batch) -> None:
        """Hand a batch to the agent of its topic."""
        self._agent_of[batch.topic].receive(batch)

    def resume(self) -> None:
        """Let the agents look again at what a topic held up."""
        for agent in self._agents:
            agent.resume()

    async def finish(self) -> None:
        """Finish the batches in hand and begin no more."""
        if self._tick_task is not None:
            self._tick_task.cancel()
        for agent in self._agents:
            await agent.finish()
        await self._log.flush()

    async def revoked(self) -> None:
        """Drop the state of all partitions."""
        for agent in self._agents:
            agent.revoke()

    def _read_back(self, assignment: Assignment, restores: Sequence[Restore]) -> None:
        started = time.perf_counter()
        with closing(KafkaReader(self._config.brokers, self._config.security)) as reader:
            count = read_back(reader, self._codec, assignment, restores)
        seconds = time.perf_counter() - started
        metrics.RESTORED.inc(count)
        metrics.RESTORE_SECONDS.observe(seconds)
        logger.info("restored partitions=%s records=%d seconds=%.2f", sorted(assignment.partitions), count, seconds)

    async def _tick(self) -> None:
        """Call `tick` of the agents every `TICK_S` until the partitions are revoked."""
        while True:
            with guard("writing wakeups and rolling rows", stop_at_once):
                for agent in self._agents:
                    agent.tick()
            await asyncio.sleep(TICK_S)
