"""Faust's consumer, a batch at a time: all that was fetched from one partition is one event, in offset order.

Stock Faust makes four asyncio tasks per record; here it makes them per batch.  This module also replaces three of its
habits.  A batch counts as done when its handler says so, never because an agent ended; what is done is committed before
a partition is given up; and reading starts again only once the state of a new assignment is restored.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from aiokafka.structs import TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, AppT, ConsumerMessage
from yarl import URL

from streams import metrics
from streams.engine.client import BatchThread
from streams.engine.config import EngineConfig
from streams.engine.guard import Stop, guard
from streams.engine.lease import Lease
from streams.engine.offsets import Tracker
from streams.engine.positions import Positions
from streams.errors import BadTopics
from streams.kafka.ports import Batch, FetchedRecord

logger = logging.getLogger("streams.engine")

_FETCH_WAIT_S = 0.2  # bounds how long a rebalance waits for a fetch under way


class BatchConsumer(driver.Consumer):
    """Hands over batches, and keeps for each partition which of them are done."""

    transport: "BatchTransport"
    _thread: BatchThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._trackers: dict[TP, Tracker] = {}
        self._in_hand: set[Batch] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._room = asyncio.Event()
        self._fetching = asyncio.Lock()
        self._commit_lock = asyncio.Lock()
        self._open_generation: int | None = None
        self._held_back: frozenset[TP] = frozenset()
        self._positions = Positions({}, {})
        self.reassigned = asyncio.Event()

    def _new_consumer_thread(self) -> BatchThread:
        return BatchThread(self, loop=self.loop, beacon=self.beacon)

    # Handing over

    async def _wait_next_records(self, timeout: float) -> Any:
        if not self.flow_active:
            await self.wait_first(self.can_resume_flow.wait())
        elif not self._wanted():
            # Stock Faust sleeps a whole second when every buffer is full.
            self._room.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._room.wait(), _FETCH_WAIT_S)
        async with self._fetching:
            if not self.flow_active or not (wanted := self._wanted()):
                return None, None
            fetched = await self._getmany(wanted, min(timeout, _FETCH_WAIT_S))
        return (fetched, self._active_partitions) if self.flow_active else (None, None)

    def _wanted(self) -> set[TP]:
        return (self._active_partitions or set()) - self._held_back

    def hold_back(self, tps: Iterable[TP]) -> None:
        """Fetch from these partitions only once they are named no more; whatever else waits is not kept waiting."""
        self._held_back = frozenset(tps)
        metrics.HELD_BACK.set(len(self._held_back))
        self._room.set()

    def on_buffer_drop(self, tp: TP) -> None:
        """There is room for batches of this partition again."""
        super().on_buffer_drop(tp)
        self._room.set()

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        """Fetch from these partitions again."""
        super().resume_partitions(tps)
        self._room.set()

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
        fetched = await self._thread.getmany(active_partitions, timeout)
        await self._mind_gaps({tp: records for tp, records in fetched.items() if records})
        most = self.transport.config.batch_records
        return {
            TP(*tp): [Batch(tp.topic, tp.partition, records[at : at + most]) for at in range(0, len(records), most)]
            for tp, records in fetched.items()
            if records
        }

    def _to_message(self, tp: TP, record: Any) -> ConsumerMessage:
        batch: Batch = record
        end = batch.records[-1]
        with guard(f"reading {batch}", self.transport.stop):
            self._hand(tp, batch)
        return ConsumerMessage(
            tp.topic, tp.partition, end.offset, end.timestamp / 1000, 0, [], b"",
            batch,  # type: ignore[arg-type]  # raw bytes to Faust, which passes it on untouched
            None, 0, 0, tp, generation_id=self.app.consumer_generation_id,
        )  # fmt: skip

    def _hand(self, tp: TP, batch: Batch) -> None:
        committed = self._committed_offset[tp]
        if committed is not None and batch.first_offset < committed:
            raise BadTopics(
                f"the topic has fewer records than the {committed} that were committed: was it made anew? "
                f"delete the consumer group {self.transport.config.group} and raise NPS_TOPIC_EPOCH by one"
            )
        self._trackers.setdefault(tp, Tracker()).hand(batch.last_offset)

    def begin(self, batch: Batch) -> bool:
        """Take the batch in hand; False when it is left over from an assignment that has ended."""
        tracker = self._trackers.get(TP(batch.topic, batch.partition))
        if not self._is_open() or tracker is None or not tracker.holds(batch.last_offset):
            return False
        self._in_hand.add(batch)
        self._idle.clear()
        return True

    def finish(self, batch: Batch) -> None:
        """The batch's effects are durable: it may be committed."""
        self._trackers[TP(batch.topic, batch.partition)].finish(batch.last_offset)

    def let_go(self, batch: Batch) -> None:
        """The batch is no longer in hand, finished or not."""
        self._in_hand.discard(batch)
        if not self._in_hand:
            self._idle.set()

    async def in_hand_after(self, timeout_s: float) -> Collection[Batch]:
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
            if not offsets:
                return False
            with metrics.COMMIT_SECONDS.time():
                took = await self._commit(offsets)
            if not took:
                logger.warning("the group moved on before we could commit: the last batches will be read again")
                return False
            self._committed_offset.update(offsets)
            return True

    def _done(self) -> dict[TP, int]:
        done: dict[TP, int] = {}
        for tp, tracker in self._trackers.items():
            offset, committed = tracker.committable, self._committed_offset[tp]
            if offset is not None and offset > (committed or 0):
                done[tp] = offset
        return done

    async def check_state(self, partitions: int) -> None:
        """Raises StateLost when a state topic holds less than commits of any of so many partitions relied on."""
        topics = {tp.topic for tp in self.assignment()}
        if self.transport.state_topics:
            await self._thread.check_state(TP(topic, number) for topic in topics for number in range(partitions))

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
        """Go to the committed offset of each partition, to the very beginning where none is.

        Waits for a fetch under way, whose records are dropped: nothing may move the position after us.
        """
        async with self._fetching:
            assignment = self.assignment()
            if not assignment:
                return
            await super().perform_seek()
            fresh = [tp for tp in assignment if self._committed_offset[tp] is None]
            if fresh:
                await self._thread.seek_to_beginning(*(TopicPartition(*tp) for tp in fresh))
                self._read_offset.update(dict.fromkeys(fresh))

    async def look(self) -> None:
        """Find out what is there to read, and say what was deleted before it was."""
        assigned = self.assignment()
        committed = {tp: self._committed_offset[tp] for tp in assigned}
        self._positions = Positions(committed, await self._thread.extents(assigned))

    def unread(self, tp: TP) -> range:
        """The offsets that were there and not committed at the assignment."""
        return self._positions.unread(tp)

    async def _mind_gaps(self, fetched: Mapping[TP, Sequence[FetchedRecord]]) -> None:
        first = {tp: records[0].offset for tp, records in fetched.items()}
        if jumped := self._positions.jumped(first):
            starts = await self.earliest_offsets(*(TopicPartition(*tp) for tp in jumped))
            self._positions.explain({tp: min(starts[tp], first[tp]) for tp in jumped})
        self._positions.took({tp: records[-1].offset for tp, records in fetched.items()})

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


class BatchTransport(driver.Transport):
    """What Faust builds its consumer from; carries what the consumer needs from the engine."""

    Consumer = BatchConsumer

    def __init__(
        self,
        app: AppT,
        config: EngineConfig,
        state_topics: Sequence[str],
        lease: Lease,
        settle: Callable[[], Awaitable[None]],
        stop: Stop,
    ) -> None:
        super().__init__([URL(f"kafka://{address}") for address in config.brokers.split(",")], app)
        self.config = config
        self.state_topics = state_topics
        self.lease = lease
        self.settle = settle
        self.stop = stop
