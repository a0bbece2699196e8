"""Tries of one receiver's notifications: each is written as attempting, called, and written again with its outcome.

Without Kafka: notifications come by `take`, the log is a port, and a crash is what a test leaves undone.  A try that
failed for sure is written too, so that only one whose answer is missing is in doubt after a restart.
"""

import logging
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Protocol
from uuid import UUID, uuid5

from schemas.events import Delivery, Notification, OncallEvent
from schemas.oncall import UndeliveredPayload, encode
from sinks import metrics
from sinks.batch import Backoff
from sinks.notify.notifier import DeliveryError, GiveUp, TryLater
from sinks.notify.outbox import NewsOutbox, PendingNews
from sinks.notify.receiver import Doubt, IncidentReceiver, InDoubt, LevelReceiver, News, Permission, Receipt, news_of

MINUTE_MS = 60_000
LONGEST_HOLD_MS = 3_600_000
"""Longest pause that a receiver's Retry-After can ask for."""

LONGEST_ERROR = 500
EVENTS = UUID("5d2a0c5e-6a54-4d0e-9d0a-3f0f2a1f8a60")
"""Namespace of the ids of nps.oncall events about undelivered notifications."""

log = logging.getLogger("nps.notify")


class DeliveryWriter(Protocol):
    """Port to nps.deliveries and, for what is undelivered, nps.oncall."""

    def write(self, *records: Delivery | OncallEvent) -> None:
        """Write records, durable on return."""


