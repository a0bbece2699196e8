"""Follower of nps.links and nps.erasures, from their beginning on: what it reads goes into `Links`."""

import threading
import time
from collections.abc import Sequence

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, TopicPartition

from schemas.acls import REFUSALS, not_allowed
from streams.errors import BrokerAway
from streams.kafka import ports
from streams.kafka.ports import Output
from streams.kafka.reader import record_of
from streams.sources.links import Links

BATCH_RECORDS = 10_000


class LinkFollower:
    """Follower with a consumer of its own that tells of each partition's end, for all threads of a process.

    Raises BrokerAway for a partition that cannot be read, NotAllowed for one that may not.
    """

    def __init__(self, consumer: Consumer, links: Links, partitions: Sequence[ports.TopicPartition]) -> None:
        self._consumer, self._links = consumer, links
        self._unread = set(partitions)
        self._pending: list[Output] = []
        self._lock = threading.Lock()
        consumer.assign([TopicPartition(*place, OFFSET_BEGINNING) for place in partitions])

    def read_all(self, patience_s: float) -> None:
        """Read all that there is.  Raises BrokerAway when nothing comes for `patience_s`."""
        heard_s = time.monotonic()
        while self._unread:
            messages = self._consumer.consume(BATCH_RECORDS, 0.05)
            self._pending += self._take(messages)
            if messages:
                heard_s = time.monotonic()
            elif time.monotonic() - heard_s > patience_s:
                raise BrokerAway(f"no answer from Kafka about nps.links for {patience_s:g} s")

    def follow(self) -> list[Output]:
        """Read what came; the outputs by which links end."""
        with self._lock:
            outputs = self._pending + self._take(self._consumer.consume(BATCH_RECORDS, 0))
            self._pending = []
        return outputs

    def _take(self, messages: Sequence[Message]) -> list[Output]:
        records = []
        for message in messages:
            place = message.topic() or "", message.partition() or 0
            error = message.error()
            if error is None:
                records.append((place, record_of(message)))
            elif error.code() == KafkaError._PARTITION_EOF:
                self._unread.discard(place)
            elif error.code() in REFUSALS:
                raise not_allowed(error.code(), place[0], "Read")
            elif not error.retriable():
                raise BrokerAway(f"{place[0]} partition {place[1]} cannot be read: {error.str()}")
        return self._links.take(records)
