"""Faust's consumer, a batch at a time: all that was fetched from one partition is one event, in offset order.

Stock Faust makes four asyncio tasks per record; here it makes them per batch.  Three more things differ from it.  A
batch is finished when its handler returns, never because an agent ended; what is finished is committed before a
partition is given up; and reading starts again only once the state of a new assignment is restored.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from aiokafka.structs import TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, AppT, ConsumerMessage
from yarl import URL

from streams import metrics
from streams.engine.client import BatchThread, EngineContext
from streams.engine.guard import guard
from streams.engine.offsets import BatchOffsets, Positions
from streams.kafka.ports import Batch, FetchedRecord

logger = logging.getLogger("streams.engine")

_FETCH_WAIT_S = 0.2  # bounds how long a rebalance waits for a fetch under way


class BatchConsumer(driver.Consumer):
    """Fetches batches and hands them to agents; `offsets` knows which are in hand, finished and committed."""

    transport: "BatchTransport"
    _thread: BatchThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.offsets = BatchOffsets(self.transport.context.config.group, self._committed_offset)
        self._room = asyncio.Event()
        self._fetching = asyncio.Lock()
        self._open_generation: int | None = None
        self._held_back: frozenset[TP] = frozenset()
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
        """Do not fetch from these partitions until called again without them; all others go on."""
        self._held_back = frozenset(tps)
        metrics.HELD_BACK.set(len(self._held_back))
        self._room.set()

    def on_buffer_drop(self, tp: TP) -> None:
        """Wake the fetcher: there is room for batches of this partition again."""
        super().on_buffer_drop(tp)
        self._room.set()

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        """Fetch from these partitions again."""
        super().resume_partitions(tps)
        self._room.set()

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
        fetched = await self._thread.getmany(active_partitions, timeout)
        await self._advance_positions({tp: records for tp, records in fetched.items() if records})
        size = self.transport.context.config.batch_records
        return {
            TP(*tp): [Batch(tp.topic, tp.partition, records[at : at + size]) for at in range(0, len(records), size)]
            for tp, records in fetched.items()
            if records
        }

    def _to_message(self, tp: TP, record: Any) -> ConsumerMessage:
        batch: Batch = record
        last = batch.records[-1]
        with guard(f"reading {batch}", self.transport.context.stop):
            self.offsets.hand(tp, batch)
        return ConsumerMessage(
            tp.topic, tp.partition, last.offset, last.timestamp / 1000, 0, [], b"",
            batch,  # type: ignore[arg-type]  # raw bytes to Faust, which passes it on untouched
            None, 0, 0, tp, generation_id=self.app.consumer_generation_id,
        )  # fmt: skip

    def begin(self, batch: Batch) -> bool:
        """Take the batch in hand; False when it is left over from an assignment that has ended."""
        return self._is_open() and self.offsets.begin(batch)

    # Committing

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Commit everything that is finished.  True when something was committed."""
        return await self.offsets.commit(self._commit)

    async def check_state(self, partitions: int) -> None:
        """Check that no state topic lost records that commits of these many partitions rely on.  Raises StateLost."""
        topics = {tp.topic for tp in self.assignment()}
        if self.transport.context.state_topics:
            await self._thread.check_state(TP(topic, number) for topic in topics for number in range(partitions))

    # Rebalancing

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Stop handing over, let the engine settle the batches in hand, then forget the partitions."""
        self.close_flow()
        await self.transport.context.settle()
        self.offsets.forget()
        self._buffered_partitions.clear()
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Announce the new assignment; the engine restores its state before reading starts."""
        self.reassigned.set()
        await super().on_partitions_assigned(assigned, generation_id)

    def close_flow(self) -> None:
        """Stop fetching and handing over, and drop what waits in buffers."""
        self._open_generation = None
        self.reassigned.clear()
        self.stop_flow()
        self.app.flow_control.suspend()
        self.app.flow_control.clear()

    def open_flow(self, generation: int) -> None:
        """Let reading start: state is restored for this generation of the group."""
        self._open_generation = generation

    def resume_flow(self) -> None:
        """Start reading, unless the assignment whose state was restored has ended."""
        if self._is_open():
            super().resume_flow()

    def _is_open(self) -> bool:
        return self._open_generation is not None and self._open_generation == self.app.consumer_generation_id

    async def perform_seek(self) -> None:
        """Move to the committed offset of each partition, to its beginning without one.

        Waits for a fetch under way, whose records are dropped: it must not move the position afterwards.
        """
        async with self._fetching:
            assignment = self.assignment()
            if not assignment:
                return
            await super().perform_seek()
            uncommitted = [tp for tp in assignment if self._committed_offset[tp] is None]
            if uncommitted:
                await self._thread.seek_to_beginning(*(TopicPartition(*tp) for tp in uncommitted))
                self._read_offset.update(dict.fromkeys(uncommitted))

    async def read_extents(self) -> None:
        """Ask where the assigned partitions begin and end; counts and logs records deleted before they were read."""
        assigned = self.assignment()
        committed = {tp: self._committed_offset[tp] for tp in assigned}
        self.offsets.positions = Positions(committed, await self._thread.extents(assigned))

    async def _advance_positions(self, fetched: Mapping[TP, Sequence[FetchedRecord]]) -> None:
        """Move the positions past the fetched records; records deleted before them are missed."""
        first = {tp: records[0].offset for tp, records in fetched.items()}
        if gaps := self.offsets.positions.gaps(first):
            starts = await self.earliest_offsets(*(TopicPartition(*tp) for tp in gaps))
            self.offsets.positions.count_missed({tp: min(starts[tp], first[tp]) for tp in gaps})
        self.offsets.positions.advance({tp: records[-1].offset for tp, records in fetched.items()})

    # Watching, which the engine does instead of Faust

    def highwater(self, tp: TP) -> int:
        """The end of the partition as of the last fetch; 0 while it is unknown or not assigned to us."""
        with suppress(AssertionError, AttributeError, KeyError):
            return super().highwater(tp) or 0
        return 0

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Do nothing: an idle partition is no fault, and the engine watches for Kafka's answers."""

    @property
    def client(self) -> BatchThread:
        """The Kafka client's thread, which knows whether Kafka answers and whether the client still works."""
        return self._thread


class BatchTransport(driver.Transport):
    """Factory by which Faust makes its consumer; carries what the consumer needs from the engine."""

    Consumer = BatchConsumer

    def __init__(self, app: AppT, context: EngineContext) -> None:
        super().__init__([URL(f"kafka://{address}") for address in context.config.brokers.split(",")], app)
        self.context = context
