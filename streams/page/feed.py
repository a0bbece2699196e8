"""Records of Kafka as the page needs them: without a group, from where each topic begins to matter, then as they come.

Nothing is committed and nothing is shared: every page reads for itself, and a restart reads anew.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

import confluent_kafka

from schemas.acls import REFUSALS, not_allowed
from schemas.codec import Codec, Undecodable
from schemas.events import Record
from schemas.topics import BY_NAME, DEAD, Topic
from streams import metrics
from streams.errors import BrokerAway
from streams.kafka.ports import KafkaRecord
from streams.kafka.reader import record_of
from streams.kafka.silence import SILENT

RECORDS_AT_ONCE = 2_000
"""The most records that are handed over at once, so that nobody who looks waits for a topic that is read whole."""

FETCH_S = 0.1
_TAIL = -2_000
"""librdkafka's RD_KAFKA_OFFSET_TAIL_BASE: offset `_TAIL - n` means n records before the end."""

_UNKNOWN = frozenset({confluent_kafka.KafkaError.UNKNOWN_TOPIC_OR_PART, confluent_kafka.KafkaError._UNKNOWN_PARTITION})
logger = logging.getLogger("streams.page")

FeedRecord: TypeAlias = tuple[Topic, KafkaRecord, Record | None]
"""A record with its topic and, but for dead letters and tombstones, what it says."""


class PageFeed:
    """Reader of topics for one event loop.  `tails` has, of each topic, the records of a partition to begin with.

    None reads a topic from its beginning, as a compacted one must be.
    """

    def __init__(
        self, brokers: str, security: Mapping[str, str], codec: Codec, tails: Mapping[Topic, int | None],
        patience_s: float = 60.0,
    ) -> None:  # fmt: skip
        self._brokers = brokers
        self._codec = codec
        self._tails = tails
        self._patience_s = patience_s
        self._unread: set[tuple[str, int]] = set()
        self.is_away = False
        self._pool = ThreadPoolExecutor(1, "feed")
        self._consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": brokers,
                "group.id": "nps-page",
                "client.id": "nps-page",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "fetch.queue.backoff.ms": 10,
                "fetch.wait.max.ms": 500,
                "queued.max.messages.kbytes": 16_384,
                "reconnect.backoff.max.ms": 1_000,
                "error_cb": self._on_error,
                **security,
            },
            logger=SILENT,
        )

    @property
    def is_caught_up(self) -> bool:
        """True once every partition was read to the end that it had."""
        return not self._unread

    async def run(self, take: Callable[[Sequence[FeedRecord]], Awaitable[None]]) -> None:
        """Hand records over until cancelled.  Raises BrokerAway, NotAllowed."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._pool, self._assign)
        while True:
            await take(await loop.run_in_executor(self._pool, self._fetch))

    def close(self) -> None:
        """Close the connection."""
        self._pool.shutdown()
        self._consumer.close()

    def _assign(self) -> None:
        try:
            known = self._consumer.list_topics(timeout=self._patience_s).topics
        except confluent_kafka.KafkaException:
            raise BrokerAway(f"no answer from Kafka at {self._brokers} for {self._patience_s:g} s") from None
        places = []
        for topic, tail in self._tails.items():
            start = confluent_kafka.OFFSET_BEGINNING if tail is None else _TAIL - tail
            for number in known[topic.name].partitions if topic.name in known else ():
                places.append(confluent_kafka.TopicPartition(topic.name, number, start))
        self._unread = {(place.topic, place.partition) for place in places}
        self._consumer.assign(places)

    def _fetch(self) -> list[FeedRecord]:
        if self.is_away:
            self._look_for_brokers()
        fetched = []
        for message in self._consumer.consume(RECORDS_AT_ONCE, timeout=FETCH_S):
            error, name = message.error(), message.topic() or ""
            if error is None:
                record = record_of(message)
                fetched.append((BY_NAME[name], record, self._decoded(BY_NAME[name], record)))
            elif error.code() == confluent_kafka.KafkaError._PARTITION_EOF:
                self._unread.discard((name, message.partition() or 0))
            elif error.code() in REFUSALS:
                raise not_allowed(error.code(), name, "Read")
            elif not error.retriable() and error.code() not in _UNKNOWN:
                raise BrokerAway(f"{name} partition {message.partition()} cannot be read: {error.str()}")
        return fetched

    def _decoded(self, topic: Topic, record: KafkaRecord) -> Record | None:
        """The record's value; None for a tombstone, a dead letter, and what others wrote into a topic of ours."""
        if record.value is None or topic is DEAD or topic.record is None:
            return None
        try:
            return self._codec.decode(topic.record, record.value)
        except Undecodable:
            metrics.FOREIGN.labels(topic.name).inc()
            return None

    def _on_error(self, error: confluent_kafka.KafkaError) -> None:
        if error.code() == confluent_kafka.KafkaError._ALL_BROKERS_DOWN and not self.is_away:
            self.is_away = True
            logger.warning("kafka_away brokers=%s", self._brokers)

    def _look_for_brokers(self) -> None:
        try:
            self._consumer.list_topics(timeout=1.0)
        except confluent_kafka.KafkaException:
            return
        self.is_away = False
        logger.info("kafka_back brokers=%s", self._brokers)
