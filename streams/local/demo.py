"""Demo, `nps demo`: the whole pipeline for a bounded time, on made-up customers, with a proof of its numbers.

It loads a history, then runs live: purchases, surveys, answers, duplicates, corrections, late ones, rubbish, and one
segment that goes bad.  At the end stream state and ClickHouse are compared with a recount of the input.
"""

import asyncio
import heapq
import itertools
import subprocess
import time
from contextlib import closing, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from rich.console import Console
from rich.live import Live

from schemas.codec import Codec
from schemas.events import Alert, SurveyDispatch, SurveyResponse
from schemas.topics import DISPATCHES, HISTORY_HEADER, RESPONSES
from streams.clock import wall_ms
from streams.errors import ChildDied
from streams.kafka.ports import Headers
from streams.kafka.producer import Producer
from streams.kafka.reader import KafkaReader
from streams.local import process
from streams.local.scoreboard import Board
from streams.local.simulate import DAY_MS, HOUR_MS, Respondents, Shop, TimedEvent, poison
from streams.local.stack import Stack
from streams.proof.reconciliation import Reconciliation, WarehouseFigures, reconcile
from streams.settings import Settings

PROGRAM = Path(__file__).with_name("demo.toml")
HISTORY_DAYS = 30
HISTORY_ORDERS = 6_000
ORDERS_PER_S = 8
SEED = 7
HISTORY_HEADERS = ((HISTORY_HEADER, b"1"),)
SETTLE_S = 45.0
"""Time in seconds that the pipeline may take to finish its input."""


