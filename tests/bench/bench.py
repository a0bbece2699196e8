"""`make bench`: what the worker can do, as a ratio to a hand-written loop in the same run, never as a timed test.

One run on the local broker: the loop's rate; the worker's rate on the same answers doing the full durable job, with
five windows and with one; how fast state comes back; memory; and latency at 100 answers a second.

    python tests/bench/bench.py --answers 500000
"""

import argparse
import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import confluent_kafka
from rich.console import Console
from rich.progress import track
from rich.table import Table

from schemas.codec import Codec
from schemas.events import Alert, Purchase, SegmentNps, SurveyResponse
from schemas.topics import ALERTS, PURCHASES, RESPONSES, ROLLING
from sinks.clickhouse import connect
from streams.domain.identity import survey_id
from streams.engine.topics import ensure_topics
from streams.local import free_port, local_broker
from streams.stack import PARTITIONS, SESSION_MS, local_stack, nps

SEGMENTS = (("BR", "DE", "FR", "IN", "US"), ("books", "food", "garden", "toys"))
SCORES = (0, 3, 6, 7, 8, 8, 9, 9, 9, 10, 10, 10)
DAY_MS = 86_400_000
OPEN_JOURNEYS = 200_000
RATE_PER_S = 100

out = Console(width=110)


class Load:
    """So many customers, each with one purchase and one answer, 100 answers to a second of event time."""

    def __init__(self, answers: int) -> None:
        self.answers = answers
        self.codec = Codec()
        self.start_ms = time.time_ns() // 1_000_000 - 2 * DAY_MS
        self._random = random.Random(1)

    def purchase(self, i: int, at_ms: int) -> tuple[bytes, bytes, int]:
        """Key, value and timestamp of the i-th purchase."""
        attributes = {"country": SEGMENTS[0][i % 5], "category": SEGMENTS[1][i % 4]}
        event = Purchase("shop", f"p{i}", "order.delivered", at_ms, f"C{i}", f"o{i}", 1_000, "EUR", attributes)
        return f"C{i}".encode(), self.codec.encode(event), at_ms

    def answer(self, i: int, at_ms: int) -> tuple[bytes, bytes, int]:
        """Key, value and timestamp of the i-th answer."""
        survey = survey_id("shop", f"p{i}", "after-delivery")
        score, channel = self._random.choice(SCORES), ("email", "sms", "web")[i % 3]
        event = SurveyResponse("tool", f"r{i}", "survey.answered", at_ms, f"C{i}", survey, score, None, False, channel)
        return f"C{i}".encode(), self.codec.encode(event), at_ms

    def purchases(self) -> Iterator[tuple[bytes, bytes, int]]:
        """All purchases, at one time."""
        return (self.purchase(i, self.start_ms) for i in range(self.answers))

    def all_answers(self) -> Iterator[tuple[bytes, bytes, int]]:
        """All answers, a day later."""
        return (self.answer(i, self.start_ms + DAY_MS + i * 10) for i in range(self.answers))


def produce(brokers: str, topic: str, records: Iterator[tuple[bytes, bytes, int]], total: int, what: str) -> None:
    """Write records as fast as the broker takes them."""
    producer = _producer(brokers)
    for key, value, timestamp in track(records, what, total, console=out, disable=not out.is_terminal):
        while True:
            try:
                producer.produce(topic, value, key, timestamp=timestamp)
                break
            except BufferError:
                producer.poll(0.1)
    producer.flush()


def hand_written_loop(brokers: str, answers: int) -> float:
    """Answers a second: decode, classify, minute panes per segment and in all, alerts as JSON; nothing durable."""
    codec, consumer, producer = Codec(), _reader(brokers, RESPONSES.name), _producer(brokers)
    panes: dict[tuple[str, int], list[int]] = {}
    seen, started = 0, 0.0
    while seen < answers:
        for message in consumer.consume(10_000, timeout=0.1):
            if message.error() is not None:
                continue
            started = started or time.perf_counter()
            seen += 1
            response = codec.decode(SurveyResponse, message.value())
            score = response.score or 0
            place = 0 if score >= 9 else 1 if score >= 7 else 2
            minute = response.time // 60_000
            for segment in ("all", response.channel or ""):
                pane = panes.get((segment, minute))
                if pane is None:
                    pane = panes[segment, minute] = [0, 0, 0]
                pane[place] += 1
            if score <= 6:
                alert = {"survey": response.survey_id, "score": score, "customer": response.customer_id}
                producer.produce("bench.alerts", json.dumps(alert).encode(), message.key())
                if seen % 100 == 0:
                    producer.poll(0)
    producer.flush()
    consumer.close()
    if sum(sum(pane) for (segment, _), pane in panes.items() if segment == "all") != answers:
        raise RuntimeError("the loop lost answers")
    return answers / (time.perf_counter() - started)


