"""A record kept whole: inside a journey while its survey is awaited, and then put back or buried with its bytes."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from schemas import deadletters
from schemas.topics import DEAD_LETTERS
from streams.domain.effects import Reject
from streams.kafka.batch import Record
from streams.kafka.ports import Headers, Output


class Evidence(NamedTuple):
    """A record and where it lay."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


Whole = tuple[str, int, int, int, bytes | None, bytes | None, Headers]
"""The fields of `Evidence`; made for every response, where a name for them would cost as much again."""

keep = msgspec.msgpack.Encoder().encode
"""The bytes of `Evidence` or of its fields."""

recall = msgspec.msgpack.Decoder(Evidence).decode
"""What `keep` kept.  Raises msgspec.DecodeError for other bytes."""


def whole(topic: str, partition: int, record: Record) -> Whole:
    """All of a record."""
    return topic, partition, record.offset, record.timestamp, record.key, record.value, record.headers


def put_back(held: Evidence) -> Output:
    """The record once more where it lay, with its own time."""
    return Output(held.topic, held.value, held.key, held.partition, held.timestamp, held.headers)


def buried(evidence: Evidence, reject: Reject) -> Output:
    """The record's dead letter."""
    death = deadletters.Death(
        reject.reason, reject.detail, evidence.topic, evidence.partition, evidence.offset, evidence.timestamp
    )
    headers = deadletters.sealed(evidence.headers, death)
    return Output(DEAD_LETTERS, evidence.value, evidence.key, -1, 0, headers)
