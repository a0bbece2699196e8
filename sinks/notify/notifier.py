"""Port of a notifier, through which alerts reach people, and its errors.

DeliveryError
├── TryLater     no answer, or the answer "not now": try again
└── GiveUp       a refusal: another try would send the same and be answered the same
"""

from typing import Protocol

from schemas.events import Alert


class DeliveryError(Exception):
    """An alert that was not delivered, or not surely."""


class TryLater(DeliveryError):
    """No answer, or "not now": another try may work, after `after_s` seconds where the receiver asked for them."""

    def __init__(self, message: str, after_s: float = 0.0) -> None:
        super().__init__(message)
        self.after_s = after_s


class GiveUp(DeliveryError):
    """Refusal of an alert: no other try can work."""


class Notifier(Protocol):
    """Service that reaches people.  An alert delivered twice must page once: `alert_id` tells that it is the same."""

    def deliver(self, alert: Alert) -> None:
        """Hand the alert over, for good on return.  Raises TryLater or GiveUp."""
