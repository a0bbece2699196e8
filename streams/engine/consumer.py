"""Faust's consumer with a fetch loop of its own: what was fetched of a partition goes to the worker as one batch.

Stock Faust hands each record to an agent through queues that it pauses and resumes, one topic apart from the other.
Here the worker takes the batches itself, because a customer's topics have to be merged (`streams.processing.merge`): it
says of which partitions it has room for more, and how far it has applied them.  Two more things differ.  What is
applied is committed before a partition is given up; and reading starts again only once the state of a new assignment is
restored.
"""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from aiokafka.structs import TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, AppT
from mode import ServiceT
from yarl import URL

from streams.engine.client import BatchThread, EngineContext, Fetched
from streams.engine.extents import Extent
from streams.engine.guard import guard
from streams.engine.offsets import Offsets
from streams.kafka import ports
from streams.kafka.ports import Batch

logger = logging.getLogger("streams.engine")

_FETCH_WAIT_S = 0.2  # bounds how long a rebalance waits for a fetch under way
_CROWDED_WAIT_S = 0.05  # the same while some partitions have no room, which may get some at any time


class BatchConsumer(driver.Consumer):
    """Fetches batches and hands them to the worker; `offsets` knows what is read, applied and committed."""

    transport: "BatchTransport"
    _thread: BatchThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.offsets = Offsets(self.transport.context.config.group, self._committed_offset)
        self._fetching = asyncio.Lock()
        self._open_generation: int | None = None
        self.reassigned = asyncio.Event()

    def _new_consumer_thread(self) -> BatchThread:
        return BatchThread(self, loop=self.loop, beacon=self.beacon)

    # Handing over

    async def _drain_messages(self, fetcher: ServiceT) -> None:
        while not (self.should_stop or fetcher.should_stop):
            if not self.flow_active:
                await self.wait_first(self.can_resume_flow.wait())
                continue
            async with self._fetching:
                wanted = self._wanted()
                fetched = await self._fetch(wanted) if wanted and self.is_open() else None
                if fetched is not None and self.is_open():
                    with guard("taking what was fetched", self.transport.context.stop):
                        await self._hand_over(fetched)
            if fetched is None:
                await asyncio.sleep(_CROWDED_WAIT_S)

    def _wanted(self) -> set[TP]:
        return {tp for tp in self.assignment() if self.transport.context.processing.wants(*tp)}

    async def _fetch(self, wanted: set[TP]) -> Fetched:
        is_crowded = len(wanted) < len(self.assignment())
        return await self._thread.fetch(wanted, _CROWDED_WAIT_S if is_crowded else _FETCH_WAIT_S)

    async def _hand_over(self, fetched: Fetched) -> None:
        first = {tp: records[0].offset for tp, records in fetched.records.items()}
        if gaps := self.offsets.gaps(first):
            starts = await self.earliest_offsets(*(TopicPartition(*tp) for tp in gaps))
            self.offsets.count_missed({tp: min(starts[tp], first[tp]) for tp in gaps})
        if not self.is_open():
            return
        for tp, records in fetched.records.items():
            batch = Batch(tp.topic, tp.partition, records)
            self.offsets.read(tp, batch)
            self.transport.context.processing.receive(batch)
        self.offsets.next_to_read.update(fetched.positions)

    def caught_up_ns(self, tp: TP) -> int:
        """Monotonic time at which the last fetch was asked that found nothing behind what was handed over; -1 for none.

        An empty answer alone proves nothing: it may be cut at the broker's limit of bytes or of time.  The end that it
        tells must not lie beyond.
        """
        answered = self._thread.answers.get(tp)
        is_current = answered is not None and answered.nothing_at == self.offsets.next_to_read.get(tp)
        return answered.asked_ns if answered is not None and is_current else -1

    # Committing

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Commit everything that is applied.  True when something was committed."""
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
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Announce the new assignment; the engine restores its state before reading starts."""
        self.reassigned.set()
        await super().on_partitions_assigned(assigned, generation_id)

    def close_flow(self) -> None:
        """Stop fetching and handing over."""
        self._open_generation = None
        self.reassigned.clear()
        self.stop_flow()

    def open_flow(self, generation: int) -> None:
        """Let reading start: state is restored for this generation of the group."""
        self._open_generation = generation

    def resume_flow(self) -> None:
        """Start reading, unless the assignment whose state was restored has ended."""
        if self.is_open():
            super().resume_flow()

    def is_open(self) -> bool:
        """True while the state of the present assignment is restored, so that its partitions are read."""
        return self._open_generation is not None and self._open_generation == self.app.consumer_generation_id

    async def perform_seek(self) -> None:
        """Do nothing: the engine moves to where its state ends, and Faust would move back to what is committed."""

    async def seek_to_commits(self) -> None:
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

    async def start_reading(
        self, positions: Mapping[ports.TopicPartition, int], extents: Mapping[ports.TopicPartition, Extent]
    ) -> None:
        """Move on to the positions that the state knows, which hold where they differ from commits.

        Counts and logs what was deleted, by `extents`, before it was read.  Call it before the flow is opened.
        """
        assignment = self.assignment()
        at = {tp: positions.get(tp, self._committed_offset[tp]) for tp in assignment}
        self.offsets.start(at, extents)
        moved = {tp: offset for tp, offset in at.items() if offset is not None and offset != self._committed_offset[tp]}
        if moved:
            await self._thread.seek_wait({TopicPartition(*tp): offset for tp, offset in moved.items()})

    @property
    def client(self) -> BatchThread:
        """The Kafka client's thread, which knows whether Kafka answers and whether the client still works."""
        return self._thread

    # Watching, which the engine does instead of Faust

    def highwater(self, tp: TP) -> int:
        """The end of the partition as of the last fetch; 0 while it is unknown or not assigned to us."""
        with suppress(AssertionError, AttributeError, KeyError):
            return super().highwater(tp) or 0
        return 0

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Do nothing: an idle partition is no fault, and the engine watches for Kafka's answers and for progress."""


class BatchTransport(driver.Transport):
    """Factory by which Faust makes its consumer; carries what the consumer needs from the engine."""

    Consumer = BatchConsumer

    def __init__(self, app: AppT, context: EngineContext) -> None:
        super().__init__([URL(f"kafka://{address}") for address in context.config.brokers.split(",")], app)
        self.context = context
