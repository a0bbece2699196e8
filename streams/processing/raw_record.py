"""Raw record: a response kept whole in a journey until its survey is sent, then requeued or dead-lettered."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from schemas import deadletters
from schemas.topics import DEAD_LETTERS
from streams.domain.effects import Reject
from streams.kafka.ports import FetchedRecord, Headers, Output


class RawRecord(NamedTuple):
    """A record with its topic, partition and offset."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


RawFields = tuple[str, int, int, int, bytes | None, bytes | None, Headers]
"""The fields of `RawRecord` as a plain tuple: made for every response, the named tuple would cost as much again."""

pack = msgspec.msgpack.Encoder().encode
"""Encode a `RawRecord`, or the tuple of its fields, as bytes."""

unpack = msgspec.msgpack.Decoder(RawRecord).decode
"""Decode a `RawRecord` from the bytes of `pack`.  Raises msgspec.DecodeError for other bytes."""


def raw_fields(topic: str, partition: int, record: FetchedRecord) -> RawFields:
    """The fields of a `RawRecord` for a fetched record."""
    return topic, partition, record.offset, record.timestamp, record.key, record.value, record.headers


def requeued(raw: RawRecord) -> Output:
    """The record once more on its own topic and partition, with its own timestamp."""
    return Output(raw.topic, raw.value, raw.key, raw.partition, raw.timestamp, raw.headers)


def dead_letter(raw: RawRecord, reject: Reject) -> Output:
    """The dead letter of a record: its bytes and key, with the reason in headers."""
    death = deadletters.Death(reject.reason, reject.detail, raw.topic, raw.partition, raw.offset, raw.timestamp)
    headers = deadletters.wrap(raw.headers, death)
    return Output(DEAD_LETTERS, raw.value, raw.key, -1, 0, headers)
