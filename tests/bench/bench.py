"""`make bench`: what the worker can do, as a ratio to a hand-written loop in the same run, never as a timed test.

One run on the local broker: the loop's rate; the worker's rate on the same answers doing the full durable job, with
five windows and with one; how fast state comes back; memory; latency at 100 answers a second; and the live page.

    python -m tests.bench.bench --answers 500000
    python -m tests.bench.bench --only in-step
    python -m tests.bench.bench --only sink          rows a second into ClickHouse, beside a hand-written loader
    python -m tests.bench.bench --only bi            views and questions at 5,000,000 answers, see tests.bench.bi
    python -m tests.bench.bench --only sources       a mapping file beside JMESPath, end to end, and webhooks
    python -m tests.bench.bench --only comments      themes and sentiment of real comments, and the time for one
    python -m tests.bench.bench --only falls         false alerts and falls found, see tests.bench.falls
"""

import argparse
import json
import os
import re
import statistics
import tempfile
import time
import timeit
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
from rich.console import Group, RenderableType
from rich.table import Table

from schemas.codec import versions
from schemas.events import SurveyResponse
from schemas.topics import PURCHASES, RESPONSES
from streams.engine.lease import Lease, monotonic_ms
from streams.kafka.topics import ensure_topics
from streams.local.servers import local_broker
from streams.local.stack import PARTITIONS, SESSION_MS
from tests.bench import bi, comments, falls, sink, sources
from tests.bench.latency import latency
from tests.bench.live_page import VIEWERS, PageCost, live_page
from tests.bench.load import DAY_MS, Load, out, produce, producer, programs, reader_of
from tests.bench.process import OF_TOPIC, Run

ANSWERS = 500_000
OPEN_JOURNEYS = 200_000
LEASE_CHECKS = 3
"""A block's, one before each stage of its writing."""

HEADER_BYTES = 10
"""Of Avro's single-object encoding."""


def hand_written_loop(brokers: str, answers: int) -> float:
    """Answers a second: decode, classify, minute panes per segment and in all, alerts as JSON; nothing durable.

    Whoever writes a loop by hand decodes with fastavro, so this one does.
    """
    schema = fastavro.parse_schema(versions(SurveyResponse)[-1])
    consumer, client = reader_of(brokers, RESPONSES.name), producer(brokers)
    panes: dict[tuple[str, int], list[int]] = {}
    seen, started = 0, 0.0
    while seen < answers:
        for message in consumer.consume(10_000, timeout=0.1):
            if message.error() is not None:
                continue
            started = started or time.perf_counter()
            seen += 1
            response: Any = fastavro.schemaless_reader(BytesIO((message.value() or b"")[HEADER_BYTES:]), schema)
            score = response["score"] or 0
            place = 0 if score >= 9 else 1 if score >= 7 else 2
            minute = response["time"] // 60_000
            for segment in ("all", response["channel"] or ""):
                pane = panes.get((segment, minute))
                if pane is None:
                    pane = panes[segment, minute] = [0, 0, 0]
                pane[place] += 1
            if score <= 6:
                alert = {"survey": response["survey_id"], "score": score, "customer": response["customer_id"]}
                client.produce("bench.alerts", json.dumps(alert).encode(), message.key())
                if seen % 100 == 0:
                    client.poll(0)
    client.flush()
    consumer.close()
    if sum(sum(pane) for (segment, _), pane in panes.items() if segment == "all") != answers:
        raise RuntimeError("the loop lost answers")
    return answers / (time.perf_counter() - started)


def worker(brokers: str, program: Path, log: Path) -> Run:
    """Start a worker under measurement."""
    environ = {
        "NPS_BROKERS": brokers,
        "NPS_PROGRAM": str(program),
        "NPS_PARTITIONS": str(PARTITIONS),
        "NPS_SESSION_TIMEOUT_MS": str(SESSION_MS),
    }
    return Run("worker", environ, log)


