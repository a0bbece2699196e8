"""Records to rows: which topic fills which table, and what a row adds to its record.

A row is the record's fields in their order, then its lineage: topic, partition and offset it came from, and when it was
loaded.  Whoever wants to know where a number came from follows these.
"""

import gc
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from confluent_kafka import Message

from schemas import events, topics
from schemas.codec import Codec, Undecodable
from schemas.deadletters import Header, NotADeadLetter, opened
from sinks.warehouse import Row

LINEAGE = ("kafka_topic", "kafka_partition", "kafka_offset", "loaded_at")
DEAD_LETTER = (
    "origin_topic", "origin_partition", "origin_offset", "reason", "detail", "origin_ms", "key", "value", "headers",
    "version",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Table:
    """One table: the topic that fills it and its columns; `record` is None for dead letters."""

    name: str
    topic: topics.Topic
    record: type[events.Record] | None
    columns: tuple[str, ...]


@dataclass(slots=True)
class Part:
    """The rows of one table in one batch, each beside the message it came from."""

    rows: list[Row] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Reject:
    """A message that can be no row, and why: `reason` is one word for counting."""

    message: Message
    reason: str
    detail: str


def _table(name: str, topic: topics.Topic) -> Table:
    return Table(name, topic, topic.record, (*(topic.record._fields if topic.record else DEAD_LETTER), *LINEAGE))


TABLES: dict[str, Table] = {
    table.topic.name: table
    for table in (
        _table("answers", topics.ANSWERS),
        _table("panes", topics.PANES),
        _table("rolling", topics.ROLLING),
        _table("decisions", topics.DECISIONS),
        _table("dispatches", topics.DISPATCHES),
        _table("alerts", topics.ALERTS),
        _table("dead_letters", topics.DEAD),
    )
}
"""Every table, by the name of its topic."""


def decode(codec: Codec, messages: Iterable[Message], loaded_ms: int) -> tuple[dict[str, Part], list[Reject]]:
    """The rows of each topic, in order, and the messages that can be none.  Raises RegistryAway.

    A null value on a compacted topic is a deletion for Kafka alone: the warehouse keeps the history, so it is no row
    and no reject.
    """
    with _without_collection():
        return _decode(codec, messages, loaded_ms)


@contextmanager
def _without_collection() -> Iterator[None]:
    """Rows form no cycles, and walking a growing batch again and again costs a quarter of decoding it."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _decode(codec: Codec, messages: Iterable[Message], loaded_ms: int) -> tuple[dict[str, Part], list[Reject]]:
    parts: dict[str, Part] = {}
    rejects: list[Reject] = []
    for message in messages:
        topic = message.topic() or ""
        table, part = TABLES[topic], parts.setdefault(topic, Part())
        lineage = (topic, message.partition(), message.offset(), loaded_ms)
        value = message.value()
        if table.record is None:
            row = _dead_letter(message)
        elif value is None and table.topic.compacted:
            continue
        else:
            try:
                row = codec.decode(table.record, value)
            except Undecodable as error:
                rejects.append(Reject(message, error.reason, str(error)))
                continue
        part.rows.append((*row, *lineage))
        part.messages.append(message)
    return parts, rejects


def headers_of(message: Message) -> list[Header]:
    """A message's headers, values in bytes."""
    found = message.headers() or []
    pairs = found.items() if isinstance(found, dict) else found
    return [(name, value.encode() if isinstance(value, str) else value) for name, value in pairs]


def _dead_letter(message: Message) -> Row:
    offset = message.offset() or 0
    headers = headers_of(message)
    try:
        original, death = opened(headers)
    except NotADeadLetter as error:
        # whoever wrote it, it must not get lost
        here = (message.topic(), message.partition(), offset, "unlabelled", str(error), max(0, message.timestamp()[1]))
        return (*here, message.key(), message.value(), _plain(headers), offset)
    origin = (death.topic, death.partition, death.offset, death.reason, death.detail, max(0, death.timestamp_ms))
    return (*origin, message.key(), message.value(), _plain(original), offset)


def _plain(headers: Sequence[Header]) -> list[tuple[str, bytes]]:
    return [(name, value or b"") for name, value in headers]
