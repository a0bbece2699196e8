"""What lies in Kafka and in ClickHouse, read whole and as plain values; nothing of the pipeline takes part.

Unreadable    a topic or table cannot be read to its end within the bound
"""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import clickhouse_connect
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, TopicPartition

from tests.support.commands import BOUND_S

BATCH = 10_000


class Unreadable(RuntimeError):
    """Kafka or ClickHouse did not tell all that they hold."""


class Row(NamedTuple):
    """One record as Kafka has it."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()


FIELDS = {
    "answered_at": "answered_ms", "as_of": "as_of_ms", "decided_at": "decided_ms", "done_at": "done_ms",
    "due_at": "due_ms", "erased_at": "erased_ms", "expires_at": "expires_ms", "origin_at": "origin_ms",
    "published_at": "published_ms", "received_at": "received_ms", "sent_at": "sent_ms", "start": "start_ms",
    "triggered_at": "trigger_ms",
}  # fmt: skip
"""Fields of records, by the columns of instants that hold them."""

AUDIT = "audit_between(since = '1970-01-01', until = '2100-01-01') AS t"

Fields = Mapping[str, Any]
"""One row of a table: instants in milliseconds, arrays as tuples."""


@dataclass(frozen=True, slots=True)
class World:
    """All that lies there at `now_ms`: records by topic, in order within each partition, and rows by table.

    `tables` is None where there is no ClickHouse; `audit` are the rows of its view of that name.
    """

    topics: Mapping[str, Sequence[Row]]
    tables: Mapping[str, Sequence[Fields]] | None
    audit: Sequence[Fields]
    now_ms: int


def read_world(
    bootstrap: str, clickhouse_url: str | None, topics: Collection[str], tables: Collection[str], now_ms: int | None
) -> World:
    """Everything, as of now unless told otherwise.  Raises Unreadable."""
    records = read_topics(bootstrap, topics)
    rows = read_tables(clickhouse_url, [*tables, "audit"]) if clickhouse_url else None
    audit = rows.pop("audit") if rows is not None else ()
    return World(records, rows, audit, time.time_ns() // 1_000_000 if now_ms is None else now_ms)


def read_topics(bootstrap: str, topics: Collection[str], within_s: float = BOUND_S) -> dict[str, list[Row]]:
    """Every record of these topics up to their present ends.  Raises Unreadable."""
    found: dict[str, list[Row]] = {topic: [] for topic in topics}
    settings: dict[str, Any] = {
        "bootstrap.servers": bootstrap, "group.id": "oracle", "enable.auto.commit": False, "enable.partition.eof": True,
        "fetch.queue.backoff.ms": 10, "fetch.wait.max.ms": 20, "log_level": 0,
    }  # fmt: skip
    with closing(Consumer(settings)) as consumer:
        known = consumer.list_topics(timeout=within_s).topics
        if missing := [topic for topic in topics if topic not in known]:
            raise Unreadable(f"no topic {', '.join(missing)} at {bootstrap}: run `nps topics`")
        parts = {(topic, number) for topic in topics for number in known[topic].partitions}
        for message in _to_the_end(consumer, parts, time.monotonic() + within_s):
            found[message.topic() or ""].append(_row(message))
    return {topic: sorted(rows, key=lambda row: (row.partition, row.offset)) for topic, rows in found.items()}


def _to_the_end(consumer: Consumer, parts: set[tuple[str, int]], deadline: float) -> Iterator[Message]:
    consumer.assign([TopicPartition(*part, OFFSET_BEGINNING) for part in parts])
    left = set(parts)
    while left:
        for message in consumer.consume(BATCH, timeout=0.05):
            error = message.error()
            if error is None:
                yield message
            elif error.code() == KafkaError._PARTITION_EOF:
                left.discard((message.topic() or "", message.partition() or 0))
        if time.monotonic() > deadline:
            raise Unreadable(f"these partitions did not end in time: {sorted(left)[:3]}")


def _row(message: Message) -> Row:
    headers: Any = message.headers() or ()  # declared wider than it is: never text, never a mapping
    where = (message.partition() or 0, message.offset() or 0, message.timestamp()[1])
    return Row(*where, message.key(), message.value(), tuple(headers))


def read_tables(url: str, tables: Collection[str]) -> dict[str, list[Fields]]:
    """Every row of these tables or views as a query with FINAL sees it.  Raises Unreadable."""
    parts = urlsplit(url)
    try:
        client = clickhouse_connect.get_client(
            host=parts.hostname or "127.0.0.1",
            port=parts.port or 8123,
            username=unquote(parts.username or "default"),
            password=unquote(parts.password or ""),
            autogenerate_session_id=False,
        )
        client.database = parts.path.strip("/") or "nps"
        with closing(client):
            return {table: _read_table(client, table) for table in tables}
    except clickhouse_connect.driver.exceptions.ClickHouseError as error:
        raise Unreadable(f"ClickHouse at {parts.hostname}:{parts.port}: {str(error)[:300]}") from error


def _read_table(client: Any, table: str) -> list[Fields]:
    described = client.query(f"DESCRIBE TABLE {table}").result_rows
    columns: dict[str, str] = {name: kind for name, kind, default, *_ in described if not default}
    shown = ", ".join(f"{_plain(name, kind, table)} AS `{name}`" for name, kind in columns.items())
    source = AUDIT if table == "audit" else f"{table} AS t FINAL"
    rows = client.query(f"SELECT {shown} FROM {source}").result_rows
    fields = [FIELDS.get(name, name) for name in columns]
    return [dict(zip(fields, map(_fixed, row), strict=True)) for row in rows]


def _plain(name: str, kind: str, table: str) -> str:
    if kind.startswith("DateTime64"):
        return f"toUnixTimestamp64Milli(t.{name})"
    return f"hex(t.{name})" if table == "dead_letters" and name in ("key", "value") else f"t.{name}"


def _fixed(value: object) -> object:
    return tuple(map(_fixed, value)) if isinstance(value, list | tuple) else value
