"""Worker process: a small Faust app hands batches of its topics to their handlers, at least once and in order.

From Faust come the consumer group and its co-partitioned assignment, agents, back-pressure and service life cycle.
The engine guarantees on top of it:
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
from streams.engine.client import EngineContext
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

Batches of one topic come in order but may overlap: a handler processes those of one partition one after another."""
OnPartitions = Callable[[frozenset[int]], Awaitable[None]]
"""Called with the partition numbers that are assigned or revoked; raising stops the process."""

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
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
        self._stop_requested = False
        self._kafka_is_silent = False

    def run(self) -> ExitCode:
        """Work until SIGTERM or SIGINT, then finish the batch in hand, commit, leave the group and return OK.

        An error is logged in one line and ends the process with its exit code.
        """
        _silence_libraries()
        for number in _STOP_SIGNALS:  # a signal before the event loop listens must not be lost
            signal.signal(number, self._request_stop)
        return asyncio.run(self._serve())

    def _request_stop(self, *_: object) -> None:
        self._stop_requested = True

    def committed(self, topic: str, partition: int) -> int | None:
        """The next offset to process, as known at the assignment and after commits; None when never committed."""
        return self._consumer.offsets.committed(TP(topic, partition))

    def unread(self, topic: str, partition: int) -> range:
        """The offsets that were there and not committed at the assignment."""
        return self._consumer.offsets.positions.unread(TP(topic, partition))

    def hold_back(self, partitions: Iterable[tuple[str, int]]) -> None:
        """Stop handing over these topic partitions until called again without them.

        A handler must never wait for a batch of another topic: Faust's one fetcher waits for room behind it, and would
        not bring that batch.  A batch that has to come later is held back here instead.
        """
        self._consumer.hold_back(TP(*partition) for partition in partitions)

    async def _serve(self) -> ExitCode:
        stop_requested = asyncio.Event()
        for number in _STOP_SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, stop_requested.set)
        if self._stop_requested:
            stop_requested.set()
        stopping = asyncio.create_task(stop_requested.wait())
        working = asyncio.create_task(self._work())
        try:
            await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
            with guard("stopping" if stop_requested.is_set() else "running", self._stop):
                if not stop_requested.is_set():
                    await working
                await self._leave(working)
        except Exception as error:
            return exit_code(error)
        return ExitCode.OK

    async def _work(self) -> None:
        """Start the app and watch it; ends by an error or a cancellation only."""
        partitions = await wait_for_broker(self.config.brokers, self.config.security, self.config.broker_wait_ms)
        check_topics((*self._handlers, *self._state_topics), partitions)
        self._partitions = partitions[next(iter(self._handlers))]
        self._app = App(EngineContext(self.config, self._state_topics, self.lease, self._settle, self._stop))
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
        if not consumer.client.ready:
            return
        if (failure := consumer.client.failure()) is not None:
            raise failure
        self._check_silence(monotonic_ms() - consumer.client.last_answer_ms, joining=app.rebalancing)

    def _check_silence(self, silent_ms: int, *, joining: bool) -> None:
        """Log once that Kafka is silent; raises BrokerAway in the end.  While joining, an answer may take longer."""
        allowance_ms = self.config.rebalance_timeout_ms if joining else 0
        if silent_ms > self.config.broker_wait_ms + allowance_ms:
            raise BrokerAway(f"no answer from Kafka at {self.config.brokers} for {silent_ms // 1000} s: see if it runs")
        silent = silent_ms > self.config.session_timeout_ms + allowance_ms
        if silent and not self._kafka_is_silent:
            logger.warning("no answer from Kafka at %s for %d s", self.config.brokers, silent_ms // 1000)
        elif self._kafka_is_silent and not silent:
            logger.warning("Kafka at %s answers again", self.config.brokers)
        self._kafka_is_silent = silent

    def _agent(self, handler: BatchHandler) -> Callable[[Any], Awaitable[None]]:
        """Faust's agent of one topic; batches overlap: while one becomes durable, another partition's is decided."""

        async def body(stream: AsyncIterable[Batch]) -> None:
            slots, running = asyncio.Semaphore(_BATCHES_AT_ONCE), set[asyncio.Task[None]]()
            async for batch in stream:
                await slots.acquire()
                task = asyncio.create_task(self._handle(handler, batch))
                running.add(task)
                task.add_done_callback(running.discard)
                task.add_done_callback(lambda _: slots.release())

        return body

    async def _handle(self, handler: BatchHandler, batch: Batch) -> None:
        consumer = self._consumer
        if not consumer.begin(batch):
            return
        try:
            with guard(str(batch), self._stop):
                await handler(batch)
                consumer.offsets.finish(batch)
        finally:
            consumer.offsets.release(batch)

    async def _restore(self, *_: Any, **__: Any) -> None:
        """Restore the state of a new assignment before Faust reads from it; a newer rebalance cancels this."""
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
            await consumer.read_extents()
            self._owned = frozenset(tp.partition for tp in consumer.assignment())
            if self._owned:
                await self._assigned(self._owned)
            consumer.open_flow(generation)

    async def _settle(self) -> None:
        """Finish and commit the batches in hand, then give up all partitions."""
        with guard("giving up partitions", self._stop):
            await self._cancel_restoring()
            if self._consumer.assignment():
                await self._finish_and_commit()
            owned, self._owned = self._owned, frozenset()
            if owned:
                await self._revoked(owned)

    async def _finish_and_commit(self) -> None:
        settle_s = self.config.settle_ms / 1000
        if unfinished := await self._consumer.offsets.in_hand_after(settle_s):
            batch = next(iter(unfinished))
            raise LeaseLost(f"{batch} was still being processed {settle_s:g} s after we had to let go of it")
        try:
            await asyncio.wait_for(self._consumer.commit(), settle_s)
        except TimeoutError:
            logger.warning("could not commit within %g s: the last batches will be read again", settle_s)

    async def _cancel_restoring(self) -> None:
        if self._restoring is not None and not self._restoring.done():
            self._restoring.cancel()
            await asyncio.wait((self._restoring,))

    async def _leave(self, working: "asyncio.Task[None]") -> None:
        working.cancel()
        if self._app is None or not self._consumer.client.ready:
            return
        self._consumer.close_flow()
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
        assert isinstance(consumer, BatchConsumer)  # for mypy: BatchTransport makes it
        return consumer


def _silence_libraries() -> None:
    """Keep Faust's warnings and silence the client, which logs each retry; the engine logs its silence once."""
    services = ("streams.engine.app", "streams.engine.consumer", "streams.engine.client")  # whose services Faust runs
    for name in ("faust", "mode", *services):
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("aiokafka", "mode.timers"):  # a timer is late whenever a batch takes long: the metrics show it
        logging.getLogger(name).setLevel(logging.CRITICAL)
