"""Reader of mapping files: TOML text to a checked `SourceMapping`, or one error with file, line and field.

BadMapping   the file is wrong; the message is `shopify.toml:14: purchases.amount_minor: the fault and its remedy`
"""

import hashlib
import re
import tomllib
from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from schemas.display import nearest
from schemas.errors import BadInput
from schemas.event_json import TOPICS
from schemas.foreign import record_schema
from schemas.topics import BY_NAME
from streams.sources import language
from streams.sources.fields import read_events, read_links
from streams.sources.language import SourceMapping, WebhookSettings
from streams.sources.pieces import MappingFault, one_of, place_of, require_keys, text_at, word_list
from streams.sources.positions import line_of, positions

LARGEST_FILE_BYTES = 1 << 20

KEYS = (
    "name", "topic", "format", "envelope", "unwrap", "compressed", "otherwise", "schema", "personal", "webhook",
    "events", "links",
)  # fmt: skip
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}", re.ASCII)
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}", re.ASCII)
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,127}", re.ASCII)
_AT_LINE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


class BadMapping(BadInput, ValueError):
    """A mapping file that cannot be used."""


def load(path: Path, types: Collection[str] = ()) -> SourceMapping:
    """Read a mapping file, and the Avro schema that it may name beside it.

    `types` are the program's event types, empty for any.  Raises BadMapping.
    """
    data = _bytes_of(path, "")
    mapping = read(data, path.name, types)
    if mapping.schema is None:
        return mapping
    line = line_of(positions(data.decode("utf-8-sig")), ("schema",))
    beside = _bytes_of(path.parent / mapping.schema, f"{path.name}:{line}: schema: ")
    try:
        text = beside.decode()
        record_schema([text])
    except ValueError as error:
        why = "not UTF-8" if isinstance(error, UnicodeDecodeError) else error
        raise BadMapping(f"{path.name}:{line}: schema: {mapping.schema} is no Avro record: {why}") from None
    return read(data, path.name, types, schema=text)


def read(data: bytes, file: str, types: Collection[str] = (), schema: str | None = None) -> SourceMapping:
    """Check the bytes of a mapping file; `file` is its name for errors.

    `schema` replaces the name of a schema's file by its text.  Raises BadMapping.
    """
    try:
        text = data.decode("utf-8-sig")
        raw = tomllib.loads(text, parse_float=Decimal)
    except UnicodeDecodeError as error:
        raise BadMapping(f"{file}:{data[: error.start].count(10) + 1}: not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise BadMapping(_toml_fault(error, text, file)) from None
    except RecursionError:
        raise BadMapping(f"{file}:1: arrays or tables too deep inside each other") from None
    lines = positions(text)
    try:
        return _checked(raw, file, hashlib.sha256(data).hexdigest()[:12], types, lines, schema)
    except MappingFault as fault:
        raise BadMapping(f"{file}:{line_of(lines, fault.path)}: {_field(raw, fault.path)}{fault}") from None


def _checked(
    raw: Mapping[str, Any], file: str, digest: str, types: Collection[str], lines: Mapping[Any, int], schema: str | None
) -> SourceMapping:
    require_keys(raw, (), KEYS, ("name", "topic", "events"))
    name, topic = text_at(raw, (), "name"), text_at(raw, (), "topic")
    if not _NAME.fullmatch(name):
        raise MappingFault("must be a-z, 0-9 and -, 64 characters at most: it names the consumer group", ("name",))
    if not _TOPIC.fullmatch(topic):
        raise MappingFault("must be the name of a Kafka topic", ("topic",))
    if topic in BY_NAME:
        raise MappingFault(f"{topic} is the pipeline's own: a source reads a foreign topic", ("topic",))
    form = one_of(raw, (), "format", language.FORMATS) or "json"
    schema_file = text_at(raw, (), "schema") if "schema" in raw else None
    if schema_file is not None and form != "avro":
        raise MappingFault('goes with format = "avro" only', ("schema",))
    unwrap = place_of(raw["unwrap"], ("unwrap",)) if "unwrap" in raw else None
    if unwrap is not None and unwrap.kind != language.ROOT:
        raise MappingFault("must be a pointer into the record, as /Message is one", ("unwrap",))
    envelope = one_of(raw, (), "envelope", language.ENVELOPES)
    if envelope and form not in ("json", "avro"):
        raise MappingFault(f"does not go with format = {form!r}", ("envelope",))
    personal = frozenset(word_list(raw, (), "personal")) if "personal" in raw else frozenset()
    events = read_events(raw["events"], lines, types, personal, has_envelope=envelope is not None)
    links = read_links(raw["links"], lines, has_envelope=envelope is not None) if "links" in raw else ()
    _require_use(personal, events)
    return SourceMapping(
        file=file, hash=digest, name=name, topic=topic, events=events, format=form, envelope=envelope, unwrap=unwrap,
        compressed=one_of(raw, (), "compressed", language.COMPRESSIONS),
        otherwise=one_of(raw, (), "otherwise", language.OTHERWISE) or "bury",
        schema=schema_file if schema is None else schema,
        personal=personal, webhook=_webhook(raw["webhook"]) if "webhook" in raw else None,
        links=links,
    )  # fmt: skip


def _webhook(raw: object) -> WebhookSettings:
    path = ("webhook",)
    if not isinstance(raw, dict):
        raise MappingFault("must be a table", path)
    require_keys(raw, path, ("verify", "secret"), ("verify", "secret"))
    verify = one_of(raw, path, "verify", language.SIGNATURES)
    secret = text_at(raw, path, "secret")
    if not _VARIABLE.fullmatch(secret) or secret.startswith("NPS_"):
        raise MappingFault(
            "must name the environment variable that holds the secret, as SHOPIFY_SECRET; not the secret, not NPS_...",
            (*path, "secret"),
        )
    return WebhookSettings(str(verify), secret)


def _require_use(personal: Iterable[str], events: Iterable[language.EventMapping]) -> None:
    """Refuse a name in `personal` that no event has as an attribute: one of the two is misspelt."""
    used = {name for event in events for name, _ in event.maps.get("attributes", ())}
    for number, name in enumerate(personal):
        if name not in used:
            raise MappingFault(f"no event has an attribute {name!r}{nearest(name, used)}", ("personal", number))


def _field(raw: Mapping[str, Any], path: tuple[str | int, ...]) -> str:
    """Name of the field that a path leads to, as `purchases.attributes.country: `; empty for the file itself."""
    words = [str(part) for part in path]
    if path[:1] == ("events",) and len(path) > 1:
        number, field = path[1], words[2:]
        event = raw["events"][number]
        to = event.get("to") if isinstance(event, dict) else None
        words = [to if isinstance(to, str) and to in TOPICS else f"events[{number}]", *field]
    return f"{'.'.join(words)}: " if words else ""


def _toml_fault(error: tomllib.TOMLDecodeError, text: str, file: str) -> str:
    found = _AT_LINE.search(str(error))
    line = int(found[1]) if found and found[1] else max(len(text.splitlines()), 1)
    return f"{file}:{line}: not TOML: {_AT_LINE.sub('', str(error))}"


def _bytes_of(path: Path, where: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise BadMapping(f"{where}{path}: cannot be read ({why})") from None
    if len(data) > LARGEST_FILE_BYTES:
        raise BadMapping(f"{where}{path}: larger than {LARGEST_FILE_BYTES} bytes")
    return data
