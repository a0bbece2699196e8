"""Delivery of alerts: read, deliver, commit, in this order, so that no alert is lost.

A consumer group of its own, so a warehouse that is away delays no page.  A crash between delivery and commit delivers
once more with the same `alert_id`, by which the receiver knows it.  An alert that cannot be delivered, or does not
decode, is logged, counted and dead-lettered.  Alerts of answers older than `stale_after_ms` are passed over and
counted: a notifier that is new, or was away for days, must not page for history, nor when history is counted anew.
"""

import logging
import random
import threading
import time
from collections.abc import Mapping

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from schemas.codec import Codec, RegistryAway, Undecodable
from schemas.events import Alert
from schemas.ours import decode_ours
from schemas.reasons import Reason
from schemas.topics import ALERTS
from sinks import metrics
from sinks.batch import Backoff
from sinks.dead_letters import DeadLetters
from sinks.foreign import count_foreign
from sinks.kafka_health import MANUAL_COMMIT, QUIET, KafkaHealth, log_error
from sinks.notify.notifier import DeliveryError, Notifier, TryLater
from sinks.rows import key_of_message

CONSUMER = {
    "group.id": "nps-notifier",
    "auto.offset.reset": "earliest",
    "fetch.queue.backoff.ms": "10",
    "topic.metadata.refresh.interval.ms": "10000",
    "max.poll.interval.ms": "900000",  # the tries of one alert take this long at most, with slow answers and long waits
}
POLL_S = 0.2
DAY_MS = 86_400_000
LONGEST_WAIT_S = 60.0
"""Longest wait between tries that a receiver's Retry-After can ask for: an alert is not held for ever."""

log = logging.getLogger("nps.notifier")


class AlertDelivery:
    """Member of a notifier's consumer group.  `run` delivers until told to stop; each service needs a `group.id`."""

    def __init__(
        self,
        consumer_config: Mapping[str, str],
        producer_config: Mapping[str, str],
        codec: Codec,
        notifier: Notifier,
        *,
        max_tries: int = 8,
        backoff: Backoff | None = None,
        stale_after_ms: int = DAY_MS,
        patience_s: float = 60.0,
    ) -> None:
        if max_tries < 1:
            raise ValueError(f"max_tries must be 1 or more, not {max_tries}")
        self._patience_s = patience_s
        self._kafka_health = KafkaHealth(patience_s)
        fixed = {**MANUAL_COMMIT, **QUIET, "error_cb": self._kafka_health.lost}
        config = {**CONSUMER, **consumer_config, **fixed}
        self._group = str(config["group.id"])
        self._consumer = Consumer(config)
        self._dead_letters = DeadLetters(producer_config)
        self._codec = codec
        self._notifier = notifier
        self._max_tries = max_tries
        self._backoff = backoff or Backoff()
        self._stale_after_ms = stale_after_ms
        self._failed_tries = 0

    def run(self, stop: threading.Event) -> None:
        """Deliver until `stop` is set.  Raises ServerAway, KafkaException or Undelivered when it cannot go on."""
        self._consumer.subscribe([ALERTS.name], on_assign=self._assigned)
        try:
            while not stop.is_set():
                self._kafka_health.check(self._consumer)
                message = self._consumer.poll(POLL_S)
                if message is None or self._is_error(message):
                    continue
                if self._handle(message, stop):
                    self._commit(message)
        finally:
            self._consumer.close()

    def unready(self) -> str:
        """Say why no alerts are delivered; empty while they are, or there are none.  From any thread."""
        if tries := self._failed_tries:
            return f"an alert could not be delivered in {tries} {'try' if tries == 1 else 'tries'}"
        return self._kafka_health.unready()

    def _assigned(self, _: Consumer, __: list[TopicPartition]) -> None:
        self._kafka_health.is_member = True

    def _handle(self, message: Message, stop: threading.Event) -> bool:
        """Deliver or dead-letter an alert; False when told to stop before that, so that it comes again."""
        try:
            alert = self._decode(message, stop)
        except Undecodable as error:
            count_foreign(message, str(error))
            return self._write_dead_letter(message, "undecodable", error.reason, str(error))
        if alert is None:
            return False
        written_ms = message.timestamp()[1]
        if time.time() * 1_000 - alert.received_ms > self._stale_after_ms:
            metrics.ALERTS.labels("stale").inc()
            return True
        failure = self._deliver(alert, stop)
        self._failed_tries = 0
        if failure is None:
            metrics.ALERTS.labels("delivered").inc()
            metrics.DELIVERY_SECONDS.observe(max(0.0, time.time() - written_ms / 1_000))
        elif stop.is_set() and isinstance(failure, TryLater):
            return False
        else:
            log.error("alert_undelivered alert_id=%s: %s", alert.alert_id, failure)
            self._write_dead_letter(message, "undelivered", Reason.UNDELIVERED, str(failure))
        return True

    def _decode(self, message: Message, stop: threading.Event) -> Alert | None:
        """Decode an alert; None when told to stop before that.  Raises RegistryAway after `patience_s`."""
        failures, started_s = 0, time.monotonic()
        while not stop.is_set():
            try:
                return decode_ours(self._codec, Alert, key_of_message(message), message.value())
            except RegistryAway as error:
                if time.monotonic() - started_s > self._patience_s:
                    raise
                failures += 1
                if failures == 1:
                    log.warning("registry_away: %s", error)
                self._wait(failures, stop)
        return None

    def _deliver(self, alert: Alert, stop: threading.Event) -> DeliveryError | None:
        """Try until the alert is delivered or no try can work; returns None, or the last failure."""
        tries = 0
        while True:
            tries += 1
            try:
                self._notifier.deliver(alert)
            except DeliveryError as error:
                is_last = tries == self._max_tries or not isinstance(error, TryLater)
                self._failed_tries = tries
                metrics.ATTEMPTS.labels("gave_up" if is_last else "retry").inc()
                if is_last:
                    return error
                log.warning("alert_delayed alert_id=%s tries=%d: %s", alert.alert_id, tries, error)
                self._wait(tries, stop, error.after_s if isinstance(error, TryLater) else 0.0)
                if stop.is_set():
                    return error
            else:
                metrics.ATTEMPTS.labels("ok").inc()
                return None

    def _wait(self, failures: int, stop: threading.Event, at_least_s: float = 0.0) -> None:
        wait_s = self._backoff.wait_ms(failures, random.random()) / 1_000
        stop.wait(max(wait_s, min(at_least_s, LONGEST_WAIT_S)))

    def _write_dead_letter(self, message: Message, outcome: str, reason: str, detail: str) -> bool:
        metrics.ALERTS.labels(outcome).inc()
        self._dead_letters.put(message, reason, detail)
        self._dead_letters.flush()
        return True

    def _commit(self, message: Message) -> None:
        try:
            self._consumer.commit(message=message, asynchronous=False)
        except KafkaException as error:
            # it comes again under the same alert_id
            metrics.FAILURES.labels("commit").inc()
            log.warning("commit_failed: %s", error)

    def _is_error(self, message: Message) -> bool:
        error = message.error()
        if error is not None:
            log_error(log, error, self._group, message.topic() or "")
        return error is not None