class Run:
    """A worker process under measurement."""

    def __init__(self, brokers: str, program: Path, log: Path) -> None:
        self.port = free_port()
        environ = {
            "NPS_BROKERS": brokers,
            "NPS_PROGRAM": str(program),
            "NPS_PARTITIONS": str(PARTITIONS),
            "NPS_SESSION_TIMEOUT_MS": str(SESSION_MS),
            "NPS_METRICS_PORT": str(self.port),
        }
        self._log = log
        self._process = subprocess.Popen(
            nps("worker"), env={**os.environ, **environ}, stdout=log.open("ab"), stderr=subprocess.STDOUT
        )

    def stepped(self, topic: str) -> int:
        """Events of a topic that were made durable so far."""
        if self._process.poll() is not None:
            raise RuntimeError(f"the worker ended: {self._log.read_text().splitlines()[-1]}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
                text = answer.read().decode()
        except OSError:
            return 0
        found = re.search(rf'^nps_events_in_total{{topic="{topic}"}} (\S+)', text, re.MULTILINE)
        return int(float(found[1])) if found else 0

    def rate(self, topic: str, total: int) -> float:
        """Events a second from the first durable block to the last."""
        first = last = (0, 0.0)
        while last[0] < total:
            time.sleep(0.02)
            last = (self.stepped(topic), time.perf_counter())
            if first[0] == 0:
                first = last
        return (last[0] - first[0]) / (last[1] - first[1])

    def until(self, topic: str, total: int) -> None:
        """Wait until so many events are durable."""
        while self.stepped(topic) < total:
            time.sleep(0.05)

    @property
    def peak_mib(self) -> float:
        """Most resident memory so far."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) / 1024

    def stop(self) -> None:
        """Ask it to end."""
        self._process.send_signal(signal.SIGTERM)
        if self._process.wait(30):
            raise RuntimeError(f"the worker ended badly: {self._log.read_text().splitlines()[-1]}")


def throughput(load: Load, program: Path, folder: Path, *, with_loop: bool) -> dict[str, float]:
    """One broker, one worker: purchases, a restart, then all answers at once."""
    found: dict[str, float] = {}
    with local_broker() as broker:
        ensure_topics(broker.address, {}, PARTITIONS, 1)
        log = folder / f"{program.stem}.log"
        run = Run(broker.address, program, log)
        produce(broker.address, PURCHASES.name, load.purchases(), load.answers, "purchases")
        if load.answers >= OPEN_JOURNEYS:
            run.until(PURCHASES.name, OPEN_JOURNEYS)
            found["memory"] = run.peak_mib
        run.until(PURCHASES.name, load.answers)
        run.stop()
        produce(broker.address, RESPONSES.name, load.all_answers(), load.answers, "answers")
        if with_loop:
            found["loop"] = statistics.median(hand_written_loop(broker.address, load.answers) for _ in range(3))
        run = Run(broker.address, program, log)
        found["worker"] = run.rate(RESPONSES.name, load.answers)
        restored = re.findall(r"restored .* records=(\d+) seconds=([\d.]+)", log.read_text())[-1]
        found["restore"] = int(restored[0]) / float(restored[1])
        found["state_records"] = int(restored[0])
        run.stop()
    return found


def latency(load: Load, program: Path, seconds: int) -> dict[str, list[float]]:
    """Milliseconds from produce to alert, to a rolling row that holds the answer, and to a row in ClickHouse."""
    with tempfile.TemporaryDirectory() as folder, local_stack(Path(folder), program) as stack:
        children = [
            subprocess.Popen(c.argv, env={**os.environ, **c.env}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for c in stack.children
        ]
        try:
            with closing(connect(stack.clickhouse_url)) as warehouse:
                return _observe(
                    load, stack.brokers, seconds, lambda: warehouse.query("SELECT count() FROM answers")[0][0]
                )
        finally:
            for child in reversed(children):
                child.terminate()
                child.wait(30)


def _observe(load: Load, brokers: str, seconds: int, stored: Callable[[], object]) -> dict[str, list[float]]:
    total, codec = seconds * RATE_PER_S, load.codec
    start_ms = time.time_ns() // 1_000_000
    produce(brokers, PURCHASES.name, (load.purchase(i, start_ms) for i in range(total)), total, "purchases")
    seen = _reader(brokers, "nps.dispatches")
    sent = 0
    while sent < total:
        sent += sum(m.error() is None for m in seen.consume(1_000, timeout=0.1))
    seen.close()
    out.print(f"latency: {RATE_PER_S} answers a second for {seconds} s")
    producer, reader = _producer(brokers), _reader(brokers, ALERTS.name, ROLLING.name)
    produced: list[float] = []
    alerts: dict[str, float] = {}
    rolling: list[tuple[int, float]] = []
    rows: list[tuple[int, float]] = []
    survey_times: dict[str, float] = {}
    began = time.perf_counter()
    next_look = began
    while len(produced) < total or not rows or rows[-1][0] < total or not rolling or rolling[-1][0] < total:
        now = time.perf_counter()
        while len(produced) < total and now >= began + len(produced) / RATE_PER_S:
            i = len(produced)
            key, value, _ = load.answer(i, time.time_ns() // 1_000_000)
            produced.append(time.perf_counter())
            survey_times[survey_id("shop", f"p{i}", "after-delivery")] = produced[-1]
            producer.produce(RESPONSES.name, value, key)
            producer.poll(0)
        for message in reader.consume(500, timeout=0.002):
            if message.error() is None and message.topic() == ALERTS.name:
                alert = codec.decode(Alert, message.value())
                alerts.setdefault(
                    alert.survey_id if hasattr(alert, "survey_id") else alert.dedup_key, time.perf_counter()
                )
            elif message.error() is None:
                row = codec.decode(SegmentNps, message.value())
                if (row.segment, row.window) == ("all", "1h"):
                    rolling.append((row.n, time.perf_counter()))
        if now >= next_look:
            rows.append((int(str(stored())), time.perf_counter()))
            next_look = time.perf_counter() + 0.1
        if now > began + seconds + 60:
            raise RuntimeError("the pipeline did not catch up within a minute")
    reader.close()
    return {
        "alert": [1000 * (at - survey_times[survey]) for survey, at in alerts.items()],
        "rolling row": _until_counted(produced, rolling),
        "row in ClickHouse": _until_counted(produced, rows),
    }


def _until_counted(produced: list[float], counts: list[tuple[int, float]]) -> list[float]:
    """For the k-th answer: milliseconds until a count of k or more was seen."""
    found, place = [], 0
    for k, at in enumerate(produced, 1):
        while counts[place][0] < k:
            place += 1
        found.append(1000 * max(0.0, counts[place][1] - at))
    return found


def _producer(brokers: str) -> confluent_kafka.Producer:
    return confluent_kafka.Producer(
        {
            "bootstrap.servers": brokers, "partitioner": "murmur2_random", "linger.ms": 5,
            "queue.buffering.max.messages": 1_000_000, "log_level": 0,
        }
    )  # fmt: skip


def _reader(brokers: str, *topics: str) -> confluent_kafka.Consumer:
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": brokers, "group.id": "bench", "fetch.queue.backoff.ms": 10, "fetch.wait.max.ms": 10,
            "queued.min.messages": 20_000, "log_level": 0,
        }
    )  # fmt: skip
    start = confluent_kafka.OFFSET_BEGINNING
    parts = [confluent_kafka.TopicPartition(topic, n, start) for topic in topics for n in range(PARTITIONS)]
    consumer.assign(parts)
    return consumer


@contextmanager
def programs() -> Iterator[tuple[Path, Path]]:
    """The shipped program with surveys sent at once: with its five windows, and with the 1 h window alone."""
    text = (Path(__file__).parents[2] / "streams" / "nps.toml").read_text()
    text = re.sub(r'delay = "\w+"', 'delay = "0s"', text)
    with tempfile.TemporaryDirectory() as folder:
        five, one = Path(folder) / "five.toml", Path(folder) / "one.toml"
        five.write_text(text)
        one.write_text(re.sub(r"lengths = .*", 'lengths = ["1h"]', text))
        yield five, one


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=int, default=500_000)
    parser.add_argument("--latency-seconds", type=int, default=20)
    parser.add_argument("--only", choices=["throughput", "latency"])
    parsed = parser.parse_args()
    load = Load(parsed.answers)
    table = Table(
        "figure", "measured", "bar", title=f"{os.cpu_count()} cores, {parsed.answers} answers", title_justify="left"
    )
    with programs() as (five, one), tempfile.TemporaryDirectory() as name:
        if parsed.only != "latency":
            _throughput_rows(table, load, five, one, Path(name))
        if parsed.only != "throughput":
            for what, bar_ms in (found := latency(load, five, parsed.latency_seconds)) and zip(
                found, (1000, 2000, 5000), strict=True
            ):
                cuts = statistics.quantiles(found[what], n=100)
                figure = f"{cuts[49]:.0f} / {cuts[94]:.0f} / {cuts[98]:.0f} ms"
                table.add_row(f"produce to {what}, p50 / p95 / p99", figure, f"p95 {bar_ms} ms")
    out.print(table)


def _throughput_rows(table: Table, load: Load, five: Path, one: Path, folder: Path) -> None:
    found = throughput(load, five, folder, with_loop=True)
    alone = throughput(load, one, folder, with_loop=False)
    table.add_row("hand-written loop, median of 3", f"{found['loop']:,.0f}/s", "")
    table.add_row("worker, full durable job", f"{found['worker']:,.0f}/s", "20,000/s")
    table.add_row("ratio", f"{found['worker'] / found['loop']:.2f}", "0.20")
    table.add_row("worker with the 1 h window alone", f"{alone['worker']:,.0f}/s", "")
    table.add_row("five windows to one", f"{found['worker'] / alone['worker']:.2f}", "0.90")
    table.add_row("restore", f"{found['restore']:,.0f} records/s of {found['state_records']:,}", "150,000/s")
    if "memory" in found:
        table.add_row(f"peak memory with {OPEN_JOURNEYS:,} open journeys", f"{found['memory']:.0f} MiB", "")


if __name__ == "__main__":
    sys.exit(main())
