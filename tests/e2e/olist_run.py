"""Runs the real worker and sink on a local stack, sends them Olist's history, and waits until all of it is done."""

import json
import os
import subprocess
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple, TypeAlias

from prometheus_client.parser import text_string_to_metric_families

from schemas import topics
from sinks.clickhouse.client import ClickHouse, connect
from streams.kafka.reader import KafkaReader
from streams.local import process
from streams.local.stack import PARTITIONS, Stack, local_stack, nps
from tests.e2e.olist_events import Event
from tests.e2e.olist_figures import Figure, figures, tallies
from tests.e2e.olist_recount import Expected, Tally
from tests.support.retention import keep_for_ever

PROGRAM = Path(__file__).with_name("olist.toml")
SERVICES = ("worker", "sink")
SETTLE_S = 600.0
"""How long the pipeline may take to finish what it was sent."""

STORED = {
    "decisions": topics.DECISIONS, "dispatches": topics.DISPATCHES, "answers": topics.ANSWERS,
    "alerts": topics.ALERTS, "panes": topics.PANES, "dead_letters": topics.DEAD,
}  # fmt: skip
"""Tables that must hold all of their topic before anything is compared."""

Say: TypeAlias = Callable[[str], None]


class Died(RuntimeError):
    """A process of the pipeline ended on its own, or could not do its work."""


class Outcome(NamedTuple):
    """What one load came to: each figure, and the NPS of every segment in ClickHouse."""

    name: str
    figures: list[Figure]
    tallies: dict[str, Tally]

    @property
    def agrees(self) -> bool:
        """True when every figure agrees."""
        return all(figure.agrees for figure in self.figures)


@contextmanager
def running(folder: Path, expected: Expected, say: Say) -> Iterator["Run"]:
    """A new stack, whose worker and sink start with the first load and end with it.  Raises NotStarted."""
    with local_stack(folder, PROGRAM) as stack, closing(connect(stack.clickhouse_url)) as warehouse:
        keep_for_ever(stack.brokers)
        run = Run(stack, folder, expected, warehouse, say)
        try:
            yield run
        finally:
            run.stop()


class Run:
    """A stack that runs.  Each `load` sends events on top of what was sent before.

    The services start once the first is sent: a worker that has read all there is waits no longer for the survey of an
    answer of years ago, so where a history is shuffled it must find all of it.
    """

    def __init__(self, stack: Stack, folder: Path, expected: Expected, warehouse: ClickHouse, say: Say) -> None:
        self._stack, self._folder, self._expected, self._warehouse, self._say = (
            stack, folder, expected, warehouse, say,
        )  # fmt: skip
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._sent: Counter[str] = Counter()
        self._copies = 0

    def _start(self) -> None:
        """Start the services, their output to files."""
        for child in self._stack.children:
            if child.name in SERVICES:
                with self._log(child.name).open("wb") as output:
                    self._children[child.name] = process.start(child.argv, output, child.env)

    def stop(self) -> None:
        """Stop the services."""
        for child in reversed(self._children.values()):
            process.stop(child)

    def load(self, name: str, history: Sequence[Event], copies: int) -> Outcome:
        """Send a history that holds every event `copies` times, wait until all is done, compare.  Raises Died."""
        with self._phase(f"{name}: {len(history)} events produced"):
            self._produce(history)
        if not self._children:
            self._start()
        self._copies += copies
        with self._phase(f"{name}: all of them stepped, given up or stored"):
            self._settle()
        with self._phase(f"{name}: compared with the files"):
            published = self._metrics("worker")["nps_records_out_total", topics.DECISIONS.name]
            found = figures(self._expected, self._warehouse.query, self._copies)
            found.append(Figure("decisions published, repeated ones too", len(self._expected.delivered), published))
            return Outcome(name, found, tallies(self._warehouse.query))

    def _produce(self, history: Sequence[Event]) -> None:
        file = self._folder / "events.jsonl"
        file.write_text("".join(json.dumps(event) + "\n" for event in history), encoding="utf-8")
        environ = {**os.environ, **self._stack.environ}
        produce = nps("produce", "--history", str(file))
        done = subprocess.run(produce, env=environ, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Died(f"nps produce failed: {done.stderr.strip().splitlines()[-1:]}")
        self._sent.update(f"nps.{event['topic']}" for event in history)

    def _settle(self) -> None:
        """Wait until nothing is left to do; after `SETTLE_S` go on, so that the figures can say what is wrong."""
        deadline = time.monotonic() + SETTLE_S
        while not (self._is_stepped() and self._is_stored()) and time.monotonic() < deadline:
            self._check_children()
            time.sleep(0.2)

    def _is_stepped(self) -> bool:
        """Every event was taken, and every response whose survey never came was given up."""
        counted = self._metrics("worker")
        back = counted["nps_events_requeued_total", topics.RESPONSES.name]
        given_up = sum(count for (name, _), count in counted.items() if name == "nps_events_dead_total")
        lost = len(self._expected.reviews("unknown_survey")) + len(self._expected.reviews("edit_closed"))
        return (
            counted["nps_events_in_total", topics.PURCHASES.name] == self._sent[topics.PURCHASES.name]
            and counted["nps_events_in_total", topics.RESPONSES.name] == self._sent[topics.RESPONSES.name] + back
            and given_up == self._copies * lost
        )

    def _is_stored(self) -> bool:
        """The last record of every partition is in its table."""
        wanted = [(topic.name, number) for topic in STORED.values() for number in range(topic.partitions or PARTITIONS)]
        with closing(KafkaReader(self._stack.brokers, {})) as reader:
            rows = [(partition, record.offset) for partition, record in reader.read(wanted) if record.value is not None]
            ends = dict(rows)
        union = " UNION ALL ".join(
            f"SELECT toString(kafka_topic) AS topic, kafka_partition AS number, max(kafka_offset) FROM {table} "
            "GROUP BY topic, number"
            for table in STORED
        )
        return ends == {(topic, number): offset for topic, number, offset in self._warehouse.query(union)}

    def _metrics(self, service: str) -> Counter[tuple[str, str]]:
        """The service's counters by name and label; empty while it does not answer yet."""
        port = next(child.env["NPS_METRICS_PORT"] for child in self._stack.children if child.name == service)
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
                families = list(text_string_to_metric_families(answer.read().decode()))
        except OSError:
            return Counter()
        samples = (sample for family in families if family.type == "counter" for sample in family.samples)
        return Counter({(s.name, next(iter(s.labels.values()), "")): int(s.value) for s in samples})

    def _check_children(self) -> None:
        for name, child in self._children.items():
            if child.poll() is not None:
                last = self._log(name).read_text(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
                raise Died(f"nps {name} ended with exit code {child.returncode}: {last[0]}")

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    @contextmanager
    def _phase(self, text: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self._say(f"{time.monotonic() - started:5.1f} s  {text}")
