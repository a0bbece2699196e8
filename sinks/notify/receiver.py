"""Port of a receiver, through which news of incidents reach people, and its errors.

A receiver is tried again after TryLater, never after GiveUp.  InDoubt says that the news may have arrived: then the
receiver's `doubt` decides, as it does for news that were about to be sent when a process died.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, runtime_checkable

import msgspec

from schemas.events import Notification
from schemas.oncall import Facts, Member, decode
from sinks.notify.notifier import DeliveryError


class InDoubt(DeliveryError):
    """No answer after the news were sent: they may have arrived, or not."""


class Doubt(Enum):
    """Way to deal with news of which it is not known whether they arrived."""

    REPEAT = "the service knows what it has seen: send again"
    LOOK_UP = "ask the service whether it has them, by `find`"
    GIVE_UP = "never send again, but say that they are doubtful"


@dataclass(frozen=True, slots=True)
class News:
    """Notification with its facts decoded, and what the receiver was told of the incident before.

    `ref` is what the service named its first message on the incident; empty when there is none, or it names none.
    """

    notification_id: str
    incident_id: str
    seq: int
    verb: str
    time_ms: int
    facts: Facts
    was_told: bool = False
    ref: str = ""

    @property
    def opens(self) -> bool:
        """True when the receiver hears of the incident for the first time, whatever was superseded before."""
        return not self.was_told


@dataclass(frozen=True, slots=True)
class Receipt:
    """Answer of a service: one line for people, and the name of its first message on the incident, where it has one."""

    answer: str
    ref: str = ""


class IncidentReceiver(Protocol):
    """Service that reaches people."""

    @property
    def doubt(self) -> Doubt:
        """Way to deal with news that may have arrived."""

    @property
    def per_minute(self) -> int:
        """Upper bound of news that the service takes in a minute."""

    def send(self, news: News) -> Receipt:
        """Hand the news over, for good on return.  Raises TryLater, InDoubt or GiveUp."""

    def find(self, news: News) -> Receipt | None:
        """Look the news up at the service, where `doubt` is LOOK_UP; None when they are not there.

        Raises as `send` does.
        """


@runtime_checkable
class LevelReceiver(Protocol):
    """Receiver whose service forgets what it is not told again: all that is open is repeated every minute."""

    def restore(self, told: Iterable[News]) -> None:
        """Take over what was told before a restart, in order."""

    def repeat(self, now_ms: int) -> None:
        """Tell all that is open again, if that is due.  Raises as `send` does."""


@dataclass(frozen=True, slots=True)
class Permission:
    """Personal data that a receiver may have: neither, unless the program file says so."""

    customers: bool = False
    comments: bool = False

    def applied(self, facts: Facts) -> Facts:
        """Leave out of the facts what is not permitted."""
        return msgspec.structs.replace(facts, members=tuple(self._member(member) for member in facts.members))

    def _member(self, member: Member) -> Member:
        return msgspec.structs.replace(
            member,
            customer_id=member.customer_id if self.customers else None,
            comment=member.comment if self.comments else None,
        )


def news_of(notification: Notification, *, was_told: bool = False, ref: str = "") -> News:
    """Make the news of a notification.  Raises ValueError for facts that are none."""
    return News(
        notification_id=notification.notification_id,
        incident_id=notification.incident_id,
        seq=notification.seq,
        verb=notification.verb,
        time_ms=notification.time,
        facts=decode(Facts, notification.facts),
        was_told=was_told,
        ref=ref,
    )
