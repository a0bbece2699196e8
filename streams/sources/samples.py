"""Samples of foreign records in files, for `nps sources test`: the record, and what it is expected to become.

Beside `order.json` may lie `order.meta.json` with headers, key and `timestamp_ms`, and `order.expected.json`: a list of
`{"topic": ..., "record": {...}}`, or `{"dead": reason, "field": name}`.  A record without a value has no file of its
own, only a `NAME.meta.json` with `"value": null`.  Of a `.jsonl` file every line is a record.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.errors import BadInput
from schemas.events import Inbound
from streams.kafka.ports import KafkaRecord
from streams.sources.fields import is_optional, kinds_of
from streams.sources.mapper import Mapped

META, EXPECTED = ".meta.json", ".expected.json"
LINES = (".jsonl", ".ndjson")
DEFAULT_TIMESTAMP_MS = 1_767_225_600_000
"""Kafka timestamp of a sample whose meta file gives none: 2026-01-01."""


class BadSample(BadInput, ValueError):
    """A file of a sample that cannot be read."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A record with the name of its file, and with the line where every line is one; `expected` is None for none."""

    name: str
    record: KafkaRecord
    expected: Any = None


def read_samples(path: Path) -> Iterator[Sample]:
    """Read the records of a file, with what lies beside it.  Raises BadSample."""
    meta = _meta(path)
    if path.name.endswith(META):
        yield Sample(path.name.removesuffix(META), _record(meta, None), _json(_beside(path, META, EXPECTED)))
    elif path.suffix in LINES:
        for number, line in enumerate(_read(path).split(b"\n"), 1):
            if line.strip():
                yield Sample(f"{path.name}:{number}", _record(meta, line.rstrip(b"\r")))
    else:
        yield Sample(path.name, _record(meta, _read(path)), _json(_beside(path, "", EXPECTED)))


def told(mapped: Mapped) -> Any:
    """A result in the form of an expected file, with the fields that have something to say."""
    if mapped.letter is not None and not mapped.events:
        return {"dead": str(mapped.letter.reason), "field": mapped.letter.field}
    events = [{"topic": topic, "record": _said(event)} for topic, event in mapped.events]
    if mapped.letter is None:
        return events
    return {"dead": str(mapped.letter.reason), "field": mapped.letter.field, "events": events}


def differences(mapped: Mapped, expected: Any) -> list[str]:
    """Say how a result differs from what was expected; empty when it does not.  Raises BadSample for no expectation."""
    found = told(mapped)
    if isinstance(expected, dict) and "dead" in expected:
        wanted = {key: expected[key] for key in ("dead", "field", "events") if key in expected}
        found = {key: found.get(key) for key in wanted} if isinstance(found, dict) else found
        return [] if found == wanted else [f"expected {_text(wanted)}, found {_text(found)}"]
    if not isinstance(expected, list) or not all(isinstance(one, dict) and "record" in one for one in expected):
        raise BadSample('an expected file holds a list of {"topic": ..., "record": {...}}, or {"dead": reason}')
    if not isinstance(found, list):
        return [f"expected {len(expected)} events, found {_text(found)}"]
    if len(found) != len(expected):
        return [f"expected {len(expected)} events, found {len(found)}"]
    pairs = zip(mapped.events, expected, strict=True)
    return [line for number, (made, one) in enumerate(pairs) for line in _event_differences(number, *made, one)]


def _event_differences(number: int, topic: str, event: Inbound, expected: Mapping[str, Any]) -> Iterator[str]:
    where = f"event {number + 1}"
    if expected.get("topic", topic) != topic:
        yield f"{where}: expected topic {expected['topic']}, found {topic}"
        return
    wanted, found = dict(expected["record"]), _plain(event)
    for name in [*found, *(wanted.keys() - found.keys())]:
        one, other = wanted.get(name, _blank(type(event), name)), found.get(name)
        if one != other:
            yield f"{where}: {name}: expected {_text(one)}, found {_text(other)}"


def _said(event: Inbound) -> dict[str, Any]:
    """Fields of an event, without those that say nothing."""
    return {
        name: value for name, value in _plain(event).items()
        if value is not None and not (value is False and not is_optional(type(event), name))
    }  # fmt: skip


def _plain(event: Inbound) -> dict[str, Any]:
    return {name: dict(value) if isinstance(value, Mapping) else value for name, value in event._asdict().items()}


def _blank(record: type[Inbound], name: str) -> Any:
    """The value of a field that an expected file leaves out."""
    kind = kinds_of(record).get(name)
    return {} if kind == "map" else False if kind == "bool" and not is_optional(record, name) else None


def _meta(path: Path) -> dict[str, Any]:
    meta = _json(path if path.name.endswith(META) else _beside(path, "", META))
    if meta is not None and not isinstance(meta, dict):
        raise BadSample(f"{path}: its {META} must hold an object")
    return meta or {}


def _record(meta: Mapping[str, Any], value: bytes | None) -> KafkaRecord:
    key, timestamp_ms, headers = (
        meta.get("key"),
        meta.get("timestamp_ms", DEFAULT_TIMESTAMP_MS),
        meta.get("headers", {}),
    )
    if not isinstance(headers, dict) or not isinstance(timestamp_ms, int) or not isinstance(key, str | None):
        raise BadSample(
            'a meta file may hold "key": text, "timestamp_ms": a whole number, "headers": an object of texts'
        )
    pairs = tuple((name, str(text).encode()) for name, text in headers.items())
    return KafkaRecord(0, timestamp_ms, None if key is None else key.encode(), value, pairs)


def _beside(path: Path, suffix: str, wanted: str) -> Path | None:
    """The file beside a sample: of its whole name, or of its name without the last ending."""
    name = path.name.removesuffix(suffix) if suffix else path.name
    found = [path.with_name(stem + wanted) for stem in (name, name.rpartition(".")[0] or name)]
    return next((file for file in found if file.is_file()), None)


def _json(path: Path | None) -> Any:
    if path is None:
        return None
    try:
        return json.loads(_read(path))
    except (ValueError, RecursionError):
        raise BadSample(f"{path}: not JSON") from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise BadSample(f"{path}: cannot be read ({why})") from None


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
