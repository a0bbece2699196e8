"""The producer against the local broker: what `flush` returned for is in Kafka, as it was sent."""

import asyncio
import time
from collections.abc import Iterator
from random import Random

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from schemas.errors import Undelivered
from streams.kafka.partitioner import partition_of
from streams.kafka.ports import Output
from streams.kafka.producer import Producer
from streams.local.servers import LocalServer, local_broker
from tests.support.commands import BOUND_S

PARTITIONS = 12


@pytest.fixture
def topic(broker: LocalServer) -> str:
    client = AdminClient({"bootstrap.servers": broker.address})
    client.create_topics([NewTopic("t", PARTITIONS, 1)])["t"].result(BOUND_S)
    return "t"


@pytest.fixture
def reader(broker: LocalServer) -> Iterator[Consumer]:
    consumer = Consumer(
        {"bootstrap.servers": broker.address, "group.id": "reader", "auto.offset.reset": "earliest"},
    )
    consumer.assign([TopicPartition("t", partition, 0) for partition in range(PARTITIONS)])
    yield consumer
    consumer.close()


def test_keys_land_where_java_puts_them(broker: LocalServer, topic: str, reader: Consumer) -> None:
    """A keyed record goes to the partition that Java's default partitioner chooses, as `partition_of` knows too."""
    producer = Producer(broker.address)
    keys = {Random(size).randbytes(size) for size in range(1, 100)} | {f"customer-{i}".encode() for i in range(500)}
    for key in keys:
        producer.send(topic, b"v", key)
    asyncio.run(producer.flush())
    landed = {message.key(): message.partition() for message in reader.consume(len(keys), BOUND_S)}
    assert landed == {key: partition_of(key, PARTITIONS) for key in keys}


@pytest.mark.parametrize("together", [False, True])
def test_a_record_arrives_as_it_was_sent(broker: LocalServer, topic: str, reader: Consumer, together: bool) -> None:
    """Partition, key, value, timestamp and headers are kept, through compression; a None value is a tombstone."""
    producer = Producer(broker.address)
    headers = [("reason", b"too_late"), ("empty", b"")]
    sent = Output(topic, b"v" * 1_000, b"k", 3, 1_700_000_000_123, tuple(headers)), Output(topic, None, b"k", 3)
    if together:
        producer.send_all(sent)
    else:
        for _, value, key, partition, timestamp_ms, given in sent:
            producer.send(topic, value, key, partition=partition, timestamp_ms=timestamp_ms, headers=given)
    asyncio.run(producer.flush())
    kept, tombstone = reader.consume(2, BOUND_S)
    assert (kept.partition(), kept.key(), kept.value()) == (3, b"k", b"v" * 1_000)
    assert kept.timestamp()[1] == 1_700_000_000_123
    assert kept.headers() == headers
    assert tombstone.value() is None


def test_more_records_than_the_buffer_holds(broker: LocalServer, topic: str, reader: Consumer) -> None:
    """A full buffer makes `send` wait; nothing is dropped."""
    producer = Producer(broker.address, buffer_records=50)
    for number in range(2_000):
        producer.send(topic, str(number).encode(), None, partition=0)
    asyncio.run(producer.flush())
    values = [int(message.value() or b"") for message in reader.consume(2_000, BOUND_S)]
    assert values == list(range(2_000))


def test_an_undelivered_record_is_an_error() -> None:
    """When the broker is gone, `flush` raises and says how many are missing, and so does every later send."""
    with local_broker() as broker:
        client = AdminClient({"bootstrap.servers": broker.address})
        client.create_topics([NewTopic("t", 1, 1)])["t"].result(BOUND_S)
        producer = Producer(broker.address, delivery_timeout_ms=3_000)
        producer.send("t", b"v", b"k")
        asyncio.run(producer.flush())
    producer.send("t", b"v", b"k")
    producer.send("t", b"v", b"k")
    with pytest.raises(Undelivered, match="2 records undelivered, first error: t: "):
        asyncio.run(producer.flush(BOUND_S))
    with pytest.raises(Undelivered):
        producer.send("t", b"v", b"k")


def test_a_failure_shows_without_a_flush() -> None:
    """Who only ever sends learns of it from the next call after the delivery's time, even of one that sends nothing."""
    producer = Producer("127.0.0.1:1", delivery_timeout_ms=1_000)
    producer.send_all([Output("t", b"v", b"k")])
    deadline = time.monotonic() + BOUND_S

    def send_nothing() -> None:
        while time.monotonic() < deadline:
            producer.send_all([])
            time.sleep(0.05)

    with pytest.raises(Undelivered, match="1 records undelivered, first error: t: "):
        send_nothing()


def test_time_running_out_is_an_error() -> None:
    """`flush` does not return as if all were well when its time is over."""
    producer = Producer("127.0.0.1:1", delivery_timeout_ms=20_000)
    producer.send("t", b"v", b"k")
    with pytest.raises(Undelivered, match="1 records undelivered, first error: no answer from Kafka"):
        asyncio.run(producer.flush(0.2))
