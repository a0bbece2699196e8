"""`nps produce`: sends JSON lines as records to their topics, all of them checked before the first one is sent.

The key is the customer, the Kafka timestamp the event's own time, so that a history keeps its times.
"""

import argparse
import asyncio
import io
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from rich.progress import Progress

from schemas.codec import Codec
from schemas.event_json import BadEvent, events_in
from schemas.events import Inbound, Wakeup
from schemas.topics import HISTORY_HEADER
from streams.clock import wall_ms
from streams.commands.session import codec_of, out, read_settings, require_topics
from streams.errors import ExitCode
from streams.kafka.ports import Log, Output
from streams.kafka.producer import Producer
from streams.kafka.topics import require_kept


def run(parsed: argparse.Namespace) -> int:
    """Check and send JSON lines; prints the number of events."""
    settings = read_settings()
    with _lines(parsed.file) as lines:
        events = list(events_in(lines, parsed.file, parsed.topic))
    if parsed.rebase:
        events = rebased(events, wall_ms())
    require_topics(settings, {topic for topic, _ in events})
    times = [(topic, _time(event)) for topic, event in events]
    require_kept(settings.brokers, settings.security, times, wall_ms(), settings.server_wait_s)
    log = Producer(settings.brokers, client_id="nps-produce", security=settings.security)
    with Progress(console=out, disable=not out.is_terminal) as progress:
        task = progress.add_task("producing", total=len(events))
        send(events, log, codec_of(settings), lambda: progress.advance(task), parsed.history)
        asyncio.run(log.flush())
    out.print(f"{len(events)} events produced")
    return ExitCode.OK


def rebased(events: list[tuple[str, Inbound]], end_ms: int) -> list[tuple[str, Inbound]]:
    """Shift a history so that its last event happens at `end_ms`."""
    shift_ms = end_ms - max((_time(event) for _, event in events), default=end_ms)
    return [(topic, event._replace(time=_time(event) + shift_ms)) for topic, event in events]  # type: ignore[call-arg]


def send(
    events: Iterable[tuple[str, Inbound]], log: Log, codec: Codec, sent: Callable[[], None], history: bool = False
) -> None:
    """Hand events to the log, keyed by customer and with their own times; `sent` is called after each.

    `history` marks them: surveys that they ask for are sent however long ago they were due.
    """
    headers = ((HISTORY_HEADER, b"1"),) if history else ()
    for topic, event in events:
        at_ms = max(_time(event), 1)
        output = Output(topic, codec.encode(event), event.customer_id.encode(), timestamp_ms=at_ms, headers=headers)
        log.send_all([output])
        sent()


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