def batch_s(run: Run) -> float:
    """Seconds in which a worker decides a batch and makes it durable, on average."""
    seconds = run.sample("nps_block_seconds_sum") + run.sample("nps_flush_seconds_sum")
    return seconds / run.sample("nps_block_seconds_count")


def throughput(load: Load, program: Path, folder: Path, *, with_loop: bool) -> dict[str, float]:
    """One broker, one worker: purchases, a restart, then all answers at once."""
    found: dict[str, float] = {}
    with local_broker() as broker:
        ensure_topics(broker.address, {}, PARTITIONS, 1)
        log = folder / f"{program.stem}.log"
        run = worker(broker.address, program, log)
        produce(broker.address, PURCHASES.name, load.purchases(), load.answers, "purchases")
        if load.answers >= OPEN_JOURNEYS:
            run.until(OF_TOPIC.format(PURCHASES.name), OPEN_JOURNEYS)
            found["memory"] = run.peak_mib
        run.until(OF_TOPIC.format(PURCHASES.name), load.answers)
        run.stop()
        produce(broker.address, RESPONSES.name, load.all_answers(), load.answers, "answers")
        if with_loop:
            found["loop"] = statistics.median(hand_written_loop(broker.address, load.answers) for _ in range(3))
        run = worker(broker.address, program, log)
        found["worker"] = run.rate(OF_TOPIC.format(RESPONSES.name), load.answers)
        found["lease"] = LEASE_CHECKS * lease_check_s() / batch_s(run)
        restored = re.findall(r"restored .* records=(\d+) seconds=([\d.]+)", log.read_text())[-1]
        found["restore"] = int(restored[0]) / float(restored[1])
        found["state_records"] = int(restored[0])
        run.stop()
    return found


def lease_check_s() -> float:
    """Seconds that one question for the lease takes."""
    lease = Lease(SESSION_MS)
    lease.renew(monotonic_ms())
    return timeit.timeit(lease.check, number=10_000) / 10_000


def triggers(load: Load, program: Path, folder: Path) -> float:
    """Triggers a second of one worker that suppresses 95 of a hundred, each decision published and remembered."""
    with local_broker() as broker:
        ensure_topics(broker.address, {}, PARTITIONS, 1)
        produce(broker.address, PURCHASES.name, load.triggers(), load.answers, "triggers")
        run = worker(broker.address, program, folder / "triggers.log")
        rate = run.rate(OF_TOPIC.format(PURCHASES.name), load.answers)
        run.stop()
    return rate


def in_step(load: Load, program: Path, folder: Path, days: int) -> float:
    """Events a second of one worker through a backlog of purchases and answers that lie mixed over so many days."""
    apart_ms = days * DAY_MS // load.answers
    start_ms = time.time_ns() // 1_000_000 - (days + 2) * DAY_MS
    with local_broker() as broker:
        ensure_topics(broker.address, {}, PARTITIONS, 1)
        bought = (load.purchase(i, start_ms + i * apart_ms) for i in range(load.answers))
        said = (load.answer(i, start_ms + i * apart_ms + DAY_MS) for i in range(load.answers))
        produce(broker.address, PURCHASES.name, bought, load.answers, "purchases")
        produce(broker.address, RESPONSES.name, said, load.answers, "answers")
        run = worker(broker.address, program, folder / f"days-{days}.log")
        rate = run.rate(OF_TOPIC.format(RESPONSES.name), load.answers)
        run.stop()
    return 2 * rate