class Courier:
    """Deliverer of notifications to one receiver.  `may_send` is false for one that lost its partition meanwhile."""

    def __init__(
        self,
        name: str,
        receiver: IncidentReceiver,
        writer: DeliveryWriter,
        permission: Permission | None = None,
        *,
        backoff: Backoff | None = None,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        may_send: Callable[[], bool] = lambda: True,
    ) -> None:
        self._name = name
        self._receiver = receiver
        self._writer = writer
        self._permission = permission or Permission()
        self._backoff = backoff or Backoff(500, 60_000)
        self._now_ms = now_ms
        self._may_send = may_send
        self._level = receiver if isinstance(receiver, LevelReceiver) else None
        self._outbox = self._empty()
        self._sent: deque[int] = deque(maxlen=receiver.per_minute)
        self._hold_ms = 0
        self._repeat_failures = 0
        self._repeat_ms = 0

    def restore(self, deliveries: Iterable[Delivery], told: Iterable[Notification] = ()) -> None:
        """Begin anew with what became of notifications before, and, where levels are repeated, what was told last."""
        self._outbox = self._empty()
        self._outbox.restore(deliveries)
        if self._level is not None:
            last = {one.incident_id: one for one in told if one.receiver == self._name}
            self._level.restore(self._readable(sorted(last.values(), key=lambda one: one.time)))

    def take(self, notification: Notification, offset: int) -> None:
        """Take a notification of this receiver, which is tried by `deliver_next`.  Raises ValueError for bad facts."""
        _ = news_of(notification)
        self._finish(*self._outbox.add(notification, offset, self._now_ms()))

    def deliver_next(self) -> bool:
        """Try the notification that is due, if there is one and the receiver may be called now; False for none."""
        now_ms = self._now_ms()
        if now_ms < self._hold_ms or self._is_over_rate(now_ms):
            return False
        pending = self._outbox.due(now_ms)
        if pending is None:
            return False
        self._try(pending)
        metrics.DELIVERIES_WAITING.labels(self._name).set(self._outbox.waiting)
        return True

    def repeat(self) -> None:
        """Tell a receiver of levels all that is open again, when that is due; a failure is tried again."""
        now_ms = self._now_ms()
        if self._level is None or now_ms < self._repeat_ms:
            return
        try:
            self._level.repeat(now_ms)
            self._repeat_failures = self._repeat_ms = 0
        except DeliveryError as error:
            self._repeat_failures += 1
            self._repeat_ms = now_ms + self._backoff.wait_ms(self._repeat_failures, random.random())
            metrics.ATTEMPTS.labels("retry").inc()
            log.warning("repeat_delayed receiver=%s: %s", self._name, error)

    def lowest_offset(self) -> int | None:
        """Lowest offset that must not be committed yet; None for none."""
        return self._outbox.lowest_offset()

    def wait_ms(self) -> int | None:
        """Milliseconds until the next try, 0 or more; None while nothing waits."""
        next_ms = self._outbox.next_ms()
        return None if next_ms is None else max(0, max(next_ms, self._hold_ms) - self._now_ms())

    @property
    def is_full(self) -> bool:
        """True when no more may be taken until something is delivered."""
        return self._outbox.is_full

    def unready(self) -> str:
        """Say that news wait for the receiver; empty while none was tried in vain."""
        waiting = self._outbox.failing
        return f"news of {waiting} incidents wait for receiver {self._name}" if waiting else ""

    def _try(self, pending: PendingNews) -> None:
        if pending.in_doubt and self._settle(pending):
            return
        before = pending
        self._writer.write(self._outbox.attempting(pending, self._now_ms()))
        pending = self._outbox.current(pending)
        if not self._may_send():
            self._outbox.put_back(before)
            return
        now_ms = self._now_ms()
        self._sent.append(now_ms)
        try:
            receipt = self._receiver.send(self._news(pending))
        except DeliveryError as error:
            self._failed(pending, error)
        else:
            metrics.ATTEMPTS.labels("ok").inc()
            self._delivered(pending, receipt)

    def _settle(self, pending: PendingNews) -> bool:
        """Deal with news that may have arrived; False when they are to be sent, again or at last."""
        metrics.DELIVERY_DOUBTFUL.labels(self._name).inc()
        match self._receiver.doubt:
            case Doubt.REPEAT:
                return False
            case Doubt.GIVE_UP:
                log.warning("delivery_doubtful receiver=%s notification_id=%s", *self._names(pending))
                error = "it was being sent when the process ended: it may have arrived"
                self._finish(self._outbox.finish(pending, "doubtful", self._now_ms(), error=error))
                return True
            case Doubt.LOOK_UP:
                return self._look_up(pending)

    def _look_up(self, pending: PendingNews) -> bool:
        try:
            found = self._receiver.find(self._news(pending))
        except DeliveryError as error:
            self._put_off(pending, error, in_doubt=True)
            return True
        if found is not None:
            self._delivered(pending, found)
        return found is not None

    def _delivered(self, pending: PendingNews, receipt: Receipt) -> None:
        now_ms = self._now_ms()
        self._finish(self._outbox.finish(pending, "delivered", now_ms, ref=receipt.ref))
        metrics.DELIVERY_SECONDS.observe(max(0.0, (now_ms - pending.notification.time) / 1_000))

    def _failed(self, pending: PendingNews, error: DeliveryError) -> None:
        """Put a try off, or end it: refused, or of no use because nobody would know it again."""
        is_doubtful = isinstance(error, InDoubt)
        if is_doubtful:
            metrics.DELIVERY_DOUBTFUL.labels(self._name).inc()
        if isinstance(error, GiveUp) or (is_doubtful and self._receiver.doubt is Doubt.GIVE_UP):
            metrics.ATTEMPTS.labels("gave_up").inc()
            state = "doubtful" if is_doubtful else "undelivered"
            log.error("delivery_%s receiver=%s notification_id=%s: %s", state, *self._names(pending), error)
            text = str(error)[:LONGEST_ERROR]
            delivery = self._outbox.finish(pending, state, self._now_ms(), error=text)
            self._finish(delivery, takes_next_step=not is_doubtful)
            return
        self._put_off(pending, error, in_doubt=is_doubtful)

    def _put_off(self, pending: PendingNews, error: DeliveryError, *, in_doubt: bool) -> None:
        now_ms = self._now_ms()
        if isinstance(error, TryLater) and error.after_s > 0:
            self._hold_ms = now_ms + min(int(error.after_s * 1_000), LONGEST_HOLD_MS)
        wait_ms = self._backoff.wait_ms(pending.failures + 1, random.random())
        text = str(error)[:LONGEST_ERROR]
        delivery = self._outbox.failed(pending, text, now_ms + wait_ms, now_ms, in_doubt=in_doubt)
        is_over = delivery is not None and delivery.state != "attempting"
        metrics.ATTEMPTS.labels("gave_up" if is_over else "retry").inc()
        told = log.error if is_over else log.warning
        what = "delivery_undelivered" if is_over else "delivery_delayed"
        told("%s receiver=%s notification_id=%s tries=%d: %s", what, *self._names(pending), pending.tries, error)
        if delivery is not None and is_over:
            self._finish(delivery, takes_next_step=True)
        elif delivery is not None:
            self._writer.write(delivery)

    def _finish(self, *deliveries: Delivery, takes_next_step: bool = False) -> None:
        """Write what is finished, and tell incidents of what did not arrive."""
        if not deliveries:
            return
        events = [_undelivered(one) for one in deliveries if takes_next_step]
        self._writer.write(*deliveries, *events)
        for delivery in deliveries:
            metrics.DELIVERIES.labels(self._name, delivery.state).inc()

    def _news(self, pending: PendingNews) -> News:
        told = self._outbox.told(pending.notification.incident_id)
        return self._permitted(pending.notification, "" if told is None else told.ref, was_told=told is not None)

    def _permitted(self, notification: Notification, ref: str = "", *, was_told: bool = True) -> News:
        news = news_of(notification, was_told=was_told, ref=ref)
        return replace(news, facts=self._permission.applied(news.facts))

    def _readable(self, notifications: Iterable[Notification]) -> Iterator[News]:
        """Make the news of those whose facts can be read; the others became dead letters."""
        for notification in notifications:
            with suppress(ValueError):
                yield self._permitted(notification)

    def _is_over_rate(self, now_ms: int) -> bool:
        return len(self._sent) == self._sent.maxlen and now_ms - self._sent[0] < MINUTE_MS

    def _names(self, pending: PendingNews) -> tuple[str, str]:
        return self._name, pending.notification.notification_id

    def _empty(self) -> NewsOutbox:
        return NewsOutbox(self._name, self._receiver.doubt, hears_all=self._level is not None)


def _undelivered(delivery: Delivery) -> OncallEvent:
    payload = UndeliveredPayload(
        incident_id=delivery.incident_id,
        notification_id=delivery.notification_id,
        receiver=delivery.receiver,
        seq=delivery.seq,
    )
    return OncallEvent(
        event_id=str(uuid5(EVENTS, delivery.notification_id)),
        kind="undelivered",
        time=delivery.time,
        subject=delivery.incident_id,
        payload=encode(payload),
    )
