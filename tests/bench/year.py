"""How fast a worker takes over after a year of one answer a second in 1,000 segments, and how much memory that takes.

Writes the panes that live after it by the shipped program, as twelve partitions counted them, and has a process of its
own restore three of them, as each of four workers does.  nps.panes is as compaction leaves it; there are no journeys.

    python -m tests.bench.year
    python -m tests.bench.year --on local --days 30
"""

import argparse
import asyncio
import multiprocessing
import os
import random
import resource
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from rich.table import Table

from schemas.codec import Codec
from schemas.events import PaneTally
from schemas.topics import PANES, pane_key
from streams import program
from streams.clock import wall_ms
from streams.domain.panes import DAY_MS, LENGTH_MS, floor_ms
from streams.engine.fuse import Fuse, FuseLimits
from streams.kafka.memory import MemoryLog
from streams.kafka.ports import Output
from streams.kafka.producer import Producer
from streams.kafka.reader import KafkaReader
from streams.kafka.topics import ensure_topics
from streams.processing.agent import Agent, Assignment, read_back
from streams.processing.journeys import Journeys
from streams.processing.partition import PartitionProcessor
from streams.processing.rolling import Rolling, RollingRows
from streams.state.lineage import Lineage
from tests.bench.load import out
from tests.bench.restore import BROKERS

PARTITIONS, WORKERS = 12, 4
COUNTRIES, CATEGORIES = 25, 40
"""Their combinations are 1,000 segments, besides `all` and each alone."""

BATCH = 10_000
BAR_S, BAR_MIB = 60, 1_024


class Taken(NamedTuple):
    """What one process did: records read in `seconds`, panes that its partitions count, and its memory."""

    records: int
    panes: int
    seconds: float
    cpu_s: float
    before_mib: float
    after_mib: float
    peak_mib: float


def living(now_ms: int, days: int) -> Iterator[PaneTally]:
    """The panes that live at the end of so many days of one answer a second, each once, with what they count."""
    chance, shipped = random.Random(1), program.load()
    for resolution, life_ms in shipped.pane_life_ms.items():
        length_ms = LENGTH_MS[resolution]
        start_ms = max(floor_ms(now_ms - life_ms, length_ms) + length_ms, now_ms - days * DAY_MS)
        for pane_ms in range(floor_ms(start_ms, length_ms), now_ms, length_ms):
            tallies: dict[tuple[str, int], list[int]] = {}
            for _ in range(length_ms // 1_000):
                country, category = chance.randrange(COUNTRIES), chance.randrange(CATEGORIES)
                source, band = chance.randrange(PARTITIONS), chance.randrange(3)
                names = f"country=C{country}", f"category=K{category}", f"country=C{country},category=K{category}"
                for name in ("all", *names):
                    tallies.setdefault((name, source), [0, 0, 0])[band] += 1
            for (name, source), tally in tallies.items():
                promoters, passives, detractors = tally
                version = pane_ms // 1_000 // PARTITIONS
                yield PaneTally(
                    name, resolution, pane_ms, source, promoters, passives, detractors, shipped.hash, version
                )


def write(brokers: str, panes: Iterator[PaneTally]) -> int:
    """Fill nps.panes as workers do; how many records."""

    async def send() -> int:
        producer, codec, count = Producer(brokers, client_id="bench"), Codec(), 0
        while batch := list(islice(panes, BATCH)):
            producer.send_all(
                Output(PANES.name, codec.encode(pane), pane_key(pane), partition_of(pane.segment)) for pane in batch
            )
            await producer.flush()
            count += len(batch)
        return count

    return asyncio.run(send())


def partition_of(segment: str) -> int:
    """The partition of nps.panes, as workers choose it."""
    return zlib.crc32(segment.encode()) % PARTITIONS


def take_over(brokers: str, partitions: frozenset[int]) -> Taken:
    """Restore these partitions as a worker does."""
    codec, shipped, log = Codec(), program.load(), MemoryLog()
    processors: list[PartitionProcessor] = []

    def make_processor(number: int, _: int) -> PartitionProcessor:
        processors.append(PartitionProcessor(number, shipped, codec, partition_of, wall_ms))
        return processors[-1]

    def make_rows(count: int) -> RollingRows:
        return RollingRows(shipped, codec, wall_ms, lambda offset: offset, count)

    agents: list[Agent] = [
        Journeys(log, codec, Fuse(FuseLimits()), lambda: None, wall_ms, make_processor),
        Rolling(log, codec, lambda: None, make_rows),
    ]
    assignment = Assignment(partitions, PARTITIONS, Lineage(0, {}), lambda *_: range(0))
    before_mib, started, cpu = resident_mib(), time.perf_counter(), time.process_time()
    restores = [agent.restore(assignment) for agent in agents]
    with closing(KafkaReader(brokers, {})) as reader:
        records = read_back(reader, codec, assignment, restores)
    seconds, cpu_s, panes = (
        time.perf_counter() - started,
        time.process_time() - cpu,
        sum(len(p.panes) for p in processors),
    )
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024
    return Taken(records, panes, seconds, cpu_s, before_mib, resident_mib(), peak_mib)


def resident_mib() -> float:
    """Memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=365, help="how many days of answers (default 365)")
    parser.add_argument("--on", choices=sorted(BROKERS), default="kafka", help="the broker (default kafka)")
    parsed = parser.parse_args()
    share = frozenset(range(0, PARTITIONS, WORKERS))
    title = f"{os.cpu_count()} cores, {parsed.days} days, partitions {sorted(share)} of {PARTITIONS}, {parsed.on}"
    table = Table("figure", "measured", "bar", title=title, title_justify="left")
    with tempfile.TemporaryDirectory() as folder, BROKERS[parsed.on](Path(folder)) as brokers:
        ensure_topics(brokers, {}, PARTITIONS, 1)
        written = write(brokers, living(wall_ms(), parsed.days))
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            found = pool.apply(take_over, (brokers, share))
    table.add_row("panes that live, all partitions", f"{written:,}", "")
    table.add_row("read, and restored of them", f"{found.records:,}, {found.panes:,}", "")
    table.add_row("seconds, and of them on the CPU", f"{found.seconds:.1f} s, {found.cpu_s:.1f} s", f"{BAR_S} s")
    table.add_row("records a second", f"{found.records / found.seconds:,.0f}/s", "")
    table.add_row("memory, and at its peak", f"{found.after_mib:,.0f} MiB, {found.peak_mib:,.0f} MiB", f"{BAR_MIB} MiB")
    table.add_row("of it for a pane", f"{(found.after_mib - found.before_mib) * 2**20 / found.panes:,.0f} bytes", "")
    out.print(table)


if __name__ == "__main__":
    main()
