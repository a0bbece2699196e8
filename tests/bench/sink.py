"""How fast the sink is: answers from Kafka into ClickHouse, in rows a second beside a hand-written loader's.

The loader decodes with fastavro, inserts batches of columns with clickhouse-connect and forgets where it was; the sink
does the full job: checks, dead letters, erasures, offsets after rows.  Both write the same answers into the same table.
"""

import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
from rich.table import Table

from schemas.codec import Codec, versions
from schemas.events import Answer
from schemas.topics import ANSWERS
from sinks.clickhouse.client import connect
from sinks.clickhouse.migrate import migrate
from sinks.rows import COLUMNS
from streams.kafka.topics import ensure_topics
from streams.local.servers import local_broker, local_clickhouse
from streams.local.stack import PARTITIONS
from tests.bench.load import DAY_MS, SCORES, SEGMENTS, produce, reader_of
from tests.bench.process import Run

BATCH_ROWS = 100_000
HEADER_BYTES = 10
"""Of Avro's single-object encoding."""


def run(answers: int) -> Table:
    """Measure, and make a table of it."""
    table = Table("figure", "measured", title=f"{answers:,} answers", title_justify="left")
    with tempfile.TemporaryDirectory() as folder, local_broker() as broker, local_clickhouse(Path(folder)) as house:
        ensure_topics(broker.address, {}, PARTITIONS, 1)
        produce(broker.address, ANSWERS.name, records(answers), answers, "answers")
        url = f"{house.address}/nps"
        with closing(connect(url)) as database:
            migrate(database)
        loader = statistics.median(hand_written_loader(broker.address, url, answers) for _ in range(3))
        sink = Run("sink", {"NPS_BROKERS": broker.address, "NPS_CLICKHOUSE_URL": url}, Path(folder) / "log")
        rate = sink.rate('nps_sink_rows_total{table="answers"}', answers)
        sink.stop()
    table.add_row("hand-written loader, median of 3", f"{loader:,.0f} rows/s")
    table.add_row("nps sink, full job", f"{rate:,.0f} rows/s")
    table.add_row("ratio", f"{rate / loader:.2f}")
    return table


def records(answers: int) -> Iterator[tuple[bytes, bytes, int]]:
    """Answers of the last day, each of a customer of their own."""
    codec, start_ms = Codec(), time.time_ns() // 1_000_000 - DAY_MS
    for i in range(answers):
        at_ms, score = start_ms + i * DAY_MS // answers, SCORES[i % len(SCORES)]
        country, category = SEGMENTS[0][i % 5], SEGMENTS[1][i % 4]
        segments = ["all", f"country={country}", f"category={category}", f"country={country},category={category}"]
        band = "promoter" if score >= 9 else "passive" if score >= 7 else "detractor"
        answer = Answer(
            survey_id=f"00000000-0000-5000-8000-{i:012}", customer_id=f"C{i}", survey="delivery", rule="after-delivery",
            correlation_id=f"o{i}", response_source="tool", response_id=f"r{i}", revision=1, score=score, band=band,
            comment=None, counted=True, flag=None, sent_ms=at_ms - 1_000, answered_ms=at_ms, received_ms=at_ms,
            segments=segments, dimensions={"country": country, "category": category}, program="abcdef012345", version=i,
        )  # fmt: skip
        yield f"C{i}".encode(), codec.encode(answer), at_ms


def hand_written_loader(brokers: str, url: str, answers: int) -> float:
    """Rows a second, from the first record to the last row."""
    schema = fastavro.parse_schema(versions(Answer)[-1])
    columns = [COLUMNS.get(name, name) for name in Answer._fields]
    consumer, seen, started = reader_of(brokers, ANSWERS.name), 0, 0.0
    with closing(connect(url)) as database:
        while seen < answers:
            rows: list[tuple[object, ...]] = []
            while len(rows) < BATCH_ROWS and seen + len(rows) < answers:
                for message in consumer.consume(10_000, timeout=0.1):
                    record: Any = fastavro.schemaless_reader(BytesIO((message.value() or b"")[HEADER_BYTES:]), schema)
                    rows.append(tuple(record.values()))
                started = started or time.perf_counter()
            database.insert("answers", columns, rows)
            seen += len(rows)
    consumer.close()
    return answers / (time.perf_counter() - started)
