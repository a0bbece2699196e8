"""Named places where a process fails on command, so that tests see what a crash in just this place leaves behind.

    FAILPOINTS=after-panes:3:kill           the third time that panes were flushed: kill -9
    FAILPOINTS=in-batch:raise               the first batch: an error in its handler
    FAILPOINTS=in-batch:2:hold:8            the second batch waits 8 s, the process lives on
    FAILPOINTS=after-outputs:stall:8        the process stands still for 8 s, all but the Kafka client's threads

`failing_nps` puts a shipped process together with the log, the consumer or the warehouse wrapped.
"""

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from schemas.topics import FALLS, INCIDENTS, JOURNEYS, LETTER_ACTIONS, PANES, ROLLING, WAKEUPS
from sinks.warehouse import Row, Warehouse
from streams.collector.outbox import Outbox
from streams.kafka.ports import Log, Output
from streams.settings import Settings
from streams.state import progress

VARIABLE = "FAILPOINTS"

STAGES = ("outputs", "panes", "journeys")
WORKER = (
    "in-batch", *(f"{where}-{stage}" for stage in STAGES for where in ("between", "after")), "before-commit"
)  # fmt: skip
"""The points of a worker: as a batch comes, with half a stage's records written, with all, before offsets go out."""
SINK = ("mid-insert", "after-insert")
"""The points of a sink: with half of a table's rows written, and with all, neither of them committed."""

LETTERS = tuple(f"{where}-{stage}" for stage in ("records", "fates") for where in ("between", "after"))
"""The points of `nps deadletters redrive`: with half of a batch written and with all, of records and of fates."""

COLLECTOR = ("before-put", "after-put")
"""The points of a collector: with a request read, and with its records in Kafka but no answer given."""

ONCALL = tuple(f"{where}-{stage}" for stage in ("effects", "states") for where in ("between", "after"))
"""The points of `nps incidents`: with half written and with all, of events, pages and cases, and of incidents."""

ACTIONS = ("kill", "raise", "hold", "stall")
_NO_STAGE = frozenset({FALLS.name, ROLLING.name, WAKEUPS.name})

logger = logging.getLogger("streams.failpoints")


class Failed(RuntimeError):
    """A failpoint raised, as it was told to."""


class Order(NamedTuple):
    """What is to happen at a point, and at which of the times that it is reached, from 1."""

    point: str
    nth: int
    action: str
    seconds: float = 0.0


class Failpoints:
    """The orders of one process, and how often each point was reached."""

    def __init__(self, orders: Collection[Order]) -> None:
        self._orders = {order.point: order for order in orders}
        self._reached: dict[str, int] = {}

    @classmethod
    def parse(cls, text: str, points: Collection[str]) -> "Failpoints":
        """Read `POINT[:NTH]:ACTION[:SECONDS]`, several separated by commas.  ValueError lists what there is."""
        return cls([_order(one.strip(), points) for one in text.split(",")])

    def reach(self, point: str) -> Order | None:
        """Count that this point is reached; what is to happen now, if anything."""
        self._reached[point] = self._reached.get(point, 0) + 1
        order = self._orders.get(point)
        return order if order is not None and order.nth == self._reached[point] else None

    async def at(self, point: str) -> None:
        """Reach a point and let happen what is to happen."""
        if order := self.reach(point):
            await fire(order)

    def at_once(self, point: str) -> None:
        """The same where there is no event loop."""
        if order := self.reach(point):
            _fail(order)
            time.sleep(order.seconds)


async def fire(order: Order) -> None:
    """Do it.  Raises Failed, or returns after the wait, or never."""
    _fail(order)
    if order.action == "hold":
        await asyncio.sleep(order.seconds)
    else:
        time.sleep(order.seconds)  # nothing else of this process shall go on


class FailingLog:
    """A log that fails as a batch is taken in hand, and at its stages: outputs, panes, journeys.  Others pass."""

    def __init__(self, log: Log, points: Failpoints) -> None:
        self._log = log
        self._points = points
        self._in_batch = False
        self._stage: str | None = None
        self._cut: tuple[Order, list[Output]] | None = None

    def send_all(self, outputs: Iterable[Output]) -> None:
        """Hand over records, or only half of a stage's where it is to fail between two."""
        batch = list(outputs)
        if len(batch) == 1 and batch[0].key == progress.KEY and progress.decode(batch[0].value or b"").in_hand:
            self._log.send_all(batch)
            self._in_batch = True
            return
        self._stage = _stage(batch)
        order = self._points.reach(f"between-{self._stage}") if self._stage and len(batch) > 1 else None
        if order is not None:
            half = len(batch) // 2
            self._cut = order, batch[half:]
            batch = batch[:half]
        self._log.send_all(batch)

    async def flush(self) -> None:
        """Wait until all is durable; then, or half-way, what is to happen."""
        if self._in_batch:
            self._in_batch = False
            await self._points.at("in-batch")
        # Batches overlap: what was sent last, with no await in between, is what this flush is for.
        stage, self._stage = self._stage, None
        cut, self._cut = self._cut, None
        await self._log.flush()
        if cut is not None:
            order, rest = cut
            await fire(order)
            self._log.send_all(rest)
            await self._log.flush()
        if stage is not None:
            await self._points.at(f"after-{stage}")


