"""Faust's consumer, a block at a time: all that was fetched from one partition is one event, in offset order.

Stock Faust makes four asyncio tasks per record; here it makes them per block.  This module also replaces three of its
habits.  A block counts as done when its handler says so, never because an agent ended; what is done is committed before
a partition is given up; and reading starts again only once the state of a new assignment is restored.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import aiokafka
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import CommitFailedError
from aiokafka.protocol.group import HeartbeatRequest, SyncGroupRequest
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, AppT, ConsumerMessage
from yarl import URL

from streams.engine.config import EngineConfig
from streams.engine.guard import BadTopics, Stop, guard
from streams.engine.lease import Lease, monotonic_ms
from streams.engine.security import for_aiokafka
from streams.engine.tracker import Tracker

_T = TypeVar("_T")

# Kafka's error codes after which the group no longer counts us in: illegal generation, unknown member, fenced instance.
_CAST_OUT = (22, 25, 82)
_ACCEPTED = (0, 27)  # no error; a rebalance has begun, which still renews the session
_FETCH_WAIT_S = 0.2  # bounds how long a rebalance waits for a fetch under way


class Record(Protocol):
    """One record as fetched, never changed.  `timestamp` in ms UTC; key and value None when absent."""

    @property
    def offset(self) -> int: ...  # noqa: D102
    @property
    def timestamp(self) -> int: ...  # noqa: D102
    @property
    def key(self) -> bytes | None: ...  # noqa: D102
    @property
    def value(self) -> bytes | None: ...  # noqa: D102
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...  # noqa: D102


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """What one fetch brought from one partition: one record or more, in offset order."""

    topic: str
    partition: int
    records: Sequence[Record]

    @property
    def first_offset(self) -> int:
        """The offset of the first record."""
        return self.records[0].offset

    @property
    def last_offset(self) -> int:
        """The offset of the last record."""
        return self.records[-1].offset

    def __len__(self) -> int:
        return len(self.records)

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}] offsets {self.first_offset} to {self.last_offset}"


class BlockThread(driver.AIOKafkaConsumerThread):
    """The thread that owns the Kafka client.  It renews the lease and remembers when Kafka last answered."""

    consumer: "BlockConsumer"
    heard_ms: int = 0

    async def on_start(self) -> None:
        """Start the client and listen in on what it says to the group."""
        await super().on_start()
        coordinator = self._ensure_consumer()._coordinator
        send, lease = coordinator._send_req, self.consumer.transport.lease

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
            max_poll_interval_ms=86_400_000,  # a slow block must not make the client leave: the lease guards writes
            request_timeout_ms=max(config.session_timeout_ms, config.rebalance_timeout_ms) + 5_000,
            **for_aiokafka(config.security),
        )

    async def getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
        """Fetch, past Faust's method queue: its two workers may both be waiting for an assignment."""
        consumer = self._ensure_consumer()
        return await self.here(self._fetch_records(consumer, active_partitions or set(), timeout))

    async def commit(self, tps: Mapping[TP, int]) -> bool:
        """Commit; False when the group has moved on and would not listen."""
        return await self.here(self._commit(tps))

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        try:
            await self._ensure_consumer().commit(
                {TopicPartition(*tp): OffsetAndMetadata(offset, "") for tp, offset in offsets.items()}
            )
        except CommitFailedError:
            return False
        return True

    async def here(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine on this thread's loop and wait for it on the caller's."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self.thread_loop))


class BlockConsumer(driver.Consumer):
    """Hands over blocks, and keeps for each partition which of them are done."""

    transport: "BlockTransport"
    _thread: BlockThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._trackers: dict[TP, Tracker] = {}
        self._in_hand: set[Block] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._room = asyncio.Event()
        self._fetching = asyncio.Lock()
        self._commit_lock = asyncio.Lock()
        self._open_generation: int | None = None
        self.reassigned = asyncio.Event()

    def _new_consumer_thread(self) -> BlockThread:
        return BlockThread(self, loop=self.loop, beacon=self.beacon)

    # Handing over

    async def _wait_next_records(self, timeout: float) -> Any:
        if not self.flow_active:
            await self.wait_first(self.can_resume_flow.wait())
        elif not self._active_partitions:
            # Stock Faust sleeps a whole second when every buffer is full.
            self._room.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._room.wait(), _FETCH_WAIT_S)
        async with self._fetching:
            if not self.flow_active or not self._active_partitions:
                return None, None
            fetched = await self._getmany(self._active_partitions, min(timeout, _FETCH_WAIT_S))
        return (fetched, self._active_partitions) if self.flow_active else (None, None)

    def on_buffer_drop(self, tp: TP) -> None:
        """There is room for blocks of this partition again."""
        super().on_buffer_drop(tp)
        self._room.set()

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        """Fetch from these partitions again."""
        super().resume_partitions(tps)
        self._room.set()

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
        fetched = await self._thread.getmany(active_partitions, timeout)
        most = self.transport.config.block_records
        return {
            TP(*tp): [Block(tp.topic, tp.partition, records[at : at + most]) for at in range(0, len(records), most)]
            for tp, records in fetched.items()
            if records
        }

    def _to_message(self, tp: TP, record: Any) -> ConsumerMessage:
        block: Block = record
        end = block.records[-1]
        with guard(f"reading {block}", self.transport.stop):
            self._hand(tp, block)
        return ConsumerMessage(
            tp.topic, tp.partition, end.offset, end.timestamp / 1000, 0, [], b"",
            block,  # type: ignore[arg-type]  # raw bytes to Faust, which passes it on untouched
            None, 0, 0, tp, generation_id=self.app.consumer_generation_id,
        )  # fmt: skip

    def _hand(self, tp: TP, block: Block) -> None:
        committed = self._committed_offset[tp]
        if self._is_committed(tp) and committed is not None and block.first_offset < committed:
            raise BadTopics(
                f"the topic has fewer records than the {committed} that were committed: was it made anew? "
                f"delete the consumer group {self.transport.config.group}"
            )
        self._trackers.setdefault(tp, Tracker()).hand(block.last_offset)

    def begin(self, block: Block) -> bool:
        """Take the block in hand; False when it is left over from an assignment that has ended."""
        tracker = self._trackers.get(TP(block.topic, block.partition))
        if not self._is_open() or tracker is None or not tracker.holds(block.last_offset):
            return False
        self._in_hand.add(block)
        self._idle.clear()
        return True

    def finish(self, block: Block) -> None:
        """The block's effects are durable: it may be committed."""
        self._trackers[TP(block.topic, block.partition)].finish(block.last_offset)

    def let_go(self, block: Block) -> None:
        """The block is no longer in hand, finished or not."""
        self._in_hand.discard(block)
        if not self._in_hand:
            self._idle.set()

    async def in_hand_after(self, timeout_s: float) -> Collection[Block]:
        """Wait until nothing is in hand, so long at most; what still is."""
        try:
            await asyncio.wait_for(self._idle.wait(), timeout_s)
        except TimeoutError:
            return frozenset(self._in_hand)
        return ()

    # Committing

    def committed(self, tp: TP) -> int | None:
        """The next offset to process as the group knows it; None when nothing was ever committed."""
        return self._committed_offset[tp]

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Commit everything that is done.  True when something was committed."""
        async with self._commit_lock:
            offsets = self._done()
            if not offsets or not await self._commit(offsets):
                return False
            self._committed_offset.update(offsets)
            return True

    def _done(self) -> dict[TP, int]:
        done: dict[TP, int] = {}
        for tp, tracker in self._trackers.items():
            offset, committed = tracker.committable, self._committed_offset[tp]
            if self._is_committed(tp) and offset is not None and offset > (committed or 0):
                done[tp] = offset
        return done

    # Rebalancing

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Hand over nothing more, let the engine settle what is in hand, then forget the partitions."""
        self.close_hands()
        await self.transport.settle()
        self._trackers.clear()
        self._buffered_partitions.clear()
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """A new assignment: the engine restores its state before reading starts."""
        self.reassigned.set()
        await super().on_partitions_assigned(assigned, generation_id)

    def close_hands(self) -> None:
        """Stop handing over, and forget what waits in buffers."""
        self._open_generation = None
        self.reassigned.clear()
        self.stop_flow()
        self.app.flow_control.suspend()
        self.app.flow_control.clear()

    def open_hands(self, generation: int) -> None:
        """State is restored for this generation of the group: reading may start."""
        self._open_generation = generation

    def resume_flow(self) -> None:
        """Start reading, unless the assignment that asked for it is over."""
        if self._is_open():
            super().resume_flow()

    def _is_open(self) -> bool:
        return self._open_generation is not None and self._open_generation == self.app.consumer_generation_id

    async def perform_seek(self) -> None:
        """Go to the committed offset of each partition; to the very beginning where none is, and of replayed topics.

        Waits for a fetch under way, whose records are dropped: nothing may move the position after us.
        """
        async with self._fetching:
            assignment = self.assignment()
            if not assignment:
                return
            await super().perform_seek()
            fresh = [tp for tp in assignment if self._committed_offset[tp] is None or not self._is_committed(tp)]
            if fresh:
                await self._thread.seek_to_beginning(*(TopicPartition(*tp) for tp in fresh))
                self._read_offset.update(dict.fromkeys(fresh))

    def _is_committed(self, tp: TP) -> bool:
        return tp.topic in self.transport.committed_topics

    async def missed(self) -> dict[TP, int]:
        """How many records retention deleted from each partition before they were read."""
        partitions = [tp for tp in self.assignment() if self._is_committed(tp) and self._committed_offset[tp]]
        earliest = await self.earliest_offsets(*(TopicPartition(*tp) for tp in partitions)) if partitions else {}
        gaps = {tp: earliest[tp] - (self._committed_offset[tp] or 0) for tp in partitions}
        return {tp: gap for tp, gap in gaps.items() if gap > 0}

    # Faust's own watching, which ours replaces

    def highwater(self, tp: TP) -> int:
        """The end of the partition as of the last fetch; 0 while it is not known or not ours."""
        with suppress(AssertionError, AttributeError, KeyError):
            return super().highwater(tp) or 0
        return 0

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Nothing: an idle partition is no fault, and the engine watches whether Kafka answers."""

    @property
    def ready(self) -> bool:
        """True once Kafka was reached: before, there is nothing to ask, settle or leave."""
        return self._thread.ready

    @property
    def heard_ms(self) -> int:
        """When Kafka's group coordinator last answered anything, on the monotonic clock."""
        return self._thread.heard_ms

    def failure(self) -> BaseException | None:
        """The error for which the client has stopped working, if it has."""
        return self._thread.failure()


class BlockTransport(driver.Transport):
    """What Faust builds its consumer from; carries what the consumer needs from the engine."""

    Consumer = BlockConsumer

    def __init__(
        self,
        app: AppT,
        config: EngineConfig,
        committed_topics: frozenset[str],
        lease: Lease,
        settle: Callable[[], Awaitable[None]],
        stop: Stop,
    ) -> None:
        super().__init__([URL(f"kafka://{address}") for address in config.brokers.split(",")], app)
        self.config = config
        self.committed_topics = committed_topics
        self.lease = lease
        self.settle = settle
        self.stop = stop
