"""Counts the processor's instructions for one answer, as callgrind sees them: the same number on a busy machine.

A partition processor takes the first answers of open invitations, in batches, with its outputs, panes and journeys
encoded and thrown away.  Two runs of different length under valgrind are subtracted, so that start-up does not count.

    python -m tests.bench.instructions                  needs valgrind
"""

import argparse
import asyncio
import gc
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from schemas.codec import Codec
from schemas.topics import PURCHASES, RESPONSES
from streams import program
from streams.kafka.ports import FetchedRecord, KafkaRecord, Output
from streams.processing.merge import MergedBatch
from streams.processing.partition import PartitionProcessor
from streams.state.progress import Progress
from tests.bench.load import Load, programs

CUSTOMERS = 10_000
FEW, MANY = 2_500, 10_000
BATCH_RECORDS = 2_500
START_MS = 1_790_000_000_000


class _Nowhere:
    """A log that forgets."""

    def send_all(self, outputs: Iterable[Output]) -> None:
        for _ in outputs:
            pass

    async def flush(self) -> None:
        pass


def process(answers: int) -> None:
    """Take a purchase of each customer, then so many of their answers."""
    gc.disable()
    load = Load(CUSTOMERS)
    load.start_ms = START_MS
    with programs() as (five, _):
        rules = program.load(five)
    partition = PartitionProcessor(0, rules, Codec(), lambda segment: 0)
    for topic, events, count in (
        (PURCHASES.name, load.purchases(), CUSTOMERS),
        (RESPONSES.name, load.all_answers(), answers),
    ):
        records = [KafkaRecord(at, stamp_ms, key, value) for at, (key, value, stamp_ms) in enumerate(events)][:count]
        for start in range(0, count, BATCH_RECORDS):
            batch: list[tuple[str, FetchedRecord]] = [
                (topic, record) for record in records[start : start + BATCH_RECORDS]
            ]
            outputs = partition.decide(MergedBatch(batch, 1 << 62, Progress()))
            asyncio.run(partition.make_durable(outputs, _Nowhere(), lambda: None))


def instructions(answers: int) -> int:
    """Instructions of a whole process that takes so many answers.  Raises RuntimeError without valgrind's figure."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            ["valgrind", "--tool=callgrind", f"--callgrind-out-file={Path(folder) / 'out'}",
             sys.executable, "-m", "tests.bench.instructions", "--answers", str(answers)],
            env={**os.environ, "PYTHONHASHSEED": "0"}, capture_output=True, text=True, check=False,
        )  # fmt: skip
    found = re.search(r"Collected : (\d+)", done.stderr)
    if found is None:
        raise RuntimeError(f"valgrind says no figure: {done.stderr[-500:]}")
    return int(found[1])


def main() -> None:
    """Measure and print, or be what is measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=int, help="take so many answers and end, without valgrind")
    parsed = parser.parse_args()
    if parsed.answers is not None:
        process(parsed.answers)
        return
    each = (instructions(MANY) - instructions(FEW)) / (MANY - FEW)
    print(f"{each:,.0f} instructions an answer")


if __name__ == "__main__":
    main()
