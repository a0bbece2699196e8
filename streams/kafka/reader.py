"""Kafka reader on librdkafka: partitions from their beginning to their present end, to restore state.

A plain consumer that never joins a group.  The end is the broker's end-of-partition event, never a high watermark,
which some brokers report too low.
"""

import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import Any

import confluent_kafka

from schemas.acls import REFUSALS, not_allowed
from schemas.records import new
from streams.errors import BrokerAway
from streams.kafka.ports import KafkaRecord, Records, TopicPartition
from streams.kafka.silence import SILENT

BATCH_RECORDS = 10_000
FETCH_WAIT_MS = 500
"""Time for which a broker may look for records; the local one gives up after it, silently, on what is there."""

_END = confluent_kafka.KafkaError._PARTITION_EOF
_TAIL = -2_000
"""librdkafka's RD_KAFKA_OFFSET_TAIL_BASE: offset `_TAIL - n` means n records before the end."""


class KafkaReader:
    """Adapter of `Reader` to Kafka; reads many partitions at once.  Close it when done."""

    def __init__(self, brokers: str, security: Mapping[str, str], patience_s: float = 60) -> None:
        self._brokers = brokers
        self._patience_s = patience_s
        self._consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": brokers,
                "group.id": "nps-restore",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "fetch.queue.backoff.ms": 10,
                "queued.min.messages": 100_000,
                "fetch.wait.max.ms": FETCH_WAIT_MS,
                **security,
            },
            logger=SILENT,
        )

    def close(self) -> None:
        """Close the connection."""
        self._consumer.close()

    def read(self, partitions: Collection[TopicPartition]) -> Records:
        """Every record of the partitions as of now.  Raises BrokerAway when none arrives for `patience_s`."""
        return self._read(partitions, confluent_kafka.OFFSET_BEGINNING)

    def read_from(self, partition: TopicPartition, offset: int) -> Records:
        """Every record of a partition from this offset, or from the first one after it.  Raises as `read` does."""
        place = confluent_kafka.TopicPartition(*partition)
        try:
            first, end = self._consumer.get_watermark_offsets(place, timeout=self._patience_s)
        except confluent_kafka.KafkaException:
            raise BrokerAway(f"no answer from Kafka at {self._brokers} for {self._patience_s:g} s") from None
        # an end that is told too low only makes it read a little more; beyond the true one some brokers never answer
        for found in self._read([partition], max(first, min(offset, end))):
            if found[1].offset >= offset:
                yield found

    def tail(self, partitions: Collection[TopicPartition], records: int) -> Records:
        """The last `records` records of each partition, sometimes a few more.  Raises BrokerAway as `read` does."""
        return self._read(partitions, _TAIL - records)

    def partitions_of(self, topic: str) -> list[TopicPartition]:
        """All partitions that a topic has.  Raises BrokerAway."""
        try:
            found = self._consumer.list_topics(topic, timeout=self._patience_s).topics[topic].partitions
        except confluent_kafka.KafkaException:
            raise BrokerAway(f"no answer from Kafka at {self._brokers} for {self._patience_s:g} s") from None
        return [(topic, number) for number in sorted(found)]

    def deleted_before_ms(self, partition: TopicPartition) -> int | None:
        """Timestamp of a partition's first record where Kafka deleted earlier ones, now where none is left.

        None where nothing was deleted.  Raises BrokerAway.
        """
        place = confluent_kafka.TopicPartition(*partition)
        try:
            first, _ = self._consumer.get_watermark_offsets(place, timeout=self._patience_s)
        except confluent_kafka.KafkaException:
            raise BrokerAway(f"no answer from Kafka at {self._brokers} for {self._patience_s:g} s") from None
        if not first:
            return None
        return next((record.timestamp for _, record in self.read([partition])), time.time_ns() // 1_000_000)

    def follow(self, partitions: Collection[TopicPartition]) -> Records:
        """Every record of the partitions and each that comes, without end.  Raises BrokerAway for an unreadable one."""
        self._consumer.assign(
            [confluent_kafka.TopicPartition(*partition, confluent_kafka.OFFSET_BEGINNING) for partition in partitions]
        )
        while True:
            for message in self._consumer.consume(BATCH_RECORDS, timeout=0.2):
                error = message.error()
                if error is None:
                    yield (message.topic() or "", message.partition() or 0), record_of(message)
                elif error.code() != _END and not error.retriable():
                    raise BrokerAway(f"{message.topic()} cannot be read: {error.str()}")

    def _read(self, partitions: Collection[TopicPartition], start: int) -> Records:
        unfinished, last_answer_s = set(partitions), time.monotonic()
        with suppress(confluent_kafka.KafkaException):  # the loop below raises BrokerAway, with the address
            # Assigned before it knows the brokers, librdkafka waits half a second until it looks again.
            self._consumer.list_topics(timeout=self._patience_s)
        self._consumer.assign([confluent_kafka.TopicPartition(*partition, start) for partition in partitions])
        while unfinished:
            messages = self._consumer.consume(BATCH_RECORDS, timeout=0.02)
            for message in messages:
                partition = (message.topic() or "", message.partition() or 0)
                error = message.error()
                if error is None:
                    yield partition, record_of(message)
                elif error.code() == _END:
                    unfinished.discard(partition)
                elif error.code() in REFUSALS:
                    raise not_allowed(error.code(), partition[0], "Read")
                elif not error.retriable():
                    raise BrokerAway(f"{partition[0]} partition {partition[1]} cannot be read: {error.str()}")
            if messages:
                last_answer_s = time.monotonic()  # not before them: whoever reads may take its time with each
            elif time.monotonic() - last_answer_s > self._patience_s:
                raise BrokerAway(f"no answer from Kafka at {self._brokers} for {self._patience_s:g} s")
        self._consumer.unassign()


@contextmanager
def side_by_side(
    brokers: str, security: Mapping[str, str], topics: Collection[str]
) -> Iterator[dict[str, KafkaReader]]:
    """Open a reader for each topic, so that each is read as far as it is wanted; each holds up to 64 MiB."""
    with ExitStack() as readers:
        yield {topic: readers.enter_context(closing(KafkaReader(brokers, security))) for topic in topics}


def record_of(message: confluent_kafka.Message) -> KafkaRecord:
    """Take the record out of a message of librdkafka's, which is no error."""
    headers: Any = message.headers() or ()  # declared wider than it is: never text, never a mapping
    fields = message.offset() or 0, message.timestamp()[1], message.key(), message.value(), headers
    return new(KafkaRecord, fields)  # a third of the time of KafkaRecord(...), for millions of records
