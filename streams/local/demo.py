"""`nps demo`: the whole pipeline for a bounded time, on made-up customers, proven in the end.

It loads a history, then lives: purchases, surveys, answers, duplicates, corrections, late ones, rubbish, and one
segment that goes bad.  In the end stream state and ClickHouse are compared with a recount of the input.
"""

import asyncio
import heapq
import itertools
import subprocess
import time
from contextlib import closing
from pathlib import Path

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from rich.console import Console
from rich.live import Live

from schemas.codec import Codec
from schemas.events import SurveyDispatch, SurveyResponse
from schemas.topics import DISPATCHES, HISTORY_HEADER, RESPONSES
from streams.clock import wall_ms
from streams.errors import ChildDied
from streams.kafka.ports import Headers
from streams.kafka.producer import Producer
from streams.kafka.reader import KafkaReader
from streams.local import process
from streams.local.scoreboard import Board
from streams.local.simulate import DAY_MS, HOUR_MS, Respondents, Shop, Written, poison
from streams.local.stack import Stack
from streams.proof.reconciliation import Reconciliation, WarehouseFigures, reconcile
from streams.settings import Settings

PROGRAM = Path(__file__).with_name("demo.toml")
HISTORY_DAYS = 30
HISTORY_ORDERS = 6_000
ORDERS_PER_S = 8
SEED = 7
HISTORY = ((HISTORY_HEADER, b"1"),)
SETTLE_S = 45.0
"""How long the pipeline may take to finish what it was given."""


class Demo:
    """One run.  `warehouse` has the figures of ClickHouse."""

    def __init__(
        self, stack: Stack, settings: Settings, logs: Path, warehouse: WarehouseFigures, console: Console
    ) -> None:
        self._stack, self._settings, self._logs, self._warehouse, self._console = (
            stack,
            settings,
            logs,
            warehouse,
            console,
        )
        self._codec = Codec()
        self._log = Producer(stack.brokers, client_id="nps-demo")
        self._shop, self._respondents = Shop(SEED), Respondents(SEED, wall_ms())
        self._dispatches = self._reading(DISPATCHES.name)
        self._board = Board(stack.brokers, settings.partitions, self._codec)
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._later: list[tuple[int, int, Written]] = []
        self._order = itertools.count()
        self._old: list[SurveyDispatch] = []

    def run(self, for_s: float) -> Reconciliation:
        """History, then `for_s` seconds of life, then the comparison.  Raises ChildDied."""
        try:
            for child in self._stack.children:
                with (self._logs / f"{child.name}.log").open("wb") as output:
                    self._children[child.name] = process.start(child.argv, output, child.env)
            self._load_history()
            self._live(for_s)
            return self._settle()
        finally:
            self._dispatches.close()
            self._board.close()
            for running in reversed(self._children.values()):
                process.stop(running)

    def _load_history(self) -> None:
        end_ms = wall_ms() - HOUR_MS
        history = self._shop.history(end_ms, HISTORY_DAYS, HISTORY_ORDERS)
        with self._console.status(f"loading {HISTORY_DAYS} days of history: {len(history)} events"):
            for written in history:
                self._write(written, HISTORY)
            asked, quiet_until = 0, time.monotonic() + SETTLE_S
            while time.monotonic() < quiet_until:
                for dispatch in self._new_dispatches():
                    asked += 1
                    quiet_until = time.monotonic() + 3
                    self._old.append(dispatch)
                    for written in self._respondents.answers(dispatch, (HOUR_MS, 2 * DAY_MS)):
                        if written.at_ms < wall_ms():
                            self._write(written)
                self._check_children()
            asyncio.run(self._log.flush())
        self._console.print(f"history: {len(history)} events over {HISTORY_DAYS} days, {asked} surveys sent")

    def _live(self, for_s: float) -> None:
        started = time.monotonic()
        orders = 0
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            while (passed := time.monotonic() - started) < for_s:
                while orders < passed * ORDERS_PER_S:
                    orders += 1
                    self._one_order(orders)
                self._answer_and_write()
                self._board.update()
                if self._console.is_terminal:
                    live.update(self._board.shown(for_s - passed), refresh=True)
                elif self._board.is_due(5):
                    self._console.print(self._board.lines(for_s - passed))
                self._check_children()
                time.sleep(0.05)

    def _one_order(self, number: int) -> None:
        for written in self._shop.order(wall_ms()):
            self._schedule(written)
        if number % 40 == 0:
            for key, value in poison(number):
                self._log.send(RESPONSES.name, value, key)
        if number % 10 == 0 and self._old:
            self._answer_late(self._old[number * 37 % len(self._old)])

    def _answer_late(self, dispatch: SurveyDispatch) -> None:
        """An answer given long ago that arrives now: into its old minute, or too late for it."""
        response = SurveyResponse(
            "survey-tool", f"{dispatch.survey_id}-late", "survey.answered", dispatch.due_ms + HOUR_MS,
            dispatch.customer_id, dispatch.survey_id, 9, None, False, "email",
        )  # fmt: skip
        self._write(Written(wall_ms(), RESPONSES.name, response))

    def _answer_and_write(self) -> None:
        for dispatch in self._new_dispatches():
            for written in self._respondents.answers(dispatch, (300, 4_000)):
                self._schedule(written)
        while self._later and self._later[0][0] <= wall_ms():
            self._write(heapq.heappop(self._later)[2])

    def _schedule(self, written: Written) -> None:
        heapq.heappush(self._later, (written.at_ms, next(self._order), written))

    def _write(self, written: Written, headers: Headers = ()) -> None:
        key, value = written.event.customer_id.encode(), self._codec.encode(written.event)
        self._log.send(written.topic, value, key, timestamp_ms=written.at_ms, headers=headers)

    def _settle(self) -> Reconciliation:
        """Wait until all three agree, or until they should have."""
        asyncio.run(self._log.flush())
        deadline = time.monotonic() + SETTLE_S
        with self._console.status("waiting until everything written has arrived, then comparing"):
            while True:
                self._check_children()
                with closing(KafkaReader(self._stack.brokers, {})) as reader:
                    verdict = reconcile(reader, self._settings, self._codec, self._warehouse)
                if verdict.agrees or time.monotonic() > deadline:
                    return verdict
                time.sleep(1)

    def _new_dispatches(self) -> list[SurveyDispatch]:
        messages = self._dispatches.consume(1_000, timeout=0.02)
        return [self._codec.decode(SurveyDispatch, m.value()) for m in messages if m.error() is None]

    def _reading(self, topic: str) -> Consumer:
        consumer = Consumer({"bootstrap.servers": self._stack.brokers, "group.id": "nps-demo", "fetch.wait.max.ms": 20})
        numbers = range(self._settings.partitions)
        consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in numbers])
        return consumer

    def _check_children(self) -> None:
        for name, running in self._children.items():
            if running.poll() is not None:
                last = (self._logs / f"{name}.log").read_text().strip().splitlines()[-1:] or ["it said nothing"]
                raise ChildDied(f"nps {name} ended with exit code {running.returncode}: {last[0]}")
