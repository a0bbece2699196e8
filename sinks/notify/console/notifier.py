"""Notifier that prints alerts to a terminal, one line for each, for trials without a receiver."""

from typing import TextIO

from schemas.events import Alert


class ConsoleNotifier:
    """Writer of alerts to a text stream; of comments, which are personal data, only with `show_comments`."""

    def __init__(self, out: TextIO, *, show_comments: bool = False) -> None:
        self._out = out
        self._show_comments = show_comments

    def deliver(self, alert: Alert) -> None:
        """Write the alert's line."""
        score = "withdrawn" if alert.score is None else str(alert.score)
        comment = f" comment={alert.comment!r}" if self._show_comments and alert.comment else ""
        line = (
            f"alert {alert.status} severity={alert.severity} score={score} survey={alert.survey} "
            f"segments={','.join(alert.segments)} customer={alert.customer_id} about={alert.correlation_id} "
            f"alert_id={alert.alert_id}{comment}"
        )
        # a line end or an escape sequence in a field must not write a line of its own
        self._out.write("".join(letter if letter.isprintable() else "?" for letter in line) + "\n")
        self._out.flush()
