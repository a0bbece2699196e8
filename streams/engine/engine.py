"""Worker process: a small Faust app hands batches of its topics to the worker, at least once and in order.

From Faust come the consumer group and its co-partitioned assignment, the fetch service and the service life cycle.  The
engine guarantees on top of it:
- `assigned` is awaited before the first batch of an assignment is handed over; heartbeats go on meanwhile;
- `revoked` is awaited after the batches in hand are finished and committed, so a rebalance or a clean stop replays
  nothing (stock Faust replays up to a commit interval);
- an error in the processing ends the process before anything past its batch is committed;
- a worker that Kafka no longer answers, or of which a partition stands still, ends too, rather than idle for ever.
"""

import asyncio
import logging
import signal
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic_ns
from typing import Any

from faust.types import TP

from streams.engine.app import App
from streams.engine.client import EngineContext, Processing
from streams.engine.config import EngineConfig
from streams.engine.consumer import BatchConsumer
from streams.engine.guard import Stop, guard, stop_at_once
from streams.engine.lease import Lease, monotonic_ms
from streams.engine.progress import WATCH_S, ProgressWatch, Reading
from streams.errors import BrokerAway, ExitCode, LeaseLost, exit_code
from streams.kafka.admin import check_topics, refuse_hidden, wait_for_broker

logger = logging.getLogger("streams.engine")

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_WATCH_S = 0.25
_STOP_S = 10.0


class Engine:
    """One worker process around `processing`.  All its topics must have the same number of partitions.

    Topics are read on from where the state says, else from the last commit.  `assigned` gets partition numbers, which
    are the same for all topics; every rebalance revokes all of them first.  `revoked` follows each `assigned` that
    began, even one that a new rebalance cancelled half-way.  `state_topics` hold what was made durable: when one has
    lost records since offsets were committed, the engine ends with StateLost rather than hand over a batch.
    """

    def __init__(
        self,
        config: EngineConfig,
        processing: Processing,
        *,
        state_topics: Sequence[str] = (),
        stop: Stop = stop_at_once,
    ) -> None:
        self.config = config
        self.lease = Lease(config.session_timeout_ms)
        if not processing.topics:
            raise ValueError("an engine needs topics to read")
        self._processing = processing
        self._state_topics = tuple(state_topics)
        self._partitions = 0
        self._stop = stop
        self._owned: frozenset[int] = frozenset()
        self._restoring: asyncio.Task[None] | None = None
        self._app: App | None = None
        self._progress = ProgressWatch(config.stall_ms, processing.in_step)
        self._stop_requested = False
        self._unready = "Kafka is not reached yet"
        self._watched_ms = monotonic_ms()
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

    def applied(self, topic: str, partition: int, offset: int) -> None:
        """Let everything before `offset` be committed: its effects are durable."""
        self._consumer.offsets.apply(TP(topic, partition), offset)

    def caught_up_ns(self, topic: str, partition: int) -> int:
        """Monotonic time at which the last fetch was asked that found nothing behind what was handed over; -1 for none.

        All that Kafka had acknowledged by then has been handed over.
        """
        return self._consumer.caught_up_ns(TP(topic, partition))

    def tell_when_empty(self) -> None:
        """Have `Processing.resume` called after the next fetch that found nothing in some partition."""
        self._consumer.client.tell_when_empty = self._processing.resume

    def unready(self) -> str:
        """Say why no records can be processed; empty while they can.  From any thread."""
        still_ms = monotonic_ms() - self._watched_ms
        if still_ms > self.config.session_timeout_ms:
            return f"the worker itself has stood still for {still_ms // 1000} s"
        return self._unready or self._progress.standing()

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
        topics = self._processing.topics
        if missing := {*topics, *self._state_topics} - partitions.keys():
            await refuse_hidden(self.config.brokers, self.config.security, missing)
        check_topics((*topics, *self._state_topics), partitions)
        self._partitions = partitions[topics[0]]
        context = EngineContext(
            self.config, self._processing, self._state_topics, self.lease, self._settle, self._stop
        )  # fmt: skip
        self._app = App(context)
        self._app.on_rebalance_complete.connect(self._restore)
        for topic in topics:
            self._app.read(topic)
        starting = asyncio.create_task(self._app.start())
        look_ms = monotonic_ms()
        while True:
            await asyncio.sleep(_WATCH_S)
            self._watch(self._app, starting)
            self._watched_ms = monotonic_ms()
            if monotonic_ms() - look_ms >= WATCH_S * 1000:
                self._look_at_progress()
                look_ms = monotonic_ms()

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
        if self._kafka_is_silent:
            self._unready = "no answer from Kafka"
        else:
            self._unready = "" if consumer.is_open() else "partitions are being assigned and their state restored"

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

    def _look_at_progress(self) -> None:
        """Measure the lag of every partition that is read.  Raises Stalled."""
        consumer, now_ns = self._consumer, monotonic_ns()
        if not consumer.client.ready or not consumer.flow_active:
            return
        readings = {}
        for tp, applied in consumer.offsets.applied.items():
            answered = consumer.client.answers.get(tp)
            end = max(answered.end if answered else 0, consumer.offsets.handed_over(tp))
            asked_ns = answered.asked_ns if answered and self._processing.wants(*tp) else now_ns
            nothing_left = consumer.caught_up_ns(tp) >= 0 and applied >= consumer.offsets.handed_over(tp)
            readings[tp.topic, tp.partition] = Reading(applied if nothing_left else end, applied, asked_ns // 1_000_000)
        self._progress.look(now_ns // 1_000_000, readings)

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
            await consumer.seek_to_commits()
            await consumer.check_state(self._partitions)
            self._owned = frozenset(tp.partition for tp in consumer.assignment())
            extents = await consumer.client.extents(consumer.assignment())
            if self._owned:
                await consumer.start_reading(await self._processing.assigned(self._owned), extents)
            consumer.open_flow(generation)

    async def _settle(self) -> None:
        """Finish and commit the batches in hand, then give up all partitions."""
        with guard("giving up partitions", self._stop):
            await self._cancel_restoring()
            if self._consumer.assignment():
                await self._finish_and_commit()
            self._progress.forget()
            owned, self._owned = self._owned, frozenset()
            if owned:
                await self._processing.revoked()

    async def _finish_and_commit(self) -> None:
        settle_s = self.config.settle_ms / 1000
        try:
            await asyncio.wait_for(self._processing.finish(), settle_s)
        except TimeoutError:
            raise LeaseLost(f"a batch was still in hand {settle_s:g} s after we had to let go of it") from None
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
