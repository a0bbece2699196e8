"""What strangers write into topics of ours, and one record of ours for each."""

from collections.abc import Iterator
from typing import NamedTuple

from schemas.codec import CONFLUENT, SINGLE_OBJECT
from schemas.events import RECORDS, PaneTally, Record, Wakeup
from schemas.topics import DEAD_LETTERS, JOURNEYS, TOPICS, UNLINKED, Topic, key_of
from tests.support.avro_files import stem
from tests.support.codecs import CODEC, GOLDEN

OURS = [topic for topic in TOPICS if topic.record in RECORDS[5:]] + [
    topic for topic in TOPICS if topic.name in (JOURNEYS, DEAD_LETTERS, UNLINKED.name)
]
"""Topics that we alone write: outputs and state."""


class Written(NamedTuple):
    """Key and value of a record."""

    key: bytes | None
    value: bytes | None


def ours(topic: Topic) -> Record:
    """A record as we write it on this topic, of the oldest golden bytes that can be."""
    assert topic.record is not None
    if topic.record is PaneTally:
        return PaneTally("all", "minute", 60_000, 0, 3, 1, 2, "program", 7)
    line = (GOLDEN / f"{stem(topic.record)}.v1.hex").read_text(encoding="utf-8").split()[0]
    return CODEC.decode(topic.record, bytes.fromhex(line))


def strangers(topic: Topic) -> Iterator[tuple[str, Written]]:
    """Yield what we never write on a topic, each with its name; a null value is a deletion where there are such."""
    key = b"c1"
    if topic.record is not None:
        record = ours(topic)
        key, good = key_of(record), CODEC.encode(record)
        yield "a wrong key", Written(b"somebody else", good)
        yield "a key that is no UTF-8", Written(b"\xff\xfe", good)
        yield "no key", Written(None, good)
        yield "cut off", Written(key, good[:-1])
        yield "more than a record", Written(key, good + b"x")
    yield "nothing", Written(key, b"")
    yield "hello", Written(key, b"hello")
    yield "JSON", Written(key, b'{"customer_id": "c1"}')
    yield "an unknown fingerprint", Written(key, SINGLE_OBJECT + bytes(range(20)))
    yield "an unknown schema", Written(key, CONFLUENT + (999_999).to_bytes(4, "big") + b"abc")
    yield "another type", Written(key, CODEC.encode(Wakeup("c1", 1)))
    yield "junk under another key", Written(b"\xff", b"\x93\x00")
    yield "junk without a key", Written(None, b"\x00")
    if not topic.compacted:
        yield "a null value", Written(key, None)
