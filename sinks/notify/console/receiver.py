"""Receiver that prints news to a terminal, one line for each, for trials without a service."""

import sys
from typing import TextIO

from sinks.notify.configuration import ReceiverConfig
from sinks.notify.receiver import Doubt, News, Receipt
from sinks.notify.text import headline, member_line, one_line


class ConsoleReceiver:
    """Writer of news to standard output, or another text stream."""

    doubt = Doubt.REPEAT
    per_minute = 60_000

    def __init__(self, _: ReceiverConfig, out: TextIO | None = None) -> None:
        self._out = out

    def send(self, news: News) -> Receipt:
        """Write the line of news."""
        facts, out = news.facts, self._out or sys.stdout
        members = "; ".join(
            f"{member_line(member)}{f': {one_line(member.comment)}' if member.comment else ''}"
            for member in facts.members
        )
        line = (
            f"incident {news.verb} state={facts.state} severity={facts.severity} kind={facts.kind} "
            f"count={facts.count} route={facts.route} incident_id={news.incident_id}: {headline(facts)}"
        )
        # a line end or an escape sequence in a field must not write a line of its own
        out.write(one_line(f"{line} [{members}]" if members else line) + "\n")
        out.flush()
        return Receipt("printed")

    def find(self, news: News) -> Receipt | None:
        """Find nothing: a line printed twice does no harm."""
        return None
