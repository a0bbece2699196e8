"""Codec between records and bytes: Avro behind a header that names the writer's schema.

Two headers are read always:

- Avro single-object encoding: `C3 01`, then the writer schema's CRC-64-AVRO fingerprint, little-endian (Avro 1.11,
  "Single-object encoding"); written when no registry is configured;
- Confluent: `00`, then the schema's registry id, big-endian; written when a registry is configured.

Every version ever released is kept in `avro/` as `<record>.v<N>.avsc` and decodes for ever.  Logical types are
dropped when the files are read, so instants stay integer milliseconds.

    Undecodable        the bytes are not a record of the expected type (a bad event: dead letter)
    RegistryAway       the registry does not answer (wait, then stop)
"""

import json
import re
from collections.abc import Iterator
from importlib import resources
from io import BytesIO
from typing import Any, Protocol, TypeVar

import fastavro
from fastavro.schema import fingerprint, to_parsing_canonical_form

from schemas.errors import ServerAway
from schemas.events import RECORDS, Record
from schemas.fast.decoder import Decoder, record_decoder
from schemas.fast.encoder import RecordEncoder, record_encoder
from schemas.reasons import Reason

SINGLE_OBJECT = b"\xc3\x01"
CONFLUENT = b"\x00"
R = TypeVar("R", bound=Record)


class Undecodable(ValueError):
    """Bytes that are not a record of the expected type; `reason` is for counting, `str()` says what is wrong."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class RegistryAway(ServerAway):
    """No answer from the schema registry; the bytes may be good."""


class Registry(Protocol):
    """Port to a Confluent-compatible schema registry: ids to schemas and back."""

    def schema_of(self, schema_id: int) -> str:
        """Look up the JSON of a schema.  Raises KeyError for an unknown id, RegistryAway when there is no answer."""

    def id_of(self, record: str, schema: str) -> int:
        """Return a schema's id, registering it under the record's name if it is new.  Raises RegistryAway."""


class Codec:
    """Encoder and decoder of every record.  Holds compiled schemas: one per process is enough."""

    def __init__(self, registry: Registry | None = None) -> None:
        self._registry = registry
        self._writers: dict[type[Record], RecordEncoder] = {}
        self._readers: dict[bytes, tuple[int, str, Decoder]] = {}
        self._current: dict[str, tuple[type[Record], Any]] = {}
        self._names: dict[type, str] = {cls: f"nps.{cls.__name__}" for cls in RECORDS}
        for cls in RECORDS:
            released: list[Any] = [fastavro.parse_schema(schema) for schema in versions(cls)]
            name, current = released[-1]["name"], released[-1]
            self._current[name] = cls, current
            self._readers |= {_single_object_header(schema): (10, *self._reader(name, schema)) for schema in released}
            self._writers[cls] = record_encoder(current, self._header(cls, current))

    def encode(self, record: Record, version: int | None = None) -> bytes:
        """Encode a record behind its header; `version` replaces its last field.

        Raises ValueError for a field that the record's schema does not take.
        """
        try:
            return self._writers[type(record)](record, version)
        except (TypeError, AttributeError, KeyError) as error:
            raise ValueError(f"{type(record).__name__} breaks its contract: {error!r}") from error

    def decode(self, cls: type[R], data: bytes | None) -> R:
        """Decode a record of type `cls`.  Raises Undecodable, or RegistryAway when the registry is needed and away."""
        if data is None:
            raise Undecodable(Reason.NO_VALUE, "the record has no value")
        header_bytes, name, read = self._readers.get(data[:10]) or self._readers.get(data[:5]) or self._look_up(data)
        if name != self._names[cls]:
            raise Undecodable(Reason.WRONG_TYPE, f"expected {self._names[cls]}, found {name}")
        try:
            return read(data, header_bytes)  # type: ignore[no-any-return]  # a cls, by its name
        except IndexError as error:
            raise Undecodable(Reason.UNDECODABLE, f"not a valid {name}: it ends early") from error
        except Exception as error:  # broken bytes can make the decoder raise anything
            detail = str(error) if isinstance(error, ValueError) else f"{type(error).__name__} {error}"
            raise Undecodable(Reason.UNDECODABLE, f"not a valid {name}: {detail}") from error

    def _reader(self, name: str, writer: Any) -> tuple[str, Decoder]:
        """Return the decoder of what the `writer` schema wrote, after its record's name."""
        if name not in self._current:
            return name, _never_called
        cls, current = self._current[name]
        return name, record_decoder(cls, writer, current) or _fastavro_decoder(cls, writer, current)

    def _header(self, cls: type[Record], schema: Any) -> bytes:
        if self._registry is None:
            return _single_object_header(schema)
        schema_id = self._registry.id_of(schema["name"], json.dumps(versions(cls)[-1]))
        return CONFLUENT + schema_id.to_bytes(4, "big")

    def _look_up(self, data: bytes) -> tuple[int, str, Decoder]:
        if data[:2] == SINGLE_OBJECT and len(data) >= 10:
            raise Undecodable(Reason.UNKNOWN_SCHEMA, f"no released schema has the fingerprint {data[2:10].hex()}")
        if data[:1] != CONFLUENT or len(data) < 5:
            raise Undecodable(
                Reason.UNDECODABLE, f"no Avro header in {len(data)} bytes starting {data[:4].hex() or 'empty'}"
            )
        schema_id = int.from_bytes(data[1:5], "big")
        if self._registry is None:
            raise Undecodable(Reason.UNKNOWN_SCHEMA, f"schema id {schema_id}, but no registry is configured")
        try:
            text = self._registry.schema_of(schema_id)
        except KeyError:
            raise Undecodable(Reason.UNKNOWN_SCHEMA, f"the registry has no schema {schema_id}") from None
        try:
            schema: Any = fastavro.parse_schema(_without_logical_types(json.loads(text)))
            reader = (5, *self._reader(str(schema["name"]), schema))
        except Exception as error:  # whatever else lives in a registry: JSON Schema, Protobuf, a bare type
            raise Undecodable(Reason.UNKNOWN_SCHEMA, f"schema {schema_id} is no Avro record: {error!r}") from error
        self._readers[data[:5]] = reader
        return reader


