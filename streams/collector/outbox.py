"""Publication of records that must be in Kafka before the client hears that they were taken.

Away   Kafka did not take a record in time; it may still, and sending it again does no harm
"""

import asyncio
import logging
import threading
from collections.abc import Mapping, Sequence

import confluent_kafka

from schemas.acls import REFUSALS, not_allowed
from streams.kafka.ports import Output

_POLL_S = 0.1
_librdkafka_logger = logging.getLogger("streams.collector.librdkafka")
_librdkafka_logger.setLevel(logging.CRITICAL)


class Away(Exception):
    """Kafka did not take a record in time; it may still, and sending it again does no harm."""


class Outbox:
    """Sends records and waits for them, at most `within_ms`.  Use it in one event loop; close it in the end.

    Acks from all in-sync replicas and the Java default partitioner, as everywhere.  Not idempotent: a retry may write a
    record twice, which counts once, while an idempotent producer can fail for good when the broker was long away.
    """

    def __init__(
        self, brokers: str, security: Mapping[str, str], within_ms: int, client_id: str = "nps-collector"
    ) -> None:
        self._within_ms = within_ms
        self._stopping = threading.Event()
        self._producer = confluent_kafka.Producer(
            {
                **security,
                "bootstrap.servers": brokers,
                "client.id": client_id,
                "acks": "all",
                "partitioner": "murmur2_random",
                "linger.ms": 1,
                "delivery.timeout.ms": within_ms,
                "request.timeout.ms": within_ms,
                "reconnect.backoff.max.ms": 1_000,
                "allow.auto.create.topics": False,
            },
            logger=_librdkafka_logger,
        )
        self._poller = threading.Thread(target=self._poll, name="outbox", daemon=True)
        self._poller.start()

    async def put(self, outputs: Sequence[Output]) -> None:
        """Send the records and return once all are in Kafka.  Raises Away."""
        loop = asyncio.get_running_loop()
        deliveries = [loop.create_future() for _ in outputs]
        for output, delivery in zip(outputs, deliveries, strict=True):
            self._send(output, loop, delivery)
        errors = [error for error in await asyncio.gather(*deliveries) if error]
        if errors:
            raise Away(errors[0])

    async def is_reachable(self) -> bool:
        """True when Kafka answers within `within_ms`."""
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(None, lambda: self._producer.list_topics(timeout=self._within_ms / 1000))
        except confluent_kafka.KafkaException:
            return False
        return True

    def close(self) -> None:
        """Stop after a last try, of at most `within_ms`, to send the records that still wait."""
        self._producer.flush(self._within_ms / 1000)
        self._stopping.set()
        self._poller.join()

    def _send(self, output: Output, loop: asyncio.AbstractEventLoop, delivery: "asyncio.Future[str]") -> None:
        """Send a record; `delivery` becomes the error's text, empty once Kafka has the record."""

        def delivered(error: confluent_kafka.KafkaError | None, _: confluent_kafka.Message) -> None:
            loop.call_soon_threadsafe(_resolve, delivery, "" if error is None else _reason(error, output.topic))

        try:
            self._producer.produce(
                output.topic, output.value, output.key, timestamp=output.timestamp_ms,
                headers=list(output.headers) or None, on_delivery=delivered,
            )  # fmt: skip
        except (BufferError, confluent_kafka.KafkaException) as error:
            delivery.set_result(str(error))

    def _poll(self) -> None:
        while not self._stopping.is_set():
            self._producer.poll(_POLL_S)


def _reason(error: confluent_kafka.KafkaError, topic: str) -> str:
    return str(not_allowed(error.code(), topic, "Write")) if error.code() in REFUSALS else error.str()


def _resolve(delivery: "asyncio.Future[str]", error: str) -> None:
    if not delivery.done():  # it is when the request was given up
        delivery.set_result(error)
