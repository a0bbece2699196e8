"""`nps produce`: sends JSON lines as records to their topics, under their customers.

The Kafka timestamp, by which lateness is judged, is now; of a history it is each event's own time.
"""

import argparse
import asyncio
import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.progress import Progress

from schemas.event_json import BadEvent, events_in
from schemas.events import ContactUpdate, Inbound, Wakeup
from schemas.topics import HISTORY_HEADER
from streams import program
from streams.clock import wall_ms
from streams.commands.session import codec_of, out, read_settings, require_topics
from streams.errors import ExitCode
from streams.kafka.ports import Output
from streams.kafka.producer import Producer
from streams.kafka.topics import Retention
from streams.settings import Settings


def run(parsed: argparse.Namespace) -> int:
    """Check and send JSON lines; prints the number of events.

    All lines of a file are checked before the first one is sent; those of standard input are sent as they come.
    """
    settings = read_settings()
    sender = _Sender(settings, history=parsed.history, own_times=parsed.history or bool(parsed.rebase))
    with _lines(parsed.file) as lines:
        events: Iterable[tuple[str, Inbound]] = events_in(lines, parsed.file, parsed.topic)
        if parsed.rebase:
            events = rebased(list(events), wall_ms())
        if parsed.rebase or parsed.file != "-":
            events = list(events)
            sender.check(events)
        try:
            sender.send(events)
        except BadEvent as error:
            raise BadEvent(
                f"{error}{f'; {sender.sent} events before it were produced' if sender.sent else ''}"
            ) from None
    out.print(f"{sender.sent} events produced")
    if sender.late:
        out.print(
            f"{sender.late} of them happened more than limits.late before now: workers take them for too_late; "
            "--history judges by their own times",
            soft_wrap=True,
        )
    return ExitCode.OK


def rebased(events: list[tuple[str, Inbound]], end_ms: int) -> list[tuple[str, Inbound]]:
    """Shift a history so that its last event happens at `end_ms`."""
    shift_ms = end_ms - max((_time(event) for _, event in events), default=end_ms)
    return [(topic, event._replace(time=_time(event) + shift_ms)) for topic, event in events]  # type: ignore[call-arg]


class _Sender:
    """Sender of events, keyed by customer.

    With `own_times` Kafka's timestamp is the event's own time, else now, by which lateness is judged.  `history` marks
    the records: surveys that they ask for are sent however long ago they were due.
    """

    def __init__(self, settings: Settings, *, history: bool, own_times: bool) -> None:
        self.sent = 0
        self.late = 0
        self._settings = settings
        self._own_times = own_times
        self._headers = ((HISTORY_HEADER, b"1"),) if history else ()
        self._known: set[str] = set()
        self._late_ms = program.load(settings.program_path).limits.late_ms
        self._retention: Retention | None = None

    def check(self, events: Sequence[tuple[str, Inbound]]) -> None:
        """Check that Kafka has the events' topics and would keep them.  Raises BrokerAway, BadTopics."""
        settings, topics = self._settings, {topic for topic, _ in events} - self._known
        if topics:
            require_topics(settings, topics)
            self._known |= topics
        if self._own_times:
            self._retention = self._retention or Retention(settings.brokers, settings.security, settings.server_wait_s)
            self._retention.require([(topic, _time(event)) for topic, event in events], wall_ms())

    def send(self, events: Iterable[tuple[str, Inbound]]) -> None:
        """Check and send events; on return, with an error too, all that were sent are in Kafka.  Raises Undelivered."""
        settings = self._settings
        log = Producer(settings.brokers, client_id="nps-produce", security=settings.security)
        codec = codec_of(settings)
        total = len(events) if isinstance(events, list) else None
        with Progress(console=out, disable=not out.is_terminal) as progress:
            try:
                for topic, event in progress.track(events, total, description="producing"):
                    self.check([(topic, event)])
                    now_ms = wall_ms()
                    at_ms = max(_time(event), 1) if self._own_times else now_ms
                    key = event.customer_id.encode()
                    log.send_all([Output(topic, codec.encode(event), key, timestamp_ms=at_ms, headers=self._headers)])
                    self.sent += 1
                    is_late = not isinstance(event, ContactUpdate) and at_ms - _time(event) > self._late_ms
                    self.late += is_late
            finally:
                asyncio.run(log.flush())


def _time(event: Inbound) -> int:
    return event.due_ms if isinstance(event, Wakeup) else event.time


@contextmanager
def _lines(name: str) -> Iterator[Iterator[str]]:
    """Open a file, or standard input for `-`; bytes that are no UTF-8 are kept, so that the error can name the line."""
    if name == "-":
        yield io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8-sig", errors="surrogateescape")
        return
    try:
        with open(name, encoding="utf-8-sig", errors="surrogateescape") as file:
            yield file
    except OSError as error:
        raise BadEvent(f"{name}: cannot be read ({error.strerror})") from None
