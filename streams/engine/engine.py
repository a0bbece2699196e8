"""A worker: batches of its topics go to their handlers, at least once and in order, by a Faust app that is kept small.

From Faust come the consumer group and its co-partitioned assignment, agents, back-pressure and service life cycle.
Promised on top of it:
- `assigned` is awaited before the first batch of an assignment reaches a handler; heartbeats go on meanwhile;
- `revoked` is awaited after the batches in hand are finished and committed, so a rebalance or a clean stop replays
  nothing (stock Faust replays up to a commit interval);
- an error in a handler ends the process before anything past its batch is committed;
- a worker that Kafka no longer answers ends too, rather than idle for ever.
"""

import asyncio
import logging
import signal
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from faust.types import TP

from streams.engine.app import App
from streams.engine.config import EngineConfig
from streams.engine.consumer import BatchConsumer
from streams.engine.guard import Stop, guard, stop_at_once
from streams.engine.lease import Lease, monotonic_ms
from streams.errors import BrokerAway, ExitCode, LeaseLost, exit_code
from streams.kafka.admin import check_topics, wait_for_broker
from streams.kafka.ports import Batch

logger = logging.getLogger("streams.engine")

BatchHandler = Callable[[Batch], Awaitable[None]]
"""Processes one batch and returns once its effects are durable; raising stops the process.

Batches of one topic come in order but may overlap: a handler keeps the batches of a partition apart itself."""
OnPartitions = Callable[[frozenset[int]], Awaitable[None]]

_STOPPING = (signal.SIGTERM, signal.SIGINT)
_WATCH_S = 0.25
_BATCHES_AT_ONCE = 8
_STOP_S = 10.0


