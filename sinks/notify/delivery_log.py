"""Log of deliveries, nps.deliveries: written before and after every try, read back when a receiver is taken over."""

from collections.abc import Iterator, Mapping
from typing import TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from schemas.acls import REFUSALS, not_allowed, not_allowed_to_write
from schemas.codec import Codec, Undecodable
from schemas.errors import ServerAway, Undelivered
from schemas.events import Delivery, Notification, OncallEvent, Record
from schemas.ours import decode_ours
from schemas.topics import DELIVERIES, NOTIFICATIONS, ONCALL, key_of
from sinks.dead_letters import PRODUCER
from sinks.kafka_health import MANUAL_COMMIT, QUIET

FLUSH_S = 30.0
READ_RECORDS = 1_000
KEPT_MS = 31 * 86_400_000
"""Age after which a delivery is taken out of its compacted topic: its notification is no longer there."""

R = TypeVar("R", bound=Record)
TOPIC_OF = {Delivery: DELIVERIES.name, OncallEvent: ONCALL.name}


class DeliveryLog:
    """Adapter of the log to Kafka.  `patience_s` bounds how long a read waits for the next record."""

    def __init__(
        self,
        consumer_config: Mapping[str, str],
        producer_config: Mapping[str, str],
        codec: Codec,
        patience_s: float = 60.0,
    ) -> None:
        self._codec = codec
        self._patience_s = patience_s
        reading = {"group.id": "nps-deliveries", "enable.partition.eof": "true", "auto.offset.reset": "earliest"}
        self._reading = {**consumer_config, **reading, **MANUAL_COMMIT, **QUIET}
        self._producer = Producer({**PRODUCER, "linger.ms": "0", **producer_config, **QUIET})
        self._errors: list[KafkaError] = []

    def write(self, *records: Delivery | OncallEvent) -> None:
        """Write records, durable on return.  Raises Undelivered or NotAllowed."""
        for record in records:
            self._produce(TOPIC_OF[type(record)], key_of(record), self._codec.encode(record))
        self._flush()

    def deliveries(self, now_ms: int) -> Iterator[Delivery]:
        """Read what became of all notifications; what is older than KEPT_MS is taken out of the topic.

        Raises ServerAway, NotAllowed or Undelivered.
        """
        old: list[bytes] = []
        for delivery in self._read(Delivery, DELIVERIES.name):
            if now_ms - delivery.time > KEPT_MS:
                old.append(key_of(delivery))
            else:
                yield delivery
        for key in old:
            self._produce(DELIVERIES.name, key, None)
        self._flush()

    def notifications(self, end_offset: int) -> Iterator[Notification]:
        """Read the notifications below an offset.  Raises ServerAway or NotAllowed."""
        return self._read(Notification, NOTIFICATIONS.name, end_offset)

    def _read(self, cls: type[R], topic: str, end_offset: int | None = None) -> Iterator[R]:
        consumer = Consumer(self._reading)
        try:
            consumer.assign([TopicPartition(topic, 0, 0)])
            waited_s = 0.0
            while waited_s < self._patience_s:
                messages = consumer.consume(READ_RECORDS, 0.5)
                waited_s = 0.0 if messages else waited_s + 0.5
                for message in messages:
                    error = message.error()
                    if error is not None and error.code() == KafkaError._PARTITION_EOF:
                        return
                    if error is not None:
                        _judge(error, topic)
                        continue
                    if end_offset is not None and (message.offset() or 0) >= end_offset:
                        return
                    try:
                        yield decode_ours(self._codec, cls, message.key(), message.value())
                    except Undecodable:
                        continue  # a stranger's, or what was taken out
            raise ServerAway(f"no answer from Kafka for {self._patience_s:g} s: see if it runs")
        finally:
            consumer.close()

    def _produce(self, topic: str, key: bytes, value: bytes | None) -> None:
        try:
            self._producer.produce(topic, value, key, on_delivery=self._delivered)
        except BufferError:
            self._flush()
            self._produce(topic, key, value)
        except KafkaException as error:
            raise Undelivered(f"cannot write to {topic}: {error}") from error

    def _flush(self) -> None:
        unacknowledged = self._producer.flush(FLUSH_S)
        errors, self._errors = self._errors, []
        if refusal := next((error.code() for error in errors if error.code() in REFUSALS), None):
            raise not_allowed_to_write(refusal, DELIVERIES.name)
        if unacknowledged or errors:
            detail = errors[0].str() if errors else f"{unacknowledged} unacknowledged after {FLUSH_S:g} s"
            raise Undelivered(f"cannot write to {DELIVERIES.name}: {detail}")

    def _delivered(self, error: KafkaError | None, _: object) -> None:
        if error is not None:
            self._errors.append(error)


def _judge(error: KafkaError, topic: str) -> None:
    """Raise NotAllowed or ServerAway for an error that no waiting mends."""
    if error.code() in REFUSALS:
        raise not_allowed(error.code(), topic, "Read")
    if not error.retriable() and error.code() not in (KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT):
        raise ServerAway(f"{topic} cannot be read: {error.str()}")
