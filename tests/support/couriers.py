"""Couriers in memory for tests: a log that is a list, a clock turned by hand, and crashes at every point.

notified    the topic of notifications: what a courier reads again after a crash
Machine     one receiver with its courier; `run` works until nothing is due, `crash_at` ends it at a point
"""

from collections.abc import Sequence
from typing import Any

from schemas.events import Delivery, Notification, OncallEvent
from sinks.batch import Backoff
from sinks.notify.courier import Courier
from sinks.notify.receiver import Doubt, IncidentReceiver, News, Permission, Receipt
from tests.support.oncall import AT_MS

POINTS = ("attempting", "called", "outcome")
"""Points of a try at which a process may die: attempting written; called, with the answer unread; outcome written."""


class Crashed(BaseException):
    """End of the process, which nothing in it can catch."""


class Machine:
    """One receiver, its courier, and all that outlives a crash: the topic, the log, the committed offset."""

    def __init__(self, receiver: IncidentReceiver, name: str = "pager", permission: Permission | None = None) -> None:
        self.receiver = receiver
        self.name = name
        self.now_ms = AT_MS
        self.notified: list[Notification] = []
        self.log: list[Delivery | OncallEvent] = []
        self.committed = 0
        self._permission = permission
        self._read = 0
        self._crash: tuple[str, int] | None = None
        self.start()

    @property
    def doubt(self) -> Doubt:
        """That of the receiver."""
        return self.receiver.doubt

    @property
    def per_minute(self) -> int:
        """That of the receiver."""
        return self.receiver.per_minute

    def start(self) -> None:
        """Start a process anew: it knows what is in the log, and reads on from the committed offset."""
        self._crash = None
        told = self.notified[: self.committed]
        receiver: Any = self.receiver
        watched = self if not hasattr(receiver, "repeat") else _Level(self, receiver)
        self.courier = Courier(
            self.name, watched, self, self._permission, backoff=Backoff(1_000, 60_000), now_ms=lambda: self.now_ms
        )
        self.courier.restore(self.deliveries(), told)
        self._read = self.committed

    def crash_at(self, point: str, nth: int = 1) -> None:
        """End the process the nth time that it is at this point."""
        self._crash = point, nth

    def run(self, notifications: Sequence[Notification] = ()) -> bool:
        """Read what is new, and try all that is due now; False when the process died."""
        self.notified += notifications
        try:
            for offset in range(self._read, len(self.notified)):
                self.courier.take(self.notified[offset], offset)
                self._read = offset + 1
            while self.courier.deliver_next():
                self._commit()
        except Crashed:
            return False
        self._commit()
        return True

    def wait(self, limit_ms: int = 7_200_000) -> None:
        """Let time pass until nothing waits, two hours at most."""
        end_ms = self.now_ms + limit_ms
        while (wait_ms := self.courier.wait_ms()) is not None and self.now_ms < end_ms:
            self.now_ms += max(wait_ms, 1)
            if not self.run():
                return

    def deliveries(self) -> list[Delivery]:
        """What was written to nps.deliveries."""
        return [one for one in self.log if isinstance(one, Delivery)]

    def events(self) -> list[OncallEvent]:
        """What was written to nps.oncall."""
        return [one for one in self.log if isinstance(one, OncallEvent)]

    def states(self) -> dict[str, str]:
        """What became of each notification, by incident and seq, as `i1/2`."""
        return {f"{one.incident_id}/{one.seq}": one.state for one in self.deliveries()}

    def write(self, *records: Delivery | OncallEvent) -> None:
        """Keep records, as Kafka does."""
        self.log += records
        (first, *_) = records
        if isinstance(first, Delivery):
            self._reach("attempting" if first.state == "attempting" and first.error is None else "outcome")

    def send(self, news: News) -> Receipt:
        """Call the receiver."""
        receipt = self.receiver.send(news)
        self._reach("called")
        return receipt

    def find(self, news: News) -> Receipt | None:
        """Ask the receiver."""
        return self.receiver.find(news)

    def _commit(self) -> None:
        lowest = self.courier.lowest_offset()
        self.committed = self._read if lowest is None else lowest

    def _reach(self, point: str) -> None:
        if self._crash is None or self._crash[0] != point:
            return
        self._crash = point, self._crash[1] - 1
        if self._crash[1] == 0:
            raise Crashed(point)


class _Level:
    """Machine whose receiver is one of levels."""

    def __init__(self, machine: Machine, receiver: Any) -> None:
        self.doubt, self.per_minute = machine.doubt, machine.per_minute
        self.send, self.find = machine.send, machine.find
        self.restore, self.repeat = receiver.restore, receiver.repeat