class FailingHalves:
    """A log that fails half-way through a batch or after it; `stages` gives a topic's stage, `other` is any other's.

    Of letters that are put back and of their fates, of incidents and what is told of them.
    """

    def __init__(self, log: Log, points: Failpoints, stages: Mapping[str, str], other: str) -> None:
        self._log = log
        self._points = points
        self._stages = stages
        self._other = other
        self._stage = ""
        self._rest: list[Output] = []

    def send_all(self, outputs: Iterable[Output]) -> None:
        """Hand over half of the records; `flush` does the rest."""
        batch = list(outputs)
        self._stage = self._stages.get(batch[0].topic, self._other)
        self._log.send_all(batch[: len(batch) // 2])
        self._rest = batch[len(batch) // 2 :]

    async def flush(self) -> None:
        """Wait until the first half is durable, then the second; after each what is to happen."""
        await self._log.flush()
        await self._points.at(f"between-{self._stage}")
        self._log.send_all(self._rest)
        await self._log.flush()
        await self._points.at(f"after-{self._stage}")


class FailingOutbox(Outbox):
    """An outbox that fails before it sends, or when Kafka has all."""

    def __init__(self, settings: Settings, points: Failpoints) -> None:
        super().__init__(settings.brokers, settings.security, settings.collector_wait_ms)
        self._points = points

    async def put(self, outputs: Sequence[Output]) -> None:
        """Send the records; before and after that what is to happen."""
        await self._points.at("before-put")
        await super().put(outputs)
        await self._points.at("after-put")


def failing_letters(log: Log, points: Failpoints) -> FailingHalves:
    """A log for `nps deadletters redrive`."""
    return FailingHalves(log, points, {LETTER_ACTIONS.name: "fates"}, "records")


def failing_incidents(log: Log, points: Failpoints) -> FailingHalves:
    """A log for `nps incidents`."""
    return FailingHalves(log, points, {INCIDENTS.name: "states"}, "effects")


class FailingWarehouse:
    """Wraps a warehouse.  `reach` is called with `mid-insert` and `after-insert`, and fails where it is told to."""

    def __init__(self, warehouse: Warehouse, reach: Callable[[str], None]) -> None:
        self._warehouse = warehouse
        self._reach = reach

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Write these rows in two halves, durable on return.  Raises as the warehouse does."""
        half = len(rows) // 2
        if half:
            self._warehouse.insert(table, columns, rows[:half])
            self._reach("mid-insert")
        self._warehouse.insert(table, columns, rows[half:])
        self._reach("after-insert")


def fail_commits(points: Failpoints) -> None:
    """From now on this process' consumers fail when they are about to commit something."""
    from streams.engine.consumer import BatchConsumer, BatchTransport  # Faust, which a sink does without

    class Failing(BatchConsumer):
        async def _commit(self, offsets: Any) -> Any:
            await points.at("before-commit")
            return await super()._commit(offsets)

    BatchTransport.Consumer = Failing


def _order(text: str, points: Collection[str]) -> Order:
    point, *rest = text.split(":")
    if point not in points:
        raise ValueError(f"{point!r} is no failpoint here; there are {', '.join(points)}")
    nth = int(rest.pop(0)) if rest and rest[0].isdigit() else 1
    action = rest.pop(0) if rest else ""
    if action not in ACTIONS or nth < 1:
        raise ValueError(f"{text!r} is not POINT[:NTH]:ACTION[:SECONDS] with one of {', '.join(ACTIONS)}")
    waits = action in ("hold", "stall")
    if len(rest) != waits or not all(one.isdigit() for one in rest):
        raise ValueError(f"{text!r}: {action} takes {'whole seconds' if waits else 'nothing'} after it")
    return Order(point, nth, action, float(rest[0]) if waits else 0.0)


def _stage(batch: list[Output]) -> str | None:
    topic = batch[0].topic if batch else ROLLING.name
    if topic in _NO_STAGE:
        return None
    return "panes" if topic == PANES.name else "journeys" if topic == JOURNEYS else "outputs"


def _fail(order: Order) -> None:
    """What ends the process or the call; holding and stalling only say that they begin."""
    logger.warning("failpoint %s: %s", order.point, order.action)
    if order.action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if order.action == "raise":
        raise Failed(f"failpoint {order.point}")
