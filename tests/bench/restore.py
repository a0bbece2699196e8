"""How fast a worker takes over its partitions, and what a journey weighs in it.

Writes journeys as the worker writes them (each customer was sent a survey, two in five have answered) to nps.journeys,
then starts a real worker that owns all partitions.  Time and rate are the worker's own; memory is all of the worker's,
divided by its journeys.

    python -m tests.bench.restore --journeys 1000000
    python -m tests.bench.restore --journeys 200000 --on local
"""

import argparse
import asyncio
import os
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from rich.progress import track
from rich.table import Table

from schemas.topics import JOURNEYS, PURCHASES, RESPONSES
from streams import program
from streams.kafka.memory import MemoryLog
from streams.kafka.ports import KafkaRecord, Output
from streams.kafka.producer import Producer
from streams.kafka.topics import ensure_topics
from streams.local.servers import local_broker
from streams.local.stack import PARTITIONS
from streams.processing.merge import MergedBatch
from streams.processing.partition import PartitionProcessor
from streams.state.progress import Progress
from tests.bench.bench import worker
from tests.bench.load import Load, out, programs
from tests.faults.harness.kafka import KafkaCluster

DISTINCT = 20_000
"""So many customers live through the real steps; the others have the same lives under names of their own."""

ANSWERED_OF_FIVE = 2
BATCH = 10_000
WITHIN_S = 300.0
BAR_PER_S = 150_000
BAR_BYTES = 600


class Restored(NamedTuple):
    """What one worker did: `records` in `seconds` from first to last, `ready_s` seconds after the process's start."""

    records: int
    seconds: float
    ready_s: float
    resident_bytes: int
    peak_bytes: int


def lives(path: Path) -> list[bytes]:
    """Journeys as a worker stores them, made by the steps a worker takes."""
    load, log = Load(DISTINCT), MemoryLog()
    work = PartitionProcessor(0, program.load(path), load.codec, lambda _: 0)

    def live(topic: str, events: Iterator[tuple[bytes, bytes, int]]) -> None:
        records = [KafkaRecord(offset, at_ms, key, value) for offset, (key, value, at_ms) in enumerate(events)]
        batch = MergedBatch([(topic, record) for record in records], time.time_ns() // 1_000_000, Progress())
        asyncio.run(work.make_durable(work.decide(batch), log, lambda: None))

    live(PURCHASES.name, load.purchases())
    live(RESPONSES.name, (answer for i, answer in enumerate(load.all_answers()) if i % 5 < ANSWERED_OF_FIVE))
    last = {record.key: record.value for record in log.partitions[JOURNEYS, 0]}
    return [value for value in last.values() if value is not None]


def write(brokers: str, values: list[bytes], journeys: int) -> int:
    """Fill nps.journeys, each record under its customer; how many bytes the values have."""

    async def send() -> int:
        producer, size = Producer(brokers, client_id="bench"), 0
        for start in track(range(0, journeys, BATCH), "journeys", console=out, disable=not out.is_terminal):
            batch = range(start, min(start + BATCH, journeys))
            outputs = [Output(JOURNEYS, values[i % len(values)], f"C{i}".encode()) for i in batch]
            size += sum(len(one.value or b"") for one in outputs)
            producer.send_all(outputs)
            await producer.flush()
        return size

    return asyncio.run(send())


def restored(brokers: str, path: Path, log: Path) -> Restored:
    """Start a worker, wait until it has taken over, stop it."""
    started = time.perf_counter()
    run = worker(brokers, path, log)
    try:
        while not (found := re.findall(r"restored .* records=(\d+) seconds=([\d.]+)", log.read_text())):
            run.check()
            if time.perf_counter() > started + WITHIN_S:
                raise RuntimeError(f"the worker took over nothing within {WITHIN_S:g} s")
            time.sleep(0.02)
        ready_s = time.perf_counter() - started
        return Restored(int(found[0][0]), float(found[0][1]), ready_s, run.resident_bytes, int(run.peak_mib * 2**20))
    finally:
        run.stop()


@contextmanager
def kafka(folder: Path) -> Iterator[str]:
    """The address of a real Apache Kafka."""
    with KafkaCluster(folder) as cluster:
        yield cluster.bootstrap


@contextmanager
def local(_: Path) -> Iterator[str]:
    """The address of the local broker."""
    with local_broker() as server:
        yield server.address


BROKERS = {"kafka": kafka, "local": local}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--journeys", type=int, default=1_000_000, help="how many customers (default 1000000)")
    parser.add_argument("--on", choices=sorted(BROKERS), action="append", help="only this broker (default: each)")
    parsed = parser.parse_args()
    title = f"{os.cpu_count()} cores, {parsed.journeys:,} journeys, {PARTITIONS} partitions, one worker"
    table = Table("figure", "measured", "bar", title=title, title_justify="left")
    with programs() as (five, _):
        values = lives(five)
        for name in parsed.on or sorted(BROKERS):
            with tempfile.TemporaryDirectory() as folder, BROKERS[name](Path(folder)) as brokers:
                ensure_topics(brokers, {}, PARTITIONS, 1)
                size = write(brokers, values, parsed.journeys)
                _rows(table, name, parsed.journeys, size, restored(brokers, five, Path(folder) / "worker.log"))
    out.print(table)


def _rows(table: Table, name: str, journeys: int, size: int, found: Restored) -> None:
    table.add_row(f"{name}: bytes of a journey in its topic", f"{size / journeys:,.0f}", "")
    table.add_row(f"{name}: restored {found.records:,} records", f"{found.seconds:.2f} s", "")
    table.add_row(f"{name}: records a second", f"{found.records / found.seconds:,.0f}/s", f"{BAR_PER_S:,}/s")
    table.add_row(f"{name}: from the worker's start to ready", f"{found.ready_s:.1f} s", "")
    table.add_row(f"{name}: memory a journey", f"{found.resident_bytes / journeys:,.0f} bytes", f"{BAR_BYTES} bytes")
    table.add_row(f"{name}: the same at its peak", f"{found.peak_bytes / journeys:,.0f} bytes", "")


if __name__ == "__main__":
    main()
