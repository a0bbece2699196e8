"""The Kafka that other fault tests lean on does what it says."""

import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.faults.harness.kafka import KafkaCluster
from tests.support.commands import BOUND_S

pytestmark = pytest.mark.kafka


def test_an_acknowledged_record_survives_kill_9(kafka_alone: KafkaCluster) -> None:
    """What one broker acknowledged is there after it was killed and started again on its data."""
    topic = new_topic(kafka_alone, replicas=1)
    produce(kafka_alone, topic, b"before")
    kafka_alone.kill(1)
    kafka_alone.start(1)
    assert consume(kafka_alone, topic, 1) == [b"before"]


def test_a_clean_stop_keeps_the_data(kafka_alone: KafkaCluster) -> None:
    """A stopped broker goes on where it was."""
    topic = new_topic(kafka_alone, replicas=1)
    produce(kafka_alone, topic, b"one")
    kafka_alone.stop(1)
    kafka_alone.start(1)
    produce(kafka_alone, topic, b"two")
    assert consume(kafka_alone, topic, 2) == [b"one", b"two"]


def test_three_brokers_serve_on_when_one_is_killed(tmp_path: Path) -> None:
    """With three replicas and two in sync, killing any broker loses nothing and stops nobody for long."""
    with KafkaCluster(tmp_path, brokers=3) as kafka:
        topic = new_topic(kafka, replicas=3)
        produce(kafka, topic, b"before")
        kafka.kill(2)
        produce(kafka, topic, b"while away")
        kafka.start(2)
        produce(kafka, topic, b"after")
        assert consume(kafka, topic, 3) == [b"before", b"while away", b"after"]


@pytest.fixture
def kafka_alone(tmp_path: Path) -> Iterator[KafkaCluster]:
    """One broker that this test may kill."""
    with KafkaCluster(tmp_path) as cluster:
        yield cluster


def new_topic(kafka: KafkaCluster, replicas: int) -> str:
    name = f"t-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    admin.create_topics([NewTopic(name, 1, replicas)])[name].result(BOUND_S)
    return name


def produce(kafka: KafkaCluster, topic: str, value: bytes) -> None:
    failures: list[object] = []
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "acks": "all", "log_level": 0})
    producer.produce(topic, value, on_delivery=lambda error, _: failures.append(error) if error else None)
    assert producer.flush(BOUND_S) == 0
    assert not failures


def consume(kafka: KafkaCluster, topic: str, count: int) -> list[bytes | None]:
    """The first records of a topic, through a consumer group."""
    settings = {"bootstrap.servers": kafka.bootstrap, "group.id": topic, "auto.offset.reset": "earliest"}
    consumer = Consumer({**settings, "log_level": 0})
    consumer.subscribe([topic])
    values: list[bytes | None] = []
    deadline = time.monotonic() + BOUND_S
    while len(values) < count and time.monotonic() < deadline:
        record = consumer.poll(0.5)
        if record is not None and record.error() is None:
            values.append(record.value())
    consumer.close()
    return values
