"""The Kafka client in its own thread: aiokafka, set up by us rather than by Faust; it hears what the group answers."""

import asyncio
from collections.abc import Collection, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeVar

import aiokafka
from aiokafka.consumer import fetcher
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import CommitFailedError, KafkaConnectionError, KafkaError
from aiokafka.protocol.group import HeartbeatRequest, SyncGroupRequest
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from streams.engine.config import EngineConfig
from streams.engine.extents import Extent, StateExtents, extents, partitions_of
from streams.engine.lease import Lease, monotonic_ms
from streams.kafka.ports import FetchedRecord
from streams.kafka.security import for_aiokafka

_T = TypeVar("_T")

# Kafka's error codes after which the group no longer counts us in: illegal generation, unknown member, fenced instance.
_CAST_OUT = (22, 25, 82)
_ACCEPTED = (0, 27)  # no error; a rebalance has begun, which still renews the session

_AGAIN_S = 0.5

_METADATA_MS = 5_000
"""A broker that has just started may not know the topics yet; a leader who asks it then assigns nothing to anybody.

It makes up for that once it looks again: by default after five minutes.
"""

_LOOK_S = 5.0  # a commit does not wait longer than this for the state topics' extents


class PlainRecords(fetcher.PartitionRecords):  # type: ignore[misc]  # aiokafka is not typed
    """What a fetch brought, as the parser made it: a copy into aiokafka's frozen dataclass takes five times as long.

    The thread that would make it takes the interpreter away from the one that decides.
    """

    def _consumer_record(self, tp: TopicPartition, record: FetchedRecord) -> FetchedRecord:
        return record


fetcher.PartitionRecords = PlainRecords


class Surroundings(Protocol):
    """What the thread needs from the engine: how to talk to Kafka, the lease to renew, the topics that hold state."""

    config: EngineConfig
    lease: Lease
    state_topics: Sequence[str]


class BatchThread(driver.AIOKafkaConsumerThread):
    """The thread that owns the Kafka client.  It renews the lease and remembers when Kafka last answered."""

    consumer: Any
    heard_ms: int = 0
    _state_extents: StateExtents | None = None

    @property
    def _surroundings(self) -> Surroundings:
        surroundings: Surroundings = self.consumer.transport
        return surroundings

    async def on_start(self) -> None:
        """Start the client and listen in on what it says to the group.  Raises KafkaConnectionError in the end."""
        give_up_ms = monotonic_ms() + self._surroundings.config.broker_wait_ms
        while True:
            try:
                await super().on_start()
                break
            except KafkaConnectionError:  # Kafka was there a moment ago, when the engine asked it about its topics
                await self._ensure_consumer().stop()
                if monotonic_ms() > give_up_ms:
                    raise
                await asyncio.sleep(_AGAIN_S)
        coordinator = self._ensure_consumer()._coordinator
        send, lease = coordinator._send_req, self._surroundings.lease

        async def listening(request: Any) -> Any:
            sent_ms = monotonic_ms()
            response = await send(request)
            self.heard_ms = monotonic_ms()
            if isinstance(request, HeartbeatRequest | SyncGroupRequest):
                if response.error_code in _ACCEPTED:
                    lease.renew(sent_ms)
                elif response.error_code in _CAST_OUT:
                    lease.lose()
            return response

        coordinator._send_req = listening
        self.heard_ms = monotonic_ms()

    @property
    def ready(self) -> bool:
        """True once the client has reached Kafka."""
        return self.heard_ms > 0

    def failure(self) -> BaseException | None:
        """The error for which the client has silently stopped working, if it has (a missing permission, say)."""
        coordinator = self._ensure_consumer()._coordinator
        if coordinator._pending_exception is not None:
            return coordinator._pending_exception  # type: ignore[no-any-return]
        task = coordinator._coordination_task
        return task.exception() if task.done() and not task.cancelled() else None

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        config: EngineConfig = transport.config
        return aiokafka.AIOKafkaConsumer(
            bootstrap_servers=config.brokers.split(","),
            client_id=config.client_id,
            group_id=config.group,
            group_instance_id=config.instance_id,
            # The same partition numbers of every topic to the same worker; round robin would scatter them.
            partition_assignment_strategy=[RangePartitionAssignor],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            fetch_max_wait_ms=config.fetch_wait_ms,
            max_partition_fetch_bytes=config.partition_fetch_bytes,
            consumer_timeout_ms=max(20, config.fetch_wait_ms),
            session_timeout_ms=config.session_timeout_ms,
            heartbeat_interval_ms=max(100, config.session_timeout_ms // 4),
            rebalance_timeout_ms=config.rebalance_timeout_ms,
            max_poll_interval_ms=86_400_000,  # a slow batch must not make the client leave: the lease guards writes
            metadata_max_age_ms=_METADATA_MS,
            request_timeout_ms=max(config.session_timeout_ms, config.rebalance_timeout_ms) + 5_000,
            **for_aiokafka(config.security),
        )

    async def getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
        """Fetch, past Faust's method queue: its two workers may both be waiting for an assignment."""
        consumer = self._ensure_consumer()
        return await self.here(self._fetch_records(consumer, active_partitions or set(), timeout))

    async def commit(self, tps: Mapping[TP, int]) -> bool:
        """Commit, if the state is whole; False when the group has moved on.  Raises StateLost."""
        return await self.here(self._commit(tps))

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        with suppress(KafkaError, TimeoutError):  # the last look still bears witness
            await asyncio.wait_for(self._look({tp.partition for tp in offsets}), _LOOK_S)
        said = {tp: self._state_extents.commit_metadata(tp.partition) if self._state_extents else "" for tp in offsets}
        try:
            await self._ensure_consumer().commit(
                {TopicPartition(*tp): OffsetAndMetadata(offset, said[tp]) for tp, offset in offsets.items()}
            )
        except CommitFailedError:
            return False
        return True

    async def check_state(self, tps: Iterable[TP]) -> None:
        """Compare the state topics with what the commits of these partitions said of them.  Raises StateLost."""
        await self.here(self._check_state([TopicPartition(*tp) for tp in tps]))

    async def _check_state(self, tps: Collection[TopicPartition]) -> None:
        state_extents = self._state_extents = StateExtents(self._surroundings.config.group)
        for tp, committed in (await self._ensure_consumer()._coordinator.fetch_committed_offsets(tps)).items():
            state_extents.remember_commit(tp.partition, committed.metadata)
        await self._look({tp.partition for tp in tps})

    async def _look(self, numbers: Collection[int]) -> None:
        if self._state_extents is not None and (topics := self._surroundings.state_topics):
            self._state_extents.compare(
                await self._extents([TopicPartition(*tp) for tp in partitions_of(topics, numbers)])
            )

    async def extents(self, tps: Iterable[TP]) -> Mapping[tuple[str, int], Extent]:
        """Where these partitions begin and end."""
        return await self.here(self._extents([TopicPartition(*tp) for tp in tps]))

    async def _extents(self, tps: Collection[TopicPartition]) -> Mapping[tuple[str, int], Extent]:
        consumer = self._ensure_consumer()
        return extents(*await asyncio.gather(consumer.beginning_offsets(tps), consumer.end_offsets(tps)))

    async def here(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine on this thread's loop and wait for it on the caller's."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self.thread_loop))
