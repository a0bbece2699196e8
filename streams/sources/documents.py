"""Decoder of foreign records: the bytes of a value to the documents that places point into.

JSON, forms, CSV with a header line, Avro; packed by gzip or written as text inside JSON; in the envelopes of
CloudEvents and Debezium.  JSON's numbers keep their digits.  Whatever a stranger sends ends as documents or as
Unreadable.
"""

import base64
import csv
import io
import urllib.parse
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import fastavro
import msgspec

from schemas.foreign import record_schema
from schemas.reasons import Reason
from streams.kafka.ports import FetchedRecord
from streams.sources.conversions import JsonNumber
from streams.sources.language import LARGEST_RECORD_BYTES, MOST_EVENTS, SourceMapping
from streams.sources.shapes import Shape, decoder_of, getter

MOST_COLUMNS = 1_000
"""The most fields of a form, and the most columns of a CSV line."""

MOST_SCHEMAS = 1_000
"""The most schemas of a registry that are kept."""

CLOUDEVENTS_PREFIX = "ce_"
_LOGICAL_TYPES = ("decimal",)
_ENCODING = "content-encoding"
_CONFLUENT_BYTES = 5
_SINGLE_OBJECT_BYTES = 10
_BOM = b"\xef\xbb\xbf"


class Document(NamedTuple):
    """One document: what places point into, its envelope, and whether the root was read by the mapping's shape."""

    root: Any
    envelope: Any = None
    is_shaped: bool = False


