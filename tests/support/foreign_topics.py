"""Foreign topics for tests of sources: made, written to, and what came of them read back."""

from collections.abc import Sequence
from contextlib import closing

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from schemas.topics import DEAD_LETTERS, INBOUND_RECORDS
from streams.kafka.ports import KafkaRecord
from streams.kafka.reader import KafkaReader
from tests.support.commands import BOUND_S

PARTITIONS = 3

Placed = dict[tuple[str, int], list[KafkaRecord]]
"""Records by the topic and partition that they lie in."""


def make_topic(brokers: str, topic: str) -> None:
    """Create a topic of PARTITIONS partitions."""
    admin = AdminClient({"bootstrap.servers": brokers})  # it must live until all is done
    for made in admin.create_topics([NewTopic(topic, PARTITIONS, 1)]).values():
        made.result(BOUND_S)


def write(brokers: str, topic: str, records: Sequence[KafkaRecord]) -> None:
    """Write records, with their keys, headers and timestamps."""
    producer = Producer({"bootstrap.servers": brokers})
    for record in records:
        producer.produce(
            topic, record.value, record.key, timestamp=max(record.timestamp, 0), headers=list(record.headers)
        )  # fmt: skip
    assert producer.flush(BOUND_S) == 0


def inbound(brokers: str) -> Placed:
    """Every record of the inbound topics and the dead letters."""
    found: Placed = {}
    places = [(topic, number) for topic in INBOUND_RECORDS for number in range(PARTITIONS)]
    with closing(KafkaReader(brokers, {})) as reader:
        for place, record in reader.read([*places, (DEAD_LETTERS, 0)]):
            found.setdefault(place, []).append(record)
    return found


def of_topic(placed: Placed, topic: str) -> list[KafkaRecord]:
    """The records of one topic."""
    return [record for (name, _), records in placed.items() if name == topic for record in records]
