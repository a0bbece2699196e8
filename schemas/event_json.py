"""Validator of JSON events, which makes records of them: for the command line, the push endpoint and sources alike.

An event is an object with the fields of its topic's Avro schema; `time` may be milliseconds or ISO 8601 with a zone.
Fields that are absent take the schema's default; unknown fields, wrong types, numbers too large for Avro and text that
is not UTF-8 are refused.

    BadEvent   the object is no event of its topic; the message names the field, and of a file also file and line
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any, get_origin, get_type_hints

import msgspec

from schemas.errors import BadInput
from schemas.events import IDENTITY, Inbound
from schemas.topics import INBOUND_RECORDS, WAKEUPS

TOPICS = {name.removeprefix("nps."): record for name, record in INBOUND_RECORDS.items() if name != WAKEUPS.name}
"""Record type of each topic that may be written from outside, by the topic's short name."""

_LONG = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
_INT = Annotated[int, msgspec.Meta(ge=-(1 << 31), le=(1 << 31) - 1)]
_BOUNDED = {"time": _LONG, "amount_minor": _LONG | None, "score": _INT | None}
"""Fields with a whole number, bounded as Avro's are: those of Python have no end."""


class BadEvent(BadInput, ValueError):
    """JSON that is no event of its topic."""


def event_of(fields: Mapping[str, Any], record: type[Inbound]) -> Inbound:
    """Make an event of the fields of a JSON object.  Raises BadEvent, which names the field as `$.name`."""
    fields = dict(fields)
    for name, value in fields.items():
        _refuse_surrogates(name, value)
    if isinstance(fields.get("time"), str):
        fields["time"] = _milliseconds(fields["time"])
    try:
        event = record(*msgspec.structs.astuple(msgspec.convert(fields, _SHAPES[record])))
    except (ValueError, RecursionError) as error:  # msgspec's own errors are ValueErrors
        raise BadEvent(str(error)) from None
    if empty := next((name for name in IDENTITY if not getattr(event, name).strip()), None):
        raise BadEvent(f"expected a text that is not empty - at `$.{empty}`")
    return event


def events_in(lines: Iterable[str], name: str, topic: str | None) -> Iterator[tuple[str, Inbound]]:
    """Parse JSON lines into events, each after its topic's full name; `name` is the file's, for errors.

    Without `topic` each line must name its own in a field `topic`.  Raises BadEvent.
    """
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield _event_in(line.rstrip(), topic)
        except json.JSONDecodeError as error:
            raise BadEvent(f"{name}:{number}: not JSON: {error.msg} at column {error.colno}") from None
        except (ValueError, RecursionError) as error:
            raise BadEvent(f"{name}:{number}: {error}") from None


def _event_in(line: str, topic: str | None) -> tuple[str, Inbound]:
    fields = json.loads(line)
    if not isinstance(fields, dict):
        raise BadEvent("expected a JSON object")
    short = str(fields.pop("topic", topic or "")).removeprefix("nps.")
    if short not in TOPICS:
        raise BadEvent(f"topic {short!r} is none of {', '.join(TOPICS)}; give --topic or a field 'topic'")
    return f"nps.{short}", event_of(fields, TOPICS[short])


def _shape(record: type[Inbound]) -> type[msgspec.Struct]:
    """Make a struct that takes the record's fields strictly, absent ones where the schema has a default."""
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for name, declared in get_type_hints(record).items():
        hint = _BOUNDED.get(name, declared)
        if type(None) in getattr(hint, "__args__", ()):
            fields.append((name, hint, None))
        elif get_origin(hint) is Mapping:
            fields.append((name, dict[str, str], msgspec.field(default_factory=dict)))
        elif hint is bool:
            fields.append((name, hint, False))
        else:
            fields.append((name, hint))
    return msgspec.defstruct(record.__name__, fields, forbid_unknown_fields=True, kw_only=True)


def _refuse_surrogates(name: str, value: object) -> None:
    """Raise BadEvent for surrogates, which Avro cannot hold: bytes that were no UTF-8, or half a pair of escapes."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise BadEvent(f"text that is not UTF-8 - at `$.{name}`") from None


def _milliseconds(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadEvent(f"{text!r} is no time; write 2026-01-31T12:00:00Z - at `$.time`") from None
    if moment.tzinfo is None:
        raise BadEvent(f"{text!r} has no time zone; write 2026-01-31T12:00:00Z - at `$.time`")
    return round(moment.timestamp() * 1000)


_SHAPES = {record: _shape(record) for record in TOPICS.values()}
