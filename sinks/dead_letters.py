"""Dead-letter producer of the sinks: writes records to `nps.dead-letters`, bytes and all, before any commit."""

from collections.abc import Mapping

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from schemas.acls import REFUSALS, not_allowed_to_write
from schemas.deadletters import Death, wrap
from schemas.errors import Undelivered
from schemas.topics import DEAD_LETTERS, LARGEST_RECORD_BYTES
from sinks import metrics
from sinks.kafka_health import QUIET
from sinks.rows import headers_of

PRODUCER = {
    "enable.idempotence": "true", "acks": "all", "linger.ms": "5", "partitioner": "murmur2_random",
    "message.max.bytes": str(LARGEST_RECORD_BYTES),
}  # fmt: skip
FLUSH_S = 30.0


class DeadLetters:
    """Producer of dead letters.  Connects with the first one, for most sinks never have any."""

    def __init__(self, producer_config: Mapping[str, str]) -> None:
        self._config = {**PRODUCER, **producer_config, **QUIET}
        self._producer: Producer | None = None
        self._errors: list[KafkaError] = []

    def put(self, message: Message, reason: str, detail: str) -> None:
        """Queue a record for `flush`.  Raises Undelivered when the queue stays full."""
        place = (message.topic() or "", message.partition() or 0, message.offset() or 0)
        timestamp_type, timestamp_ms = message.timestamp()
        death = Death(reason, detail[:2_000], *place, timestamp_ms if timestamp_type else -1)
        headers: list[tuple[str, str | bytes | None]] = [*wrap(headers_of(message), death)]
        self._producer = self._producer or Producer(self._config)
        try:
            self._producer.produce(
                DEAD_LETTERS, message.value(), message.key(), headers=headers, on_delivery=self._delivered
            )
        except BufferError:
            self.flush()
            self.put(message, reason, detail)
        except KafkaException as error:
            raise Undelivered(f"cannot write to {DEAD_LETTERS}: {error}") from error
        else:
            metrics.DEAD_LETTERS.labels(reason).inc()

    def flush(self) -> None:
        """Wait until all records put are durable, up to 30 s.  Raises Undelivered or NotAllowed."""
        if self._producer is None:
            return
        unacknowledged = self._producer.flush(FLUSH_S)
        errors, self._errors = self._errors, []
        if refusal := next((error.code() for error in errors if error.code() in REFUSALS), None):
            raise not_allowed_to_write(refusal, DEAD_LETTERS)
        if unacknowledged or errors:
            detail = errors[0].str() if errors else f"{unacknowledged} unacknowledged after {FLUSH_S:g} s"
            raise Undelivered(f"cannot write to {DEAD_LETTERS}: {detail}")

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._errors.append(error)
