"""`nps produce`: JSON lines become records of a canonical topic, validated before the first one is sent.

Each line is one event, fields as in the topic's Avro schema; `time` may be milliseconds or ISO 8601.  The key is the
customer, the Kafka timestamp the event's own time, so that a history keeps its times.

    BadLine   a line is no event of the topic; the message names file, line and field
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any, get_origin, get_type_hints

import msgspec

from schemas.codec import Codec
from schemas.events import Inbound, Wakeup
from schemas.topics import HISTORY_HEADER, INBOUND_RECORDS, WAKEUPS
from streams.engine.log import Log, Output

TOPICS = {name.removeprefix("nps."): record for name, record in INBOUND_RECORDS.items() if name != WAKEUPS.name}
"""Short names of the topics that may be written from outside."""

_LONG = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
_INT = Annotated[int, msgspec.Meta(ge=-(1 << 31), le=(1 << 31) - 1)]
_FITTING = {"time": _LONG, "amount_minor": _LONG | None, "score": _INT | None}
"""Whole numbers of Python have no end; those of Avro do."""


class BadLine(ValueError):
    """A line is no event of its topic."""


def parse(lines: Iterable[str], name: str, topic: str | None) -> Iterator[tuple[str, Inbound]]:
    """The events in these lines with their full topic names.

    Without `topic` each line must name its own in a field `topic`.  Raises BadLine.
    """
    shapes = {short: _shape(record) for short, record in TOPICS.items()}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            fields = json.loads(line.rstrip())
            if not isinstance(fields, dict):
                raise BadLine("expected a JSON object")
            short = str(fields.pop("topic", topic or "")).removeprefix("nps.")
            if short not in shapes:
                raise BadLine(f"topic {short!r} is none of {', '.join(shapes)}; give --topic or a field 'topic'")
            yield f"nps.{short}", _event(fields, TOPICS[short], shapes[short])
        except json.JSONDecodeError as error:
            raise BadLine(f"{name}:{number}: not JSON: {error.msg} at column {error.colno}") from None
        except (ValueError, RecursionError, msgspec.ValidationError) as error:
            raise BadLine(f"{name}:{number}: {error}") from None


def rebased(events: list[tuple[str, Inbound]], end_ms: int) -> list[tuple[str, Inbound]]:
    """The same history, shifted so that its last event happens at `end_ms`."""
    shift = end_ms - max((_time(event) for _, event in events), default=end_ms)
    return [(topic, event._replace(time=_time(event) + shift)) for topic, event in events]  # type: ignore[call-arg]


def send(
    events: Iterable[tuple[str, Inbound]], log: Log, codec: Codec, sent: Callable[[], None], history: bool = False
) -> None:
    """Hand all events to the log, each under its customer and with its own time; `sent` is called after each.

    As `history` they say so: surveys that they ask for are sent however long ago they were due.
    """
    headers = ((HISTORY_HEADER, b"1"),) if history else ()
    for topic, event in events:
        at_ms = max(_time(event), 1)
        out = Output(topic, codec.encode(event), event.customer_id.encode(), timestamp_ms=at_ms, headers=headers)
        log.send_all([out])
        sent()


def _time(event: Inbound) -> int:
    return event.due_ms if isinstance(event, Wakeup) else event.time


def _shape(record: type[Inbound]) -> type[msgspec.Struct]:
    """A struct that takes the record's fields strictly, absent ones where the schema has a default."""
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for name, declared in get_type_hints(record).items():
        hint = _FITTING.get(name, declared)
        if type(None) in getattr(hint, "__args__", ()):
            fields.append((name, hint, None))
        elif get_origin(hint) is Mapping:
            fields.append((name, dict[str, str], msgspec.field(default_factory=dict)))
        elif hint is bool:
            fields.append((name, hint, False))
        else:
            fields.append((name, hint))
    return msgspec.defstruct(record.__name__, fields, forbid_unknown_fields=True, kw_only=True)


def _event(fields: dict[str, Any], record: type[Inbound], shape: type[msgspec.Struct]) -> Inbound:
    for name, value in fields.items():
        _refuse_half_characters(name, value)
    if isinstance(fields.get("time"), str):
        fields["time"] = _milliseconds(fields["time"])
    return record(*msgspec.structs.astuple(msgspec.convert(fields, shape)))


def _refuse_half_characters(name: str, value: object) -> None:
    """What was no UTF-8 in the file, or half of a pair in JSON's escapes, cannot be written as Avro."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise BadLine(f"text that is not UTF-8 - at `$.{name}`") from None


def _milliseconds(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadLine(f"{text!r} is no time; write 2026-01-31T12:00:00Z - at `$.time`") from None
    if moment.tzinfo is None:
        raise BadLine(f"{text!r} has no time zone; write 2026-01-31T12:00:00Z - at `$.time`")
    return round(moment.timestamp() * 1000)
