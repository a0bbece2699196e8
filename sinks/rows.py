"""Conversion of records to rows: the table that each topic fills, and the columns that a row adds to its record.

A row is the record's fields in their order, then its lineage: topic, partition and offset it came from, and when it was
loaded.  Any number can be followed back by these.

Not every field is stored: a dispatch's token is a credential, its personalisation is personal data that no figure
needs, and of an erasure only the digest of the customer's id is kept.
"""

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from confluent_kafka import Message

from schemas import events, topics
from schemas.codec import Codec, RegistryAway, Undecodable
from schemas.deadletters import Death, Header, identify, unwrap_any
from schemas.ours import decode_ours
from schemas.reasons import Reason
from sinks.warehouse import Row

LINEAGE = ("kafka_topic", "kafka_partition", "kafka_offset", "loaded_at")
COLUMNS = {
    "answered_ms": "answered_at", "as_of_ms": "as_of", "decided_ms": "decided_at",
    "due_ms": "due_at", "end_ms": "closed_at", "erased_ms": "erased_at", "expires_ms": "expires_at",
    "published_ms": "published_at", "received_ms": "received_at", "sent_ms": "sent_at", "start_ms": "start",
    "time": "acted_at", "trigger_ms": "triggered_at",
}  # fmt: skip
"""Columns of instants, which hold times and no numbers, by field; any other column is called as its field."""

