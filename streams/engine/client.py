"""Kafka client in a thread of its own: aiokafka, configured here, with every answer of the group observed."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic_ns
from typing import Any, NamedTuple, Protocol, TypeVar

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
from streams.engine.guard import Stop
from streams.engine.lease import Lease, monotonic_ms
from streams.engine.oauth import TokenProvider
from streams.kafka import ports
from streams.kafka.ports import Batch, FetchedRecord
from streams.kafka.security import OAUTHBEARER, for_aiokafka

_T = TypeVar("_T")

# Kafka's error codes for no longer being a member: illegal generation, unknown member, fenced instance.
_EXPELLED = (22, 25, 82)
_ACCEPTED = (0, 27)  # no error; a rebalance has begun, which still renews the session

_RETRY_S = 0.5

_METADATA_MS = 5_000
"""Age at which topic metadata is fetched again, by default five minutes.

A broker that has just started may not know the topics yet; a group leader who asks it then assigns no partitions until
the next fetch.
"""

_BEHIND_WAIT_MS = 2_000
"""Longest wait of a fetch that is known to have something to find: a broker that has it answers at once."""

_COMPARE_S = 5.0  # a commit does not wait longer than this for the state topics' extents


class PlainRecords(fetcher.PartitionRecords):  # type: ignore[misc]  # aiokafka is not typed
    """Records of a fetch as the parser made them: a copy into aiokafka's frozen dataclass takes five times as long.

    The thread that would make the copy takes the interpreter away from the thread that decides.
    """

    def _consumer_record(self, tp: TopicPartition, record: FetchedRecord) -> FetchedRecord:
        return record


fetcher.PartitionRecords = PlainRecords


def _end_of(state: Any) -> int:
    """The offset behind the last record that may be read, as the last answer to a fetch told it; 0 before any."""
    end = state.highwater if state.lso is None else state.lso
    return end or 0


class Fetched(NamedTuple):
    """Records fetched of each partition, and the client's position in each behind them."""

    records: Mapping[TP, Sequence[FetchedRecord]]
    positions: Mapping[TP, int]


class Answered(NamedTuple):
    """An answer to a fetch: the monotonic time at which it was asked, the partition's end as told by it, and the offset
    at which there is nothing; -1 where something was found, or may be found.
    """

    asked_ns: int
    end: int
    nothing_at: int


class Processing(Protocol):
    """Port of the engine to what processes the records: the worker.  What it raises ends the process.

    Of each assignment `assigned` is called first and `revoked` last.
    """

    @property
    def topics(self) -> Sequence[str]:
        """Topics to read; all must have the same number of partitions."""

    @property
    def in_step(self) -> Collection[str]:
        """Those of the topics of which one may have to wait while another of the same partition moves on."""

    async def assigned(self, partitions: frozenset[int]) -> Mapping[ports.TopicPartition, int]:
        """Restore the state of these partitions; returns the offsets to read on from, where the state knows them."""

    def wants(self, topic: str, partition: int) -> bool:
        """True while there is room for more records of this partition."""

    def receive(self, batch: Batch) -> None:
        """Take a batch; `Engine.applied` tells the engine once its effects are durable."""

    def resume(self) -> None:
        """Go on: a fetch found nothing, which `Engine.tell_when_empty` asked to be told."""

    async def finish(self) -> None:
        """Finish the batches in hand and begin no more, until the next assignment."""

    async def revoked(self) -> None:
        """Drop the state of all partitions: they may belong to other workers now."""


@dataclass(frozen=True, slots=True)
class EngineContext:
    """Parts of the engine that its Faust app, the consumer and the client's thread use."""

    config: EngineConfig
    processing: Processing
    state_topics: Sequence[str]
    lease: Lease
    settle: Callable[[], Awaitable[None]]
    """Finishes and commits the batches in hand, then gives up all partitions."""
    stop: Stop
    """Ends the process after an error."""