def _fastavro_decoder(cls: type[Record], writer: Any, current: Any) -> Decoder:
    """Make a decoder of fastavro's reader, which knows all of Avro's rules for schemas that differ."""

    def decode(data: bytes, at: int) -> Record:
        body = BytesIO(data)
        body.seek(at)
        fields: Any = fastavro.schemaless_reader(body, writer, current)
        if body.tell() != len(data):
            raise ValueError(f"{len(data) - body.tell()} bytes left over")
        return cls(**fields)

    return decode


def _never_called(data: bytes, at: int) -> Record:
    raise AssertionError("records of other names are refused by their name")


def versions(cls: type[Record]) -> list[dict[str, Any]]:
    """Load all released schemas of a record, oldest first, without logical types."""
    stem = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()
    return [_without_logical_types(json.loads(text)) for text in _schema_texts(stem)]


def _schema_texts(stem: str) -> Iterator[str]:
    folder = resources.files("schemas") / "avro"
    number = 1
    while (file := folder / f"{stem}.v{number}.avsc").is_file():
        yield file.read_text(encoding="utf-8")
        number += 1


def _without_logical_types(schema: Any) -> Any:
    """Drop the logical types: fastavro would build a datetime for each, which halves its speed."""
    if isinstance(schema, list):
        return [_without_logical_types(part) for part in schema]
    if isinstance(schema, dict):
        return {key: _without_logical_types(value) for key, value in schema.items() if key != "logicalType"}
    return schema


def _single_object_header(schema: Any) -> bytes:
    little_endian = fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO")
    return SINGLE_OBJECT + bytes.fromhex(little_endian)
