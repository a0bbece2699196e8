"""The log's two ports keep the same promises over Kafka and in memory."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import NamedTuple
from uuid import uuid4

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from streams.kafka.memory import MemoryLog
from streams.kafka.ports import KafkaRecord, Log, Output, Reader
from streams.kafka.producer import Producer
from streams.kafka.reader import KafkaReader
from streams.local.servers import local_broker

PARTITIONS = 3


class Ends(NamedTuple):
    """Both ends of one log, and a topic of three partitions in it."""

    log: Log
    reader: Reader
    topic: str


@pytest.fixture(scope="module")
def brokers() -> Iterator[str]:
    """One local broker for all tests here."""
    with local_broker() as server:
        yield server.address


@pytest.fixture(params=["kafka", "memory"])
def ends(request: pytest.FixtureRequest) -> Iterator[Ends]:
    """A topic of its own for each test."""
    topic = f"log-{uuid4().hex[:8]}"
    if request.param == "memory":
        log = MemoryLog(lambda _: PARTITIONS)
        yield Ends(log, log, topic)
        return
    address: str = request.getfixturevalue("brokers")
    admin = AdminClient({"bootstrap.servers": address})
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(30)
    with closing(KafkaReader(address, {})) as reader:
        yield Ends(Producer(address), reader, topic)


def write(ends: Ends, outputs: Sequence[Output]) -> None:
    """Send and wait until all is durable."""
    ends.log.send_all(outputs)
    asyncio.run(ends.log.flush())


def read(ends: Ends) -> dict[int, list[KafkaRecord]]:
    """All partitions of the topic."""
    found: dict[int, list[KafkaRecord]] = {number: [] for number in range(PARTITIONS)}
    for (_, number), record in ends.reader.read([(ends.topic, number) for number in range(PARTITIONS)]):
        found[number].append(record)
    return found


def test_what_was_flushed_is_read_whole_and_in_order(ends: Ends) -> None:
    """Key, value, time and headers come back as they were, offsets count from 0, tombstones are records."""
    headers = (("trace", b"\x00\xff"), ("empty", None))
    outputs = [Output(ends.topic, b"%d" % n, b"k", 1, 1_000 + n, headers) for n in range(5)]
    write(ends, [*outputs, Output(ends.topic, None, b"k", 1, 2_000)])
    records = read(ends)[1]
    assert [(r.offset, r.timestamp, r.key, r.value) for r in records] == [
        *((n, 1_000 + n, b"k", b"%d" % n) for n in range(5)),
        (5, 2_000, b"k", None),
    ]
    assert [tuple(record.headers) for record in records] == [headers] * 5 + [()]


def test_a_slow_reader_is_no_silent_broker(brokers: str) -> None:
    """Whoever takes longer with a record than a broker may be silent still reads to the end."""
    topic = f"log-{uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": brokers})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(30)
    with closing(KafkaReader(brokers, {}, patience_s=5)) as reader:
        ends = Ends(Producer(brokers), reader, topic)
        write(ends, [Output(topic, b"%d" % n, b"k", 0, 1_000) for n in range(3)])
        found = 0
        for _ in reader.read([(topic, 0)]):
            found += 1
            time.sleep(6 if found == 1 else 0)
    assert found == 3


def test_a_key_chooses_one_partition_for_ever(ends: Ends) -> None:
    """Records of a key lie together, and keys are spread."""
    for _ in range(2):
        write(ends, [Output(ends.topic, b"v", b"%d" % n, -1, 1_000) for n in range(60)])
    places: dict[bytes | None, set[int]] = {}
    for number, records in read(ends).items():
        assert records
        for record in records:
            places.setdefault(record.key, set()).add(number)
    assert len(places) == 60
    assert all(len(numbers) == 1 for numbers in places.values())


@pytest.mark.parametrize(("offset", "found"), [(0, [0, 1, 2, 3, 4]), (3, [3, 4]), (4, [4]), (5, []), (99, [])])
def test_reading_from_an_offset_ends_at_the_end(ends: Ends, offset: int, found: list[int]) -> None:
    """From there on, to the end; beyond it there is nothing."""
    write(ends, [Output(ends.topic, b"%d" % n, b"k", 1, 1_000) for n in range(5)])
    assert [record.offset for _, record in ends.reader.read_from((ends.topic, 1), offset)] == found


def test_the_tail_has_the_last_records_of_each_partition(ends: Ends) -> None:
    """At least so many, the last one last; an empty partition has none."""
    write(ends, [Output(ends.topic, b"%d" % n, b"k", n % 2, 1_000) for n in range(40)])
    found: dict[int, list[bytes | None]] = {}
    for (_, number), record in ends.reader.tail([(ends.topic, number) for number in range(PARTITIONS)], 5):
        found.setdefault(number, []).append(record.value)
    assert found.keys() == {0, 1}
    for number, values in found.items():
        assert len(values) >= 5
        assert values[-5:] == [b"%d" % n for n in range(30 + number, 40, 2)]


def test_an_empty_topic_ends_at_once(ends: Ends) -> None:
    """Reading nothing is not waiting."""
    assert read(ends) == {number: [] for number in range(PARTITIONS)}
