"""What can be seen of a pipeline on real Kafka from outside: offsets, what its topics hold, how far its group is."""

import time
from collections.abc import Iterator, Mapping
from contextlib import closing

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from schemas.codec import Codec
from schemas.events import Answer
from schemas.topics import ANSWERS, INBOUND, PURCHASES, RESPONSES
from streams.kafka.ports import KafkaRecord
from streams.kafka.reader import KafkaReader
from tests.faults.harness.patience import Group, Offsets
from tests.faults.traffic.crash_input import Written
from tests.support.commands import BOUND_S

OFFSET_OF = (1 << 48) - 1
"""A version is the topic's epoch above the offset of its cause."""


class Pipeline:
    """The topics of one pipeline, and the group of its workers."""

    def __init__(self, brokers: str, partitions: int, group: str = "nps-worker") -> None:
        self.brokers = brokers
        self.partitions = partitions
        self.codec = Codec()
        settings = {"bootstrap.servers": brokers, "group.id": group, "log_level": 0, "fetch.wait.max.ms": 20}
        self._consumer = Consumer(settings)
        self._group = Group(brokers, group)

    def close(self) -> None:
        """Give the connection back."""
        self._consumer.close()
        self._group.close()

    def write(self, events: list[Written]) -> None:
        """Write the events in this order, each under its customer and its own Kafka timestamp."""
        settings = {"bootstrap.servers": self.brokers, "partitioner": "murmur2_random", "linger.ms": 20, "log_level": 0}
        producer = Producer(settings)
        for at_ms, topic, event in events:
            value, key = self.codec.encode(event), event.customer_id.encode()
            while True:
                try:
                    producer.produce(topic, value, key, timestamp=at_ms)
                    break
                except BufferError:
                    producer.poll(0.1)
        assert producer.flush(BOUND_S) == 0

    def read(self, topic: str) -> Iterator[tuple[int, KafkaRecord]]:
        """Everything a topic holds, partition and record, in order within each partition."""
        with closing(KafkaReader(self.brokers, {})) as reader:
            for (_, partition), record in reader.read([(topic, number) for number in range(self.partitions)]):
                yield partition, record

    def committed(self) -> Offsets:
        """The next offset to process of each inbound partition; 0 where nothing was committed."""
        wanted = [(topic.name, number) for topic in INBOUND for number in range(self.partitions)]
        return {partition: max(offset, 0) for partition, offset in self._group.committed(wanted).items()}

    def progress(self) -> int:
        """Purchases and responses committed so far."""
        return sum(
            offset for (topic, _), offset in self.committed().items() if topic in (PURCHASES.name, RESPONSES.name)
        )

    def ends(self) -> Offsets:
        """The offset after the last record of each inbound partition."""
        parts = [(topic.name, number) for topic in INBOUND for number in range(self.partitions)]
        return {part: self._end(*part) for part in parts}

    def is_through(self) -> bool:
        """True when nothing unread is left.  Asked in this order, what a batch puts back cannot be missed.

        The local broker may tell an end that is too low.
        """
        committed = self.committed()
        return all(committed[part] >= end for part, end in self.ends().items())

    def answered_to(self) -> Mapping[int, int]:
        """The next offset of nps.responses after the last one of which an answer is in Kafka, by partition."""
        last = {number: self._last(number) for number in range(self.partitions)}
        return {number: (answer.version & OFFSET_OF) + 1 if answer else 0 for number, answer in last.items()}

    def _last(self, number: int) -> Answer | None:
        end = self._end(ANSWERS.name, number)
        if not end:
            return None
        self._consumer.assign([TopicPartition(ANSWERS.name, number, end - 1)])
        message = self._consumer.poll(BOUND_S)
        self._consumer.unassign()
        assert message is not None
        assert message.error() is None
        return self.codec.decode(Answer, message.value())

    def _end(self, topic: str, number: int) -> int:
        """The offset after the last record; a partition made a moment ago may have no leader yet."""
        deadline = time.monotonic() + BOUND_S
        while True:
            try:
                _, end = self._consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=BOUND_S)
            except KafkaException:
                assert time.monotonic() < deadline, f"{topic} partition {number} has no leader"
                continue
            return int(end)
