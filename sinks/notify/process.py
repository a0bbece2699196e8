"""Delivery of incidents' news to one receiver, so that none is lost, and none told twice where that can be known.

    attempting ─flush─► call ─► outcome ─flush─► commit

Each receiver has a consumer group of its own, so that one that is away delays no other.  A crash leaves a notification
as attempting, without an outcome: it is in doubt, and the receiver's `doubt` says what is done.  While a receiver is
away its newest news wait (see `sinks.notify.outbox`); tries go on for an hour with growing, scattered waits and what
Retry-After asks for.  Then they are undelivered, which is a record of nps.oncall too: the next step is taken.
"""

import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaException, Message, TopicPartition

from schemas.codec import Codec, Undecodable
from schemas.events import Delivery, Notification
from schemas.ours import decode_ours
from schemas.reasons import Reason
from schemas.topics import NOTIFICATIONS
from sinks import metrics
from sinks.dead_letters import DeadLetters
from sinks.foreign import count_foreign
from sinks.kafka_health import MANUAL_COMMIT, QUIET, KafkaHealth, log_error
from sinks.notify.courier import Courier, DeliveryWriter
from sinks.notify.receiver import IncidentReceiver, Permission
from sinks.rows import key_of_message

CONSUMER = {
    "auto.offset.reset": "earliest",
    "fetch.queue.backoff.ms": "10",
    "topic.metadata.refresh.interval.ms": "10000",
}
POLL_S = 0.2
READ_RECORDS = 500
COMMIT_EVERY_S = 1.0

log = logging.getLogger("nps.notify")


class Journal(DeliveryWriter, Protocol):
    """Port to what was delivered and told before."""

    def deliveries(self, now_ms: int) -> Iterator[Delivery]:
        """Read what became of all notifications, in order."""

    def notifications(self, end_offset: int) -> Iterator[Notification]:
        """Read the notifications below an offset, in order."""


class ReceiverProcess:
    """Member of the consumer group of one receiver.  `run` delivers until told to stop.

    `buries` is true for the one receiver that dead-letters what strangers wrote on nps.notifications.
    """

    def __init__(
        self,
        name: str,
        receiver: IncidentReceiver,
        permission: Permission,
        consumer_config: Mapping[str, str],
        producer_config: Mapping[str, str],
        codec: Codec,
        journal: Journal,
        *,
        buries: bool = True,
        patience_s: float = 60.0,
    ) -> None:
        self._name = name
        self._journal = journal
        self._codec = codec
        self._buries = buries
        self._kafka_health = KafkaHealth(patience_s)
        fixed = {**MANUAL_COMMIT, **QUIET, "error_cb": self._kafka_health.lost}
        config = {**CONSUMER, **consumer_config, **fixed}
        self._group = str(config["group.id"])
        self._lease_s = int(consumer_config.get("session.timeout.ms", "45000")) / 1_000
        self._consumer = Consumer(config)
        self._dead_letters = DeadLetters(producer_config)
        self._courier = Courier(name, receiver, journal, permission, may_send=self._is_owner)
        self._is_assigned = self._is_restored = self._is_paused = False
        self._polled_s = 0.0
        self._position: int | None = None
        self._committed: int | None = None
        self._commit_s = 0.0

    def run(self, stop: threading.Event) -> None:
        """Deliver until `stop` is set.  Raises ServerAway, KafkaException or Undelivered when it cannot go on."""
        self._consumer.subscribe([NOTIFICATIONS.name], on_assign=self._assigned, on_revoke=self._revoked)
        try:
            while not stop.is_set():
                self._kafka_health.check(self._consumer)
                self._poll()
                if self._is_restored:
                    self._work(stop)
        finally:
            self._consumer.close()

    def unready(self) -> str:
        """Say why nothing is delivered; empty while it is, or there is nothing.  From any thread."""
        return self._kafka_health.unready() or self._courier.unready()

    def _poll(self) -> None:
        messages = self._consumer.consume(READ_RECORDS, self._wait_s())
        self._polled_s = time.monotonic()
        if self._is_assigned and not self._is_restored:
            self._take_over()
        if self._is_restored:
            self._take(messages)

    def _wait_s(self) -> float:
        wait_ms = self._courier.wait_ms()
        return POLL_S if wait_ms is None else min(POLL_S, wait_ms / 1_000)

    def _work(self, stop: threading.Event) -> None:
        """Try what is due, one after another; polls in between keep the partition, and bring newer news."""
        if self._courier.deliver_next() and not stop.is_set():
            self._commit(at_once=True)
        self._courier.repeat()
        self._commit(at_once=False)
        self._pause(self._courier.is_full)

    def _take_over(self) -> None:
        """Read what became of notifications before this process had the partition."""
        committed = self._consumer.committed([TopicPartition(NOTIFICATIONS.name, 0)], timeout=30)[0].offset
        now_ms = time.time_ns() // 1_000_000
        told = self._journal.notifications(max(0, committed)) if committed != OFFSET_INVALID else iter(())
        self._courier.restore(self._journal.deliveries(now_ms), told)
        self._position = self._committed = None
        self._is_restored = True

    def _take(self, messages: Sequence[Message]) -> None:
        for message in messages:
            error = message.error()
            if error is not None:
                log_error(log, error, self._group, message.topic() or "")
                continue
            self._take_one(message)
            self._position = (message.offset() or 0) + 1

    def _take_one(self, message: Message) -> None:
        try:
            notification = decode_ours(self._codec, Notification, key_of_message(message), message.value())
        except Undecodable as error:
            if self._buries:
                self._bury(message, error.reason, str(error))
            return
        if notification.receiver != self._name:
            return
        try:
            self._courier.take(notification, message.offset() or 0)
        except ValueError as error:
            self._bury(message, Reason.UNDECODABLE, f"its facts: {error}")

    def _bury(self, message: Message, reason: str, detail: str) -> None:
        count_foreign(message, detail)
        self._dead_letters.put(message, reason, detail)
        self._dead_letters.flush()

    def _commit(self, *, at_once: bool) -> None:
        """Commit what is finished, at once or when a second has passed."""
        lowest = self._courier.lowest_offset()
        offset = self._position if lowest is None else lowest
        if offset is None or offset == self._committed:
            return
        now_s = time.monotonic()
        if not at_once and now_s - self._commit_s < COMMIT_EVERY_S:
            return
        self._commit_s = now_s
        try:
            self._consumer.commit(offsets=[TopicPartition(NOTIFICATIONS.name, 0, offset)], asynchronous=False)
        except KafkaException as error:
            # what is finished is in the log, and is not told again
            metrics.FAILURES.labels("commit").inc()
            log.warning("commit_failed: %s", error)
            return
        self._committed = offset

    def _pause(self, is_full: bool) -> None:
        if is_full == self._is_paused:
            return
        partitions = self._consumer.assignment()
        (self._consumer.pause if is_full else self._consumer.resume)(partitions)
        self._is_paused = is_full

    def _is_owner(self) -> bool:
        """False after so long a stand-still that the partition may be another process's."""
        return self._is_assigned and time.monotonic() - self._polled_s < self._lease_s

    def _assigned(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self._kafka_health.is_member = True
        self._is_assigned, self._is_restored, self._is_paused = bool(partitions), False, False

    def _revoked(self, _: Consumer, __: list[TopicPartition]) -> None:
        self._is_assigned = self._is_restored = False