class Demo:
    """A run of the demo on a stack, whose processes end with its `with` block.

    `logs` is the folder of its children's logs, `warehouse` asks ClickHouse.
    """

    def __init__(
        self, stack: Stack, settings: Settings, logs: Path, warehouse: WarehouseFigures, console: Console
    ) -> None:
        self._stack, self._settings, self._logs = stack, settings, logs
        self._warehouse, self._console = warehouse, console
        self._codec = Codec()
        self._log = Producer(stack.brokers, client_id="nps-demo")
        self._shop, self._respondents = Shop(SEED), Respondents(SEED, wall_ms())
        self._dispatches = self._consumer_of(DISPATCHES.name)
        self._board = Board(stack.brokers, settings.partitions, self._codec)
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._scheduled: list[tuple[int, int, TimedEvent]] = []
        self._sequence = itertools.count()
        self._history_dispatches: list[SurveyDispatch] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._dispatches.close()
        self._board.close()
        for running in reversed(self._children.values()):
            process.stop(running)

    def run(self, for_s: float) -> Reconciliation:
        """Load the history, run live for `for_s` seconds, then compare.  Raises ChildDied."""
        for child in self._stack.children:
            with (self._logs / f"{child.name}.log").open("wb") as output:
                self._children[child.name] = process.start(child.argv, output, child.env)
        self._load_history()
        self._live(for_s)
        return self._settle()

    @property
    def alert(self) -> Alert | None:
        """The newest open alert with a comment, or the newest one; None for none."""
        return self._board.alert

    def stay(self) -> None:
        """Let everything run on until Ctrl-C.  Raises ChildDied."""
        with suppress(KeyboardInterrupt):
            while True:
                self._check_children()
                time.sleep(0.2)

    def _load_history(self) -> None:
        end_ms = wall_ms() - HOUR_MS
        history = self._shop.history(end_ms, HISTORY_DAYS, HISTORY_ORDERS)
        with self._console.status(f"loading {HISTORY_DAYS} days of history: {len(history)} events"):
            for event in history:
                self._write(event, HISTORY_HEADERS)
            surveys, quiet_until = 0, time.monotonic() + SETTLE_S
            while time.monotonic() < quiet_until:
                for dispatch in self._new_dispatches():
                    surveys += 1
                    quiet_until = time.monotonic() + 3
                    self._history_dispatches.append(dispatch)
                    for event in self._respondents.answers(dispatch, (HOUR_MS, 2 * DAY_MS)):
                        if event.at_ms < wall_ms():
                            self._write(event)
                self._check_children()
            asyncio.run(self._log.flush())
        self._console.print(f"history: {len(history)} events over {HISTORY_DAYS} days, {surveys} surveys sent")

    def _live(self, for_s: float) -> None:
        start_s = time.monotonic()
        orders = 0
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            while (elapsed_s := time.monotonic() - start_s) < for_s:
                while orders < elapsed_s * ORDERS_PER_S:
                    orders += 1
                    self._place_order(orders)
                self._answer_and_write()
                self._board.update()
                if self._console.is_terminal:
                    live.update(self._board.shown(for_s - elapsed_s), refresh=True)
                elif self._board.is_due(5):
                    self._console.print(self._board.lines(for_s - elapsed_s))
                self._check_children()
                time.sleep(0.05)

    def _place_order(self, number: int) -> None:
        for event in self._shop.order(wall_ms()):
            self._schedule(event)
        if number % 40 == 0:
            for key, value in poison(number):
                self._log.send(RESPONSES.name, value, key)
        if number % 10 == 0 and self._history_dispatches:
            self._answer_late(self._history_dispatches[number * 37 % len(self._history_dispatches)])

    def _answer_late(self, dispatch: SurveyDispatch) -> None:
        """Write an answer that was given long ago: it counts in its old minute, or is too late."""
        response = SurveyResponse(
            "survey-tool", f"{dispatch.survey_id}-late", "survey.answered", dispatch.due_ms + HOUR_MS,
            dispatch.customer_id, dispatch.survey_id, 9, None, False, "email",
        )  # fmt: skip
        self._write(TimedEvent(wall_ms(), RESPONSES.name, response))

    def _answer_and_write(self) -> None:
        for dispatch in self._new_dispatches():
            for event in self._respondents.answers(dispatch, (300, 4_000)):
                self._schedule(event)
        while self._scheduled and self._scheduled[0][0] <= wall_ms():
            self._write(heapq.heappop(self._scheduled)[2])

    def _schedule(self, event: TimedEvent) -> None:
        heapq.heappush(self._scheduled, (event.at_ms, next(self._sequence), event))

    def _write(self, timed: TimedEvent, headers: Headers = ()) -> None:
        key, value = timed.event.customer_id.encode(), self._codec.encode(timed.event)
        self._log.send(timed.topic, value, key, timestamp_ms=timed.at_ms, headers=headers)

    def _settle(self) -> Reconciliation:
        """Compare until stream, ClickHouse and recount agree, or SETTLE_S have passed."""
        asyncio.run(self._log.flush())
        deadline = time.monotonic() + SETTLE_S
        with self._console.status("waiting until everything written has arrived, then comparing"):
            while True:
                self._check_children()
                with closing(KafkaReader(self._stack.brokers, {})) as reader:
                    reconciliation = reconcile(reader, self._settings, self._codec, self._warehouse)
                if reconciliation.agrees or time.monotonic() > deadline:
                    return reconciliation
                time.sleep(1)

    def _new_dispatches(self) -> list[SurveyDispatch]:
        messages = self._dispatches.consume(1_000, timeout=0.02)
        return [self._codec.decode(SurveyDispatch, m.value()) for m in messages if m.error() is None]

    def _consumer_of(self, topic: str) -> Consumer:
        consumer = Consumer({"bootstrap.servers": self._stack.brokers, "group.id": "nps-demo"})
        numbers = range(self._settings.partitions)
        consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in numbers])
        return consumer

    def _check_children(self) -> None:
        for name, running in self._children.items():
            if running.poll() is not None:
                last = (self._logs / f"{name}.log").read_text().strip().splitlines()[-1:] or ["it said nothing"]
                raise ChildDied(f"nps {name} ended with exit code {running.returncode}: {last[0]}")