class Unreadable(Exception):
    """A record that cannot be decoded, with the reason and the detail of its dead letter."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class DocumentDecoder:
    """Decoder of the records of one mapping.

    `shape` holds the places that are read; `texts_of` gets a registry's schema and those that it refers to.
    """

    def __init__(self, mapping: SourceMapping, shape: Shape, texts_of: Callable[[int], list[str]] | None) -> None:
        self._mapping = mapping
        self._whole = msgspec.json.Decoder(float_hook=JsonNumber)
        self._shaped = None if mapping.envelope else decoder_of(shape, JsonNumber)
        self._unwrap = None if mapping.unwrap is None else getter(mapping.unwrap.path, None)
        self._texts_of = texts_of
        self._schemas: dict[int, Any] = {}
        self._own_schema = None if mapping.schema is None else record_schema([mapping.schema], keeps=_LOGICAL_TYPES)

    def documents(self, record: FetchedRecord) -> Sequence[Document]:
        """Decode a record; empty for a tombstone of Debezium.

        Raises Unreadable, and RegistryAway when a schema is needed and the registry is away.
        """
        mapping, value = self._mapping, record.value
        if value is None:
            if mapping.envelope == "debezium":
                return ()
            raise Unreadable(Reason.NO_VALUE, "the record has no value")
        if len(value) > LARGEST_RECORD_BYTES:
            raise Unreadable(Reason.TOO_LARGE, f"{len(value)} bytes, at most {LARGEST_RECORD_BYTES}")
        if mapping.compressed or (record.headers and _is_packed(record)):
            value = _unpacked(value)
        if mapping.format == "json" and self._unwrap is None and mapping.envelope is None:
            return (self._json(value),)
        roots = self._roots(value)
        if self._unwrap is not None:
            return [self._unwrapped(root, record) for root in roots]
        return [self._enveloped(Document(root), record) for root in roots]

    def _roots(self, value: bytes) -> list[Any]:
        form = self._mapping.format
        if form == "json":
            return [self._read_whole(_text(value))]
        if form == "form":
            return [_form(_text(value))]
        return list(_rows(_text(value))) if form == "csv" else [self._avro(value)]

    def _unwrapped(self, root: Any, record: FetchedRecord) -> Document:
        unwrap = self._unwrap
        inner = unwrap(root) if unwrap is not None else None
        if type(inner) is not str:
            raise Unreadable(
                Reason.UNDECODABLE, f"no text to unwrap at {self._mapping.unwrap and self._mapping.unwrap.text}"
            )
        if self._mapping.envelope is None:
            return self._json(inner.encode())
        return self._enveloped(Document(self._read_whole(inner)), record)

    def _json(self, value: bytes) -> Document:
        """Read JSON by the shape, or whole where it does not fit."""
        text = _text(value)
        if self._shaped is not None:
            try:
                return Document(self._shaped.decode(text), None, True)
            except (msgspec.DecodeError, RecursionError):
                pass
        return Document(self._read_whole(text))

    def _read_whole(self, text: str) -> Any:
        try:
            return self._whole.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Unreadable(Reason.UNDECODABLE, f"not JSON: {_without_value(error)}") from None
        except RecursionError:
            raise Unreadable(Reason.UNDECODABLE, "not JSON: brackets too deep inside each other") from None

    def _enveloped(self, document: Document, record: FetchedRecord) -> Document:
        if self._mapping.envelope == "debezium":
            return self._debezium(document.root)
        if self._mapping.envelope == "cloudevents":
            return self._cloudevents(document.root, record)
        return document

    def _debezium(self, root: Any) -> Document:
        """Take a change event apart: the row after the change or, of a delete, before it.

        Rows of MongoDB are text that holds JSON.
        """
        payload = root.get("payload", root) if type(root) is dict else None
        if type(payload) is not dict or type(payload.get("op")) is not str:
            raise Unreadable(Reason.UNDECODABLE, "no change event of Debezium: it has no op")
        rows = {
            name: self._read_whole(payload[name])
            for name in ("before", "after")
            if type(payload.get(name)) is str and payload[name]
        }
        payload = {**payload, **rows}
        return Document(payload.get("before" if payload["op"] == "d" else "after"), payload)

    def _cloudevents(self, root: Any, record: FetchedRecord) -> Document:
        """Take a CloudEvent apart: attributes in the headers (binary), or around the data (structured)."""
        headers = {name.lower(): value or b"" for name, value in record.headers or ()}
        if "ce_specversion" in headers:
            attributes: Mapping[str, Any] = {
                name.removeprefix(CLOUDEVENTS_PREFIX): value.decode(errors="replace")
                for name, value in headers.items() if name.startswith(CLOUDEVENTS_PREFIX)
            }  # fmt: skip
            return Document(root, attributes)
        if type(root) is not dict or "specversion" not in root:
            raise Unreadable(Reason.UNDECODABLE, "no CloudEvent: neither ce_ headers nor a specversion")
        data = root.get("data")
        if type(encoded := root.get("data_base64")) is str:
            try:
                data = self._read_whole(_text(base64.b64decode(encoded, validate=True)))
            except ValueError:
                raise Unreadable(Reason.UNDECODABLE, "data_base64 is no base64") from None
        return Document(
            data,
            {name: value for name, value in root.items() if not name.startswith("data") or name == "datacontenttype"},
        )

    def _avro(self, value: bytes) -> Any:
        if self._own_schema is not None:
            return _read_own(value, self._own_schema)
        if value[:1] != b"\0" or len(value) < _CONFLUENT_BYTES:
            raise Unreadable(Reason.UNDECODABLE, 'no header of a schema registry; without one set schema = "FILE.avsc"')
        return _read_avro(value, _CONFLUENT_BYTES, self._schema(int.from_bytes(value[1:_CONFLUENT_BYTES], "big")))

    def _schema(self, schema_id: int) -> Any:
        if schema_id in self._schemas:
            return self._schemas[schema_id]
        if self._texts_of is None:
            raise Unreadable(Reason.UNKNOWN_SCHEMA, f"schema id {schema_id}, but no registry: set NPS_REGISTRY_URL")
        try:
            schema = record_schema(self._texts_of(schema_id), keeps=_LOGICAL_TYPES)
        except KeyError:
            raise Unreadable(Reason.UNKNOWN_SCHEMA, f"the registry has no schema {schema_id}") from None
        except ValueError as error:
            raise Unreadable(Reason.UNKNOWN_SCHEMA, f"schema {schema_id} is no Avro record: {error}"[:500]) from None
        if len(self._schemas) >= MOST_SCHEMAS:
            del self._schemas[next(iter(self._schemas))]
        self._schemas[schema_id] = schema
        return schema


def _read_own(value: bytes, schema: Any) -> Any:
    """Read Avro of a known schema: bare, or behind a header of a registry or of single-object encoding."""
    starts = [0]
    if value[:1] == b"\0":
        starts.append(_CONFLUENT_BYTES)
    if value[:2] == b"\xc3\x01":
        starts.append(_SINGLE_OBJECT_BYTES)
    for start in starts[:-1]:
        try:
            return _read_avro(value, start, schema)
        except Unreadable:
            continue
    return _read_avro(value, starts[-1], schema)


def _read_avro(value: bytes, start: int, schema: Any) -> Any:
    body = io.BytesIO(value)
    body.seek(start)
    try:
        found: Any = fastavro.schemaless_reader(body, schema, None)
    except Exception as error:  # broken bytes can make the decoder raise anything
        raise Unreadable(Reason.UNDECODABLE, f"not Avro of the schema: {type(error).__name__}") from None
    if body.tell() != len(value):
        raise Unreadable(Reason.UNDECODABLE, f"not Avro of the schema: {len(value) - body.tell()} bytes left over")
    return found


def _form(text: str) -> dict[str, str]:
    try:
        pairs = urllib.parse.parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MOST_COLUMNS)
    except ValueError:
        raise Unreadable(Reason.UNDECODABLE, f"not a form of at most {MOST_COLUMNS} fields in UTF-8") from None
    return dict(pairs)


def _rows(text: str) -> list[dict[str, str]]:
    """Read CSV with a header line.  Raises Unreadable, also for more lines than a record may become events."""
    rows: list[dict[str, str]] = []
    try:
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        names = next(reader, [])
        for cells in reader:
            if len(rows) >= MOST_EVENTS:
                raise Unreadable(Reason.TOO_MANY_EVENTS, f"more than {MOST_EVENTS} lines")
            if max(len(names), len(cells)) > MOST_COLUMNS:
                raise Unreadable(Reason.UNDECODABLE, f"more than {MOST_COLUMNS} columns")
            if cells:
                rows.append(dict(zip(names, cells, strict=False)))
    except csv.Error as error:
        raise Unreadable(Reason.UNDECODABLE, f"not CSV: {error}") from None
    return rows


def _text(value: bytes) -> str:
    """Decode UTF-8, without a byte order mark."""
    try:
        return str(value[3:] if value[:3] == _BOM else value, "utf-8")
    except UnicodeDecodeError as error:
        raise Unreadable(Reason.UNDECODABLE, f"not UTF-8 at byte {error.start}") from None


def _is_packed(record: FetchedRecord) -> bool:
    """True for a record whose headers say that it is packed by gzip."""
    for name, value in record.headers:
        if len(name) == len(_ENCODING) and name.lower() == _ENCODING:
            return (value or b"").strip().lower() == b"gzip"
    return False


def _unpacked(value: bytes) -> bytes:
    """Unpack gzip, no further than a record may be large."""
    unpacked, rest = b"", value
    try:
        while rest:
            unpacker = zlib.decompressobj(wbits=31)
            unpacked += unpacker.decompress(rest, LARGEST_RECORD_BYTES + 1 - len(unpacked))
            if len(unpacked) > LARGEST_RECORD_BYTES:
                raise Unreadable(Reason.TOO_LARGE, f"more than {LARGEST_RECORD_BYTES} bytes when unpacked")
            if not unpacker.eof:
                raise Unreadable(Reason.UNDECODABLE, "gzip that ends early")
            rest = unpacker.unused_data
    except zlib.error:
        raise Unreadable(Reason.UNDECODABLE, "not gzip") from None
    return unpacked


def _without_value(error: Exception) -> str:
    """The decoder's complaint about the syntax, which names positions, never values."""
    return "not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
