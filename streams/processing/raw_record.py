"""A record kept whole: inside a journey while its survey is awaited, and then put back or buried with its bytes."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from schemas import deadletters
from schemas.topics import DEAD_LETTERS
from streams.domain.effects import Reject
from streams.kafka.ports import FetchedRecord, Headers, Output


class RawRecord(NamedTuple):
    """A record and where it lay."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


RawFields = tuple[str, int, int, int, bytes | None, bytes | None, Headers]
"""The fields of `RawRecord`; made for every response, where a name for them would cost as much again."""

pack = msgspec.msgpack.Encoder().encode
"""The bytes of `RawRecord` or of its fields."""

unpack = msgspec.msgpack.Decoder(RawRecord).decode
"""What `pack` kept.  Raises msgspec.DecodeError for other bytes."""


def raw_fields(topic: str, partition: int, record: FetchedRecord) -> RawFields:
    """All of a record."""
    return topic, partition, record.offset, record.timestamp, record.key, record.value, record.headers


def requeued(held: RawRecord) -> Output:
    """The record once more where it lay, with its own time."""
    return Output(held.topic, held.value, held.key, held.partition, held.timestamp, held.headers)


def dead_letter(raw: RawRecord, reject: Reject) -> Output:
    """The record's dead letter."""
    death = deadletters.Death(reject.reason, reject.detail, raw.topic, raw.partition, raw.offset, raw.timestamp)
    headers = deadletters.wrap(raw.headers, death)
    return Output(DEAD_LETTERS, raw.value, raw.key, -1, 0, headers)