APART: dict[str, Callable[[int | None], RenderableType]] = {
    "sink": lambda answers: sink.run(answers or ANSWERS),
    "bi": lambda answers: bi.run(answers or bi.ANSWERS),
    "sources": lambda _: sources.run(),
    "comments": lambda _: comments.run(),
    "falls": lambda _: Group(*falls.run(out)),
}
"""Benchmarks that run when asked for alone; each is given the number of answers, or None, and makes what is printed."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=int, help=f"by default {ANSWERS:,}, for bi {bi.ANSWERS:,}")
    parser.add_argument("--latency-seconds", type=int, default=20)
    parser.add_argument("--only", choices=["throughput", "triggers", "in-step", "latency", "page", *APART])
    parsed = parser.parse_args()
    if parsed.only in APART:
        out.print(APART[parsed.only](parsed.answers))
        return
    parsed.answers = parsed.answers or ANSWERS
    load = Load(parsed.answers)
    table = Table(
        "figure", "measured", "bar", title=f"{os.cpu_count()} cores, {parsed.answers} answers", title_justify="left"
    )
    with programs() as (five, one), tempfile.TemporaryDirectory() as name:
        if parsed.only in (None, "throughput"):
            _throughput_rows(table, load, five, one, Path(name))
        if parsed.only in (None, "triggers"):
            table.add_row("triggers, 95 % suppressed", f"{triggers(load, five, Path(name)):,.0f}/s", "20,000/s")
        if parsed.only in (None, "in-step"):
            fewer = Load(parsed.answers // 5)
            for what, days in (("mixed over 2 days", 2), ("mixed over a year", 365)):
                rate = in_step(fewer, five, Path(name), days)
                table.add_row(f"purchases and answers {what}", f"{rate:,.0f}/s", "")
        if parsed.only in (None, "latency"):
            found = latency(load, five, parsed.latency_seconds)
            for (what, measured_ms), bar_ms in zip(found.items(), (1_000, 2_000, 5_000), strict=True):
                cuts = statistics.quantiles(measured_ms, n=100)
                figure = f"{cuts[49]:.0f} / {cuts[94]:.0f} / {cuts[98]:.0f} ms"
                table.add_row(f"produce to {what}, p50 / p95 / p99", figure, f"p95 {bar_ms:,} ms")
        if parsed.only in (None, "page"):
            _page_rows(table, live_page(load, five, parsed.latency_seconds))
    out.print(table)


def _throughput_rows(table: Table, load: Load, five: Path, one: Path, folder: Path) -> None:
    found = throughput(load, five, folder, with_loop=True)
    alone = throughput(load, one, folder, with_loop=False)
    table.add_row("hand-written loop, median of 3", f"{found['loop']:,.0f}/s", "")
    table.add_row("worker, full durable job", f"{found['worker']:,.0f}/s", "20,000/s")
    table.add_row("ratio", f"{found['worker'] / found['loop']:.2f}", "0.20")
    table.add_row("worker with the 1 h window alone", f"{alone['worker']:,.0f}/s", "")
    table.add_row("five windows to one", f"{found['worker'] / alone['worker']:.2f}", "0.90")
    table.add_row("lease checks, of a batch's time", f"{found['lease']:.4%}", "2 %")
    table.add_row("restore", f"{found['restore']:,.0f} records/s of {found['state_records']:,}", "150,000/s")
    if "memory" in found:
        table.add_row(f"peak memory with {OPEN_JOURNEYS:,} open journeys", f"{found['memory']:.0f} MiB", "")


def _page_rows(table: Table, cost: PageCost) -> None:
    cuts = statistics.quantiles(cost.latencies_ms, n=100)
    figure = f"{cuts[49]:.0f} / {cuts[94]:.0f} / {cuts[98]:.0f} ms of {len(cost.latencies_ms)}"
    table.add_row("produce to a reader of the live page, p50 / p95 / p99", figure, "p95 2,000 ms")
    mib, cpu = ([f"{each[0]:.2f}", f"{each[-1]:.2f}"] for each in (cost.mib, cost.cpu))
    table.add_row(f"the page before {VIEWERS} viewers, first and last 10 s", f"{' to '.join(mib)} MiB", "flat")
    table.add_row("its share of a core", " to ".join(cpu), "flat")


if __name__ == "__main__":
    main()
