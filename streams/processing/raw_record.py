"""Raw record: a response kept whole in a journey until its survey is sent, then requeued or dead-lettered."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from schemas import deadletters
from schemas.topics import DEAD_LETTERS, LARGEST_RECORD_BYTES
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


_ROOM_BYTES = 65_536
"""Of a dead letter, for the headers that say why it died."""

_KEPT_BYTES = 1_048_576
"""Of the value and the key of a record that no dead letter can hold."""

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
    """The dead letter of a record: its bytes and key, with the reason in headers.

    Of a record that no dead letter can hold the first bytes, and the detail says so; the record itself lies where the
    headers say for as long as its topic keeps it.
    """
    size = len(raw.value or b"") + len(raw.key or b"") + sum(len(text or b"") for _, text in raw.headers)
    if size > LARGEST_RECORD_BYTES - _ROOM_BYTES:
        detail = f"{reject.detail}; the first {_KEPT_BYTES} of {len(raw.value or b'')} bytes"
        reject = reject._replace(detail=detail)
        raw = raw._replace(value=(raw.value or b"")[:_KEPT_BYTES], key=(raw.key or b"")[:_KEPT_BYTES], headers=())
    death = deadletters.Death(reject.reason, reject.detail, raw.topic, raw.partition, raw.offset, raw.timestamp)
    headers = deadletters.wrap(raw.headers, death)
    return Output(DEAD_LETTERS, raw.value, raw.key, -1, 0, headers)