class Engine:
    """One worker process.  All its topics must have the same number of partitions.

    Topics are read on from the last commit.  `assigned` and `revoked` get partition numbers, which are the same for all
    topics; every rebalance revokes all of them first.  `revoked` follows each `assigned` that began, even one that a
    new rebalance cancelled half-way.  `state_topics` hold what the handlers made durable: when one has lost records
    since offsets were committed, the engine ends with StateLost rather than hand over a batch.
    """

    def __init__(
        self,
        config: EngineConfig,
        handlers: Mapping[str, BatchHandler],
        *,
        state_topics: Sequence[str] = (),
        assigned: OnPartitions,
        revoked: OnPartitions,
        stop: Stop = stop_at_once,
    ) -> None:
        self.config = config
        self.lease = Lease(config.session_timeout_ms)
        if not handlers:
            raise ValueError("an engine needs topics to handle")
        self._handlers = dict(handlers)
        self._state_topics = tuple(state_topics)
        self._partitions = 0
        self._assigned, self._revoked, self._stop = assigned, revoked, stop
        self._owned: frozenset[int] = frozenset()
        self._restoring: asyncio.Task[None] | None = None
        self._app: App | None = None
        self._asked_early = False
        self._silent = False

    def run(self) -> ExitCode:
        """Work until SIGTERM or SIGINT, then finish the batch in hand, commit, leave the group and return OK.

        Anything that goes wrong is said in one log line and ends the process with its exit code.
        """
        _quieten()
        for number in _STOPPING:  # asked before the event loop listens, we must not lose it
            signal.signal(number, self._ask_early)
        return asyncio.run(self._serve())

    def _ask_early(self, *_: object) -> None:
        self._asked_early = True

    def committed(self, topic: str, partition: int) -> int | None:
        """The next offset to process, as known at the assignment and after commits; None when never committed."""
        return self._consumer.committed(TP(topic, partition))

    def unread(self, topic: str, partition: int) -> range:
        """The offsets that were there and not processed at the assignment."""
        return self._consumer.unread(TP(topic, partition))

    def hold_back(self, partitions: Iterable[tuple[str, int]]) -> None:
        """Hand over nothing of these topics and partitions until called again without them.

        A handler must never wait for a batch of another topic: Faust's one fetcher waits for room behind it, and would
        not bring that batch.  What has to come later is held back here instead.
        """
        self._consumer.hold_back(TP(*partition) for partition in partitions)

    async def _serve(self) -> ExitCode:
        asked = asyncio.Event()
        for number in _STOPPING:
            asyncio.get_running_loop().add_signal_handler(number, asked.set)
        if self._asked_early:
            asked.set()
        asking = asyncio.create_task(asked.wait())
        work = asyncio.create_task(self._work())
        try:
            await asyncio.wait((work, asking), return_when=asyncio.FIRST_COMPLETED)
            with guard("stopping" if asked.is_set() else "running", self._stop):
                if not asked.is_set():
                    await work
                await self._leave(work)
        except Exception as error:
            return exit_code(error)
        return ExitCode.OK

    async def _work(self) -> None:
        """Start, and watch; returns by an error or a cancellation only."""
        partitions = await wait_for_broker(self.config.brokers, self.config.security, self.config.broker_wait_ms)
        check_topics((*self._handlers, *self._state_topics), partitions)
        self._partitions = partitions[next(iter(self._handlers))]
        self._app = App(self.config, self._state_topics, self.lease, self._settle, self._stop)
        self._app.on_rebalance_complete.connect(self._restore)
        for topic, handler in self._handlers.items():
            self._app.handle(topic, self._agent(handler))
        starting = asyncio.create_task(self._app.start())
        while True:
            await asyncio.sleep(_WATCH_S)
            self._watch(self._app, starting)

    def _watch(self, app: App, starting: "asyncio.Task[None]") -> None:
        if app.crash_reason is not None:
            raise app.crash_reason
        if starting.done():
            starting.result()
        consumer = self._consumer
        if not consumer.ready:
            return
        if (failure := consumer.failure()) is not None:
            raise failure
        self._listen(monotonic_ms() - consumer.heard_ms, joining=app.rebalancing)

    def _listen(self, silent_ms: int, *, joining: bool) -> None:
        """Say once that Kafka is silent, and give up in the end; while joining, an answer may take longer."""
        allowance_ms = self.config.rebalance_timeout_ms if joining else 0
        if silent_ms > self.config.broker_wait_ms + allowance_ms:
            raise BrokerAway(f"no answer from Kafka at {self.config.brokers} for {silent_ms // 1000} s: see if it runs")
        silent = silent_ms > self.config.session_timeout_ms + allowance_ms
        if silent and not self._silent:
            logger.warning("no answer from Kafka at %s for %d s", self.config.brokers, silent_ms // 1000)
        elif self._silent and not silent:
            logger.warning("Kafka at %s answers again", self.config.brokers)
        self._silent = silent

    def _agent(self, handler: BatchHandler) -> Callable[[Any], Awaitable[None]]:
        """Faust's agent of one topic; while one partition's batch becomes durable, another's is decided."""

        async def body(stream: AsyncIterable[Batch]) -> None:
            hands, running = asyncio.Semaphore(_BATCHES_AT_ONCE), set[asyncio.Task[None]]()
            async for batch in stream:
                await hands.acquire()
                task = asyncio.create_task(self._handle(handler, batch))
                running.add(task)
                task.add_done_callback(running.discard)
                task.add_done_callback(lambda _: hands.release())

        return body

    async def _handle(self, handler: BatchHandler, batch: Batch) -> None:
        consumer = self._consumer
        if not consumer.begin(batch):
            return
        try:
            with guard(str(batch), self._stop):
                await handler(batch)
                consumer.finish(batch)
        finally:
            consumer.let_go(batch)

    async def _restore(self, *_: Any, **__: Any) -> None:
        """Restore a new assignment before Faust starts to read it; a newer rebalance cuts it short."""
        consumer, generation = self._consumer, self._running.consumer_generation_id
        self._restoring = asyncio.create_task(self._restore_state(consumer, generation))
        await asyncio.wait((self._restoring,))
        if self._restoring.cancelled():
            # Returning would let Faust resume the old assignment in the middle of the new rebalance.
            await consumer.reassigned.wait()

    async def _restore_state(self, consumer: BatchConsumer, generation: int) -> None:
        with guard("restoring the state of new partitions", self._stop):
            await consumer.perform_seek()
            await consumer.check_state(self._partitions)
            await consumer.look()
            self._owned = frozenset(tp.partition for tp in consumer.assignment())
            if self._owned:
                await self._assigned(self._owned)
            consumer.open_hands(generation)

    async def _settle(self) -> None:
        """Finish and commit what is in hand, then give up all partitions."""
        with guard("giving up partitions", self._stop):
            await self._cancel_restoring()
            if self._consumer.assignment():
                await self._finish_and_commit()
            owned, self._owned = self._owned, frozenset()
            if owned:
                await self._revoked(owned)

    async def _finish_and_commit(self) -> None:
        settle_s = self.config.settle_ms / 1000
        if left := await self._consumer.in_hand_after(settle_s):
            batch = next(iter(left))
            raise LeaseLost(f"{batch} was still being processed {settle_s:g} s after we had to let go of it")
        try:
            await asyncio.wait_for(self._consumer.commit(), settle_s)
        except TimeoutError:
            logger.warning("could not commit within %g s: the last batches will be read again", settle_s)

    async def _cancel_restoring(self) -> None:
        if self._restoring is not None and not self._restoring.done():
            self._restoring.cancel()
            await asyncio.wait((self._restoring,))

    async def _leave(self, work: "asyncio.Task[None]") -> None:
        work.cancel()
        if self._app is None or not self._consumer.ready:
            return
        self._consumer.close_hands()
        await self._settle()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._app.stop(), _STOP_S)

    @property
    def _running(self) -> App:
        if self._app is None:
            raise RuntimeError("the engine is not running")
        return self._app

    @property
    def _consumer(self) -> BatchConsumer:
        consumer = self._running.consumer
        assert isinstance(consumer, BatchConsumer)  # what our transport makes; tells mypy
        return consumer


def _quieten() -> None:
    """Faust's warnings stay.  The client says each of its retries; what matters of that the engine says once."""
    ours = ("streams.engine.app", "streams.engine.consumer", "streams.engine.client")  # whose services Faust runs
    for name in ("faust", "mode", *ours):
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("aiokafka", "mode.timers"):  # a timer is late whenever a batch takes long: the metrics show it
        logging.getLogger(name).setLevel(logging.CRITICAL)
