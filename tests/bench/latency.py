"""How long after it is produced an answer alerts, is in a rolling row, and is a row in ClickHouse."""

import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from schemas.events import Alert, SegmentNps
from schemas.topics import ALERTS, DISPATCHES, PURCHASES, RESPONSES, ROLLING
from sinks.clickhouse.client import connect
from streams.domain.ids import survey_id
from streams.local.stack import local_stack
from tests.bench.load import Load, out, produce, producer, reader_of

RATE_PER_S = 100


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
    seen = reader_of(brokers, DISPATCHES.name)
    sent = 0
    while sent < total:
        sent += sum(m.error() is None for m in seen.consume(1_000, timeout=0.1))
    seen.close()
    out.print(f"latency: {RATE_PER_S} answers a second for {seconds} s")
    client, reader = producer(brokers), reader_of(brokers, ALERTS.name, ROLLING.name)
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
            survey_times[survey_id(f"C{i}", "shop", f"p{i}", "after-delivery")] = produced[-1]
            client.produce(RESPONSES.name, value, key)
            client.poll(0)
        for message in reader.consume(500, timeout=0.002):
            if message.error() is None and message.topic() == ALERTS.name:
                alert = codec.decode(Alert, message.value())
                alerts.setdefault(alert.dedup_key, time.perf_counter())
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
