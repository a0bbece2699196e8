"""The port through which alerts reach people, and the two ways it can fail.

DeliveryError
├── TryLater     nobody answered, or the answer was "not now": try again
└── GiveUp       it will never work: another try sends the same to the same answer
"""

from typing import Protocol

from schemas.events import Alert


class DeliveryError(Exception):
    """An alert was not delivered, or not surely."""


class TryLater(DeliveryError):
    """Another try may work, not before `after_s` seconds where the receiver said so."""

    def __init__(self, message: str, after_s: float = 0.0) -> None:
        super().__init__(message)
        self.after_s = after_s


class GiveUp(DeliveryError):
    """No other try can work."""


class Notifier(Protocol):
    """A way to reach people.  Delivering an alert twice must page once: `alert_id` tells that it is the same."""

    def deliver(self, alert: Alert) -> None:
        """Hand the alert over, for good on return.  Raises TryLater or GiveUp."""