DEAD_LETTER_COLUMNS = (
    "origin_topic", "origin_partition", "origin_offset", "reason", "detail", "origin_at", "key", "value", "headers",
    "customer_id", "letter_id", "death", "source", "died_at", "version",
)  # fmt: skip
DISPATCH_FIELDS = tuple(name for name in events.SurveyDispatch._fields if name not in ("personalisation", "token"))
ERASURE_COLUMNS = (
    "erasure_id", "customer_sha256", "source", "erased_at", "received_at", "done_at", "emptied_rows", "program",
    "version",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Table:
    """A table: the topic that fills it and its columns; `record` is None for dead letters.

    `stored` picks the fields of a record that go into its row, None for all.
    """

    name: str
    topic: topics.Topic
    record: type[events.Record] | None
    columns: tuple[str, ...]
    stored: Callable[[Any], Row] | None = None


@dataclass(slots=True)
class Part:
    """Rows of one table in one batch, each beside the message it came from."""

    rows: list[Row] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class RejectedMessage:
    """A message that can be no row; `reason` is one word for counting, `detail` says what is wrong."""

    message: Message
    reason: str
    detail: str


def column_of(name: str) -> str:
    """Name the column of a record's field."""
    return COLUMNS.get(name, name)


def is_instant(column: str) -> bool:
    """Return True for a column that holds a time."""
    return column in _INSTANTS


def digest(name: object) -> str:
    """SHA-256 in hex, under which an erased customer is remembered: lower(hex(SHA256(...))) in ClickHouse."""
    return sha256(name if isinstance(name, bytes) else str(name or "").encode()).hexdigest()


def _table(name: str, topic: topics.Topic) -> Table:
    columns = map(column_of, topic.record._fields) if topic.record else DEAD_LETTER_COLUMNS
    return Table(name, topic, topic.record, (*columns, *LINEAGE))


def _dispatch(record: events.SurveyDispatch) -> Row:
    return tuple(value for name, value in zip(record._fields, record, strict=True) if name in _STORED_OF_DISPATCH)


def _erasure(record: events.Erasure) -> Row:
    done_ms, emptied_rows = 0, 0
    return (
        record.erasure_id, digest(record.customer_id), record.source, record.erased_ms, record.received_ms, done_ms,
        emptied_rows, record.program, record.version,
    )  # fmt: skip


_STORED_OF_DISPATCH = frozenset(DISPATCH_FIELDS)
_INSTANTS = frozenset((*COLUMNS.values(), "died_at", "done_at", "loaded_at", "origin_at"))

TABLES: dict[str, Table] = {
    table.topic.name: table
    for table in (
        _table("answers", topics.ANSWERS),
        _table("panes", topics.PANES),
        _table("rolling", topics.ROLLING),
        _table("falls", topics.FALLS),
        _table("decisions", topics.DECISIONS),
        Table(
            "dispatches",
            topics.DISPATCHES,
            events.SurveyDispatch,
            (*map(column_of, DISPATCH_FIELDS), *LINEAGE),
            _dispatch,
        ),
        _table("alerts", topics.ALERTS),
        _table("comments", topics.COMMENTS),
        Table("erasures", topics.ERASURES, events.Erasure, (*ERASURE_COLUMNS, *LINEAGE), _erasure),
        _table("dead_letters", topics.DEAD),
        _table("letter_actions", topics.LETTER_ACTIONS),
    )
}
"""Every table, by the name of its topic."""


def decode(codec: Codec, messages: Iterable[Message], loaded_ms: int) -> tuple[dict[str, Part], list[RejectedMessage]]:
    """Decode messages into the rows of each topic, in order, and the messages that can be none.  Raises RegistryAway.

    A null value on a compacted topic is a deletion for Kafka alone: the warehouse keeps the history, so it is no row
    and no reject.
    """
    with _without_gc():
        return _decode(codec, messages, loaded_ms)


@contextmanager
def _without_gc() -> Iterator[None]:
    """Turn garbage collection off: rows form no cycles, and walking a growing batch costs a quarter of decoding it."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _decode(codec: Codec, messages: Iterable[Message], loaded_ms: int) -> tuple[dict[str, Part], list[RejectedMessage]]:
    parts: dict[str, Part] = {}
    rejects: list[RejectedMessage] = []
    for message in messages:
        topic = message.topic() or ""
        table, part = TABLES[topic], parts.setdefault(topic, Part())
        lineage = (topic, message.partition(), message.offset(), loaded_ms)
        value = message.value()
        if table.record is None:
            row = _dead_letter(codec, message)
        elif value is None and table.topic.compacted:
            continue
        else:
            try:
                record = decode_ours(codec, table.record, key_of_message(message), value)
                row = table.stored(record) if table.stored else record
            except Undecodable as error:
                rejects.append(RejectedMessage(message, error.reason, str(error)))
                continue
        part.rows.append((*row, *lineage))
        part.messages.append(message)
    return parts, rejects


def row_of(table: Table, record: events.Record, lineage: Row) -> Row:
    """The row of a record that lies in no message, with a lineage in the order of LINEAGE."""
    return (*(table.stored(record) if table.stored else record), *lineage)


def headers_of(message: Message) -> list[Header]:
    """Return a message's headers, values in bytes."""
    headers = message.headers() or []
    pairs = headers.items() if isinstance(headers, dict) else headers
    return [(name, value.encode() if isinstance(value, str) else value) for name, value in pairs]


def _dead_letter(codec: Codec, message: Message) -> Row:
    offset, written_ms = message.offset() or 0, max(0, message.timestamp()[1])
    original, death = unwrap_any(headers_of(message), offset, written_ms)
    letter, key = identify(original, death), key_of_message(message)
    place, at_ms = (death.topic, death.partition, death.offset), max(0, death.timestamp_ms)
    if not _is_ours(death):  # its bytes may hold anything, and no erasure could find whom they name
        reason = death.reason if death.reason in _REASONS else Reason.UNLABELLED
        return (*place, reason, "", at_ms, None, None, [], "", *letter, "", written_ms, offset)
    customer_id, source = _customer_and_source(codec, death.topic, message)
    told = (*place, death.reason, death.detail, at_ms, key)
    if customer_id is None:  # the key is that of a customer, but nobody knows what else the bytes name
        return (*told, None, [], (key or b"").decode(errors="replace"), *letter, "", written_ms, offset)
    return (*told, message.value(), _without_nulls(original), customer_id, *letter, source, written_ms, offset)


_REASONS = frozenset(map(str, Reason))


def _is_ours(death: Death) -> bool:
    """True for a letter that we wrote of a record on a topic of ours, or of a request to the collector."""
    return death.reason != Reason.UNLABELLED and (death.topic in topics.BY_NAME or death.topic == topics.COLLECTOR)


def _customer_and_source(codec: Codec, origin_topic: str, message: Message) -> tuple[str | None, str]:
    """Find the customer and the source that a dead letter's record names, empty for none.

    The customer is None where the record cannot be read.
    """
    if origin_topic == topics.COLLECTOR and (key := key_of_message(message)) is not None:
        return key.decode(errors="replace"), ""
    topic = topics.BY_NAME.get(origin_topic)
    if topic is None or topic.record is None:
        return None, ""
    try:
        record: events.Record = codec.decode(topic.record, message.value())
    except (Undecodable, RegistryAway):  # no dead letter waits for a registry
        return None, ""
    return str(getattr(record, "customer_id", "")), str(getattr(record, "source", ""))


def key_of_message(message: Message) -> bytes | None:
    """Return a message's key in bytes."""
    key = message.key()
    return key.encode() if isinstance(key, str) else key


def _without_nulls(headers: Sequence[Header]) -> list[tuple[str, bytes]]:
    return [(name, value or b"") for name, value in headers]