class BatchThread(driver.AIOKafkaConsumerThread):
    """Thread that owns the Kafka client, renews the lease and remembers when Kafka last answered."""

    consumer: Any
    answers: dict[TP, Answered]
    """The last answer without an error to a fetch of each partition."""
    tell_when_empty: Callable[[], None] | None = None
    """Called once on the main loop after the next fetch that found nothing somewhere."""
    last_answer_ms: int = 0
    """Time of the group coordinator's last answer on the monotonic clock; 0 before Kafka was reached."""
    _state_extents: StateExtents | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.answers = {}

    @property
    def _context(self) -> EngineContext:
        context: EngineContext = self.consumer.transport.context
        return context

    async def on_start(self) -> None:
        """Start the client and observe the group's answers.  Raises KafkaConnectionError after `broker_wait_ms`."""
        give_up_ms = monotonic_ms() + self._context.config.broker_wait_ms
        while True:
            try:
                await super().on_start()
                break
            except KafkaConnectionError:  # Kafka answered the engine's check of the topics a moment ago
                await self._ensure_consumer().stop()
                if monotonic_ms() > give_up_ms:
                    raise
                await asyncio.sleep(_RETRY_S)
        coordinator = self._ensure_consumer()._coordinator
        send, lease = coordinator._send_req, self._context.lease

        async def send_and_observe(request: Any) -> Any:
            sent_ms = monotonic_ms()
            response = await send(request)
            self.last_answer_ms = monotonic_ms()
            if isinstance(request, HeartbeatRequest | SyncGroupRequest):
                if response.error_code in _ACCEPTED:
                    lease.renew(sent_ms)
                elif response.error_code in _EXPELLED:
                    lease.lose()
            return response

        coordinator._send_req = send_and_observe
        self._observe_fetches(self._ensure_consumer()._fetcher)
        self.last_answer_ms = monotonic_ms()

    def _observe_fetches(self, client_fetcher: Any) -> None:
        """Note what each fetch found, and let one wait longer that is known to have something to find.

        A broker may take the time for which a fetch waits for the time in which it looks for what is there.
        """
        proceed = client_fetcher._proc_fetch_request

        async def proceed_and_observe(assignment: Any, node_id: int, request: Any) -> Any:
            asked_ns, states = monotonic_ns(), []
            for topic, partitions in request.topics:
                for partition, offset, _ in partitions:
                    tp = TP(topic, partition)
                    state = assignment.state_value(TopicPartition(*tp))
                    if state is not None:
                        state.timestamp = None  # set by an answer without an error
                        states.append((tp, offset, state))
            if any(offset < _end_of(state) for _, offset, state in states):
                request._max_wait_ms = _BEHIND_WAIT_MS
            outcome = await proceed(assignment, node_id, request)
            if assignment.active:
                self._note_answers(asked_ns, states, client_fetcher._records)
            return outcome

        client_fetcher._proc_fetch_request = proceed_and_observe

    def _note_answers(
        self, asked_ns: int, states: Sequence[tuple[TP, int, Any]], buffered: Mapping[TP, object]
    ) -> None:
        found_nothing = False
        for tp, offset, state in states:
            if state.timestamp is not None:
                is_empty = tp not in buffered and state._position == offset and _end_of(state) == offset
                found_nothing |= is_empty
                self.answers[tp] = Answered(asked_ns, _end_of(state), offset if is_empty else -1)
        if found_nothing and (tell := self.tell_when_empty) is not None:
            self.tell_when_empty = None
            self.parent_loop.call_soon_threadsafe(tell)

    @property
    def ready(self) -> bool:
        """True once the client has reached Kafka: before, no assignment exists to settle or leave."""
        return self.last_answer_ms > 0

    def failure(self) -> BaseException | None:
        """The error that silently stopped the client, a missing permission for example; None while it works."""
        coordinator = self._ensure_consumer()._coordinator
        if coordinator._pending_exception is not None:
            return coordinator._pending_exception  # type: ignore[no-any-return]
        tasks = (coordinator._coordination_task, self._ensure_consumer()._fetcher._fetch_task)
        ended = [task.exception() for task in tasks if task.done() and not task.cancelled()]
        return next((error for error in ended if error is not None), None)

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        config: EngineConfig = transport.context.config
        security = for_aiokafka(config.security)
        if security.get("sasl_mechanism") == OAUTHBEARER:
            security["sasl_oauth_token_provider"] = TokenProvider(config.security)
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
            **security,
        )

    async def fetch(self, wanted: set[TP], timeout_s: float) -> Fetched:
        """Wait for records of these partitions, past Faust's method queue, whose workers may all be waiting."""
        return await self._run_on_loop(self._fetch(wanted, timeout_s))

    async def _fetch(self, wanted: set[TP], timeout_s: float) -> Fetched:
        consumer = self._ensure_consumer()
        fetched = await self._fetch_records(consumer, wanted, timeout_s)
        assignment = consumer._subscription.subscription.assignment
        states = ((tp, assignment.state_value(TopicPartition(*tp))) for tp in wanted) if assignment else ()
        positions = {tp: state._position for tp, state in states if state is not None and state._position is not None}
        return Fetched({TP(*tp): records for tp, records in fetched.items() if records}, positions)

    async def commit(self, tps: Mapping[TP, int]) -> bool:
        """Commit, if the state topics lost nothing; False when the group has moved on.  Raises StateLost."""
        return await self._run_on_loop(self._commit(tps))

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        with suppress(KafkaError, TimeoutError):  # the extents of the last comparison are committed instead
            await asyncio.wait_for(self._compare_extents({tp.partition for tp in offsets}), _COMPARE_S)
        state_extents = self._state_extents
        metadata = {tp: state_extents.commit_metadata(tp.partition) if state_extents else "" for tp in offsets}
        try:
            await self._ensure_consumer().commit(
                {TopicPartition(*tp): OffsetAndMetadata(offset, metadata[tp]) for tp, offset in offsets.items()}
            )
        except CommitFailedError:
            return False
        return True

    async def check_state(self, tps: Iterable[TP]) -> None:
        """Compare the state topics with the extents in the commits of these partitions.  Raises StateLost."""
        await self._run_on_loop(self._check_state([TopicPartition(*tp) for tp in tps]))

    async def _check_state(self, tps: Collection[TopicPartition]) -> None:
        state_extents = self._state_extents = StateExtents(self._context.config.group)
        for tp, committed in (await self._ensure_consumer()._coordinator.fetch_committed_offsets(tps)).items():
            state_extents.remember_commit(tp.partition, committed.metadata)
        await self._compare_extents({tp.partition for tp in tps})

    async def _compare_extents(self, numbers: Collection[int]) -> None:
        if self._state_extents is not None and (topics := self._context.state_topics):
            self._state_extents.compare(
                await self._extents([TopicPartition(*tp) for tp in partitions_of(topics, numbers)])
            )

    async def extents(self, tps: Iterable[TP]) -> Mapping[tuple[str, int], Extent]:
        """The first offset and the end of each of these partitions."""
        return await self._run_on_loop(self._extents([TopicPartition(*tp) for tp in tps]))

    async def _extents(self, tps: Collection[TopicPartition]) -> Mapping[tuple[str, int], Extent]:
        consumer = self._ensure_consumer()
        return extents(*await asyncio.gather(consumer.beginning_offsets(tps), consumer.end_offsets(tps)))

    async def _run_on_loop(self, call: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine on this thread's loop and wait for it on the caller's."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(call, self.thread_loop))
