"""Notifier that prints alerts to a terminal, one line for each, for trials without a receiver."""

from typing import TextIO

from schemas.display import printable
from schemas.events import Alert


class ConsoleNotifier:
    """Writer of alerts to a text stream.

    Customer and order are left out without `show_customers`, as in a log; comments come only with `show_comments`.
    """

    def __init__(self, out: TextIO, *, show_customers: bool = True, show_comments: bool = False) -> None:
        self._out = out
        self._show_customers = show_customers
        self._show_comments = show_comments

    def deliver(self, alert: Alert) -> None:
        """Write the alert's line."""
        score = "withdrawn" if alert.score is None else str(alert.score)
        about = f" customer={alert.customer_id} about={alert.correlation_id}" if self._show_customers else ""
        comment = f" comment={alert.comment!r}" if self._show_comments and alert.comment else ""
        line = (
            f"alert {alert.status} severity={alert.severity} score={score} survey={alert.survey} "
            f"segments={','.join(alert.segments)}{about} alert_id={alert.alert_id}{comment}"
        )
        # a line end or an escape sequence in a field must not write a line of its own
        self._out.write(printable(line) + "\n")
        self._out.flush()
