"""Notifications that wait for one receiver, in order for each incident: pure state, without Kafka and without a clock.

    add      a notification came; what is finished already, is old or tells of nothing that was told, is not sent
    due      the next one to send, and whether it is in doubt
    settle   the receiver took it, or not; or it is tried again later

While one waits, newer news of its incident take its place: the receiver hears of the last state alone.  News that may
have arrived, but were not answered, are superseded as doubtful, so that a resolve still follows them; a receiver that
can be asked is asked first.

Everything is bounded: incidents that wait by MOST_WAITING, at which `is_full`; what is remembered by MOST_REMEMBERED.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

from schemas.events import Delivery, Notification
from sinks.notify.receiver import Doubt

DAY_MS = 86_400_000
STALE_AFTER_MS = DAY_MS
"""Age of news that nobody is paged for any more; the end of what was told is still told."""

GIVE_UP_AFTER_MS = 3_600_000
"""Time for which a receiver is tried, from the first try on that failed."""

MOST_WAITING = 5_000
MOST_REMEMBERED = 100_000

FINISHED = frozenset({"delivered", "undelivered", "superseded", "doubtful"})
TOLD = frozenset({"delivered", "doubtful"})
"""States after which the receiver may know of the incident."""

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class PendingNews:
    """Notification that waits: its offset, and its tries so far; `in_doubt` when the last one may have arrived.

    `failing_since_ms` is the first failure of its incident's news in a row; None before any.
    """

    notification: Notification
    offset: int
    tries: int = 0
    failures: int = 0
    next_ms: int = 0
    failing_since_ms: int | None = None
    in_doubt: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """Incident that the receiver knows, or may know: the name that it gave to its first message."""

    ref: str
    is_resolved: bool


class NewsOutbox:
    """Waiting notifications of one receiver, whose way to deal with `doubt` it keeps.  Times are in ms, wall clock.

    With `hears_all` it is told the end of what it was not told of, too.
    """

    def __init__(self, receiver: str, doubt: Doubt, *, hears_all: bool = False) -> None:
        self._receiver = receiver
        self._doubt = doubt
        self._hears_all = hears_all
        self._waiting: dict[str, list[PendingNews]] = {}
        self._told: dict[str, Told] = {}
        self._finished: dict[str, str] = {}
        self._attempted: dict[str, Delivery] = {}

    def restore(self, deliveries: Iterable[Delivery]) -> None:
        """Take over what became of notifications before, in order; what is finished is never undone."""
        for delivery in deliveries:
            if delivery.receiver != self._receiver:
                continue
            if delivery.state in FINISHED:
                self._attempted.pop(delivery.notification_id, None)
                self._note(delivery)
            elif delivery.notification_id not in self._finished:
                _put(self._attempted, delivery.notification_id, delivery)

    def add(self, notification: Notification, offset: int, now_ms: int) -> list[Delivery]:
        """Take a notification of this receiver; returns what is finished by that, to be written before any commit."""
        if notification.notification_id in self._finished:
            return []
        lane = self._waiting.setdefault(notification.incident_id, [])
        if any(waiting.notification.notification_id == notification.notification_id for waiting in lane):
            return []
        pending = self._pending(notification, offset)
        if any(waiting.notification.seq > notification.seq for waiting in lane):
            return [self._superseded(pending, now_ms)]
        superseded = [waiting for waiting in lane if self._may_supersede(waiting)]
        if superseded:
            newest = superseded[-1]
            pending = replace(
                pending, failures=newest.failures, next_ms=newest.next_ms, failing_since_ms=newest.failing_since_ms
            )
        lane.append(pending)
        finished = [self._superseded(waiting, now_ms) for waiting in superseded]
        return [*finished, *self._unneeded(pending, now_ms)]

    def due(self, now_ms: int) -> PendingNews | None:
        """Return the notification that waits longest of those that may be tried now; None when there is none."""
        heads = [lane[0] for lane in self._waiting.values() if lane[0].next_ms <= now_ms]
        return min(heads, key=lambda pending: pending.offset, default=None)

    def next_ms(self) -> int | None:
        """Time of the next try; None when nothing waits."""
        return min((lane[0].next_ms for lane in self._waiting.values()), default=None)

    def told(self, incident_id: str) -> Told | None:
        """Say what the receiver knows of an incident; None for nothing, as after its resolve."""
        told = self._told.get(incident_id)
        return None if told is None or told.is_resolved else told

    def attempting(self, pending: PendingNews, now_ms: int) -> Delivery:
        """Make the record of a try that is about to happen: from here on it is in doubt."""
        tried = replace(pending, tries=pending.tries + 1, in_doubt=True)
        self._replace(tried)
        return self._delivery(tried, "attempting", now_ms)

    def failed(self, pending: PendingNews, error: str, next_ms: int, now_ms: int, *, in_doubt: bool) -> Delivery | None:
        """Put a try off until `next_ms`, or give it up when an hour has passed; returns the record to be written.

        None for a try in doubt, which stands in the log as such.
        """
        since_ms = now_ms if pending.failing_since_ms is None else pending.failing_since_ms
        if now_ms - since_ms >= GIVE_UP_AFTER_MS:
            return self.finish(pending, "doubtful" if in_doubt else "undelivered", now_ms, error=error)
        tried = replace(
            pending, failures=pending.failures + 1, next_ms=next_ms, failing_since_ms=since_ms, in_doubt=in_doubt
        )
        self._replace(tried)
        return None if in_doubt else self._delivery(tried, "attempting", now_ms, error=error)

    def finish(
        self, pending: PendingNews, state: str, now_ms: int, *, ref: str = "", error: str | None = None
    ) -> Delivery:
        """Note what became of a notification; returns the record to be written before any commit."""
        lane = self._waiting.get(pending.notification.incident_id, [])
        lane[:] = [waiting for waiting in lane if waiting.offset != pending.offset]
        if not lane:
            self._waiting.pop(pending.notification.incident_id, None)
        delivery = self._delivery(pending, state, now_ms, ref=ref, error=error)
        self._attempted.pop(delivery.notification_id, None)
        self._note(delivery)
        return delivery

    def put_back(self, pending: PendingNews) -> None:
        """Let a notification be as it was before `attempting`: it was not sent after all."""
        self._replace(pending)

    def current(self, pending: PendingNews) -> PendingNews:
        """Return a notification that waits as it is by now, after `attempting` or `failed`."""
        lane = self._waiting.get(pending.notification.incident_id, [])
        return next((waiting for waiting in lane if waiting.offset == pending.offset), pending)

    def lowest_offset(self) -> int | None:
        """Lowest offset that is not finished: nothing from it on may be committed; None when nothing waits."""
        return min((pending.offset for lane in self._waiting.values() for pending in lane), default=None)

    @property
    def is_full(self) -> bool:
        """True when no more should be read until some is finished."""
        return len(self._waiting) >= MOST_WAITING

    @property
    def waiting(self) -> int:
        """Number of incidents with news that wait."""
        return len(self._waiting)

    @property
    def failing(self) -> int:
        """Number of incidents with news that were tried in vain and wait for another try."""
        return sum(lane[0].failures > 0 for lane in self._waiting.values())

    def _may_supersede(self, pending: PendingNews) -> bool:
        return not pending.in_doubt or self._doubt is Doubt.REPEAT

    def _pending(self, notification: Notification, offset: int) -> PendingNews:
        """Make what waits of a notification, with its tries before a restart."""
        attempted = self._attempted.get(notification.notification_id)
        if attempted is None:
            return PendingNews(notification, offset)
        failing_since_ms = None if attempted.error is None else attempted.time
        return PendingNews(
            notification, offset, attempted.attempts, failing_since_ms=failing_since_ms,
            in_doubt=attempted.error is None,
        )  # fmt: skip

    def _unneeded(self, pending: PendingNews, now_ms: int) -> list[Delivery]:
        """Finish news that are too old, and those that end or acknowledge what nobody was told."""
        notification = pending.notification
        lane = self._waiting[notification.incident_id]
        is_told = (
            self._hears_all
            or self.told(notification.incident_id) is not None
            or any(waiting.in_doubt for waiting in lane)
        )
        if notification.verb in ("acknowledge", "resolve") and not is_told:
            return [self._superseded(pending, now_ms, "the receiver was told nothing of the incident")]
        is_old = now_ms - notification.time > STALE_AFTER_MS and not pending.in_doubt
        if is_old and notification.verb != "resolve":
            return [self._superseded(pending, now_ms, "older than a day")]
        return []

    def _superseded(self, pending: PendingNews, now_ms: int, why: str = "newer news took its place") -> Delivery:
        return self.finish(pending, "doubtful" if pending.in_doubt else "superseded", now_ms, error=why)

    def _note(self, delivery: Delivery) -> None:
        _put(self._finished, delivery.notification_id, delivery.state)
        if delivery.state in TOLD:
            before = self.told(delivery.incident_id)
            ref = delivery.receiver_ref or (before.ref if before is not None else "")
            _put(self._told, delivery.incident_id, Told(ref, delivery.verb == "resolve"))

    def _replace(self, changed: PendingNews) -> None:
        lane = self._waiting[changed.notification.incident_id]
        lane[:] = [changed if waiting.offset == changed.offset else waiting for waiting in lane]

    def _delivery(
        self, pending: PendingNews, state: str, now_ms: int, *, ref: str = "", error: str | None = None
    ) -> Delivery:
        notification = pending.notification
        return Delivery(
            notification_id=notification.notification_id,
            receiver=self._receiver,
            incident_id=notification.incident_id,
            seq=notification.seq,
            verb=notification.verb,
            state=state,
            attempts=pending.tries,
            receiver_ref=ref or None,
            time=now_ms,
            error=error,
        )


def _put(memory: dict[str, V], key: str, value: V) -> None:
    """Remember a value as the newest; the oldest is forgotten beyond MOST_REMEMBERED."""
    memory.pop(key, None)
    memory[key] = value
    if len(memory) > MOST_REMEMBERED:
        del memory[next(iter(memory))]
