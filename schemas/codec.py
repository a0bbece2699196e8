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
import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from importlib import resources
from io import BytesIO
from itertools import islice
from typing import Any, Protocol, TypeVar

import fastavro
from fastavro.schema import fingerprint, to_parsing_canonical_form

from schemas.errors import ServerAway
from schemas.events import RECORDS, Record
from schemas.fast.decoder import Decoder, record_decoder
from schemas.fast.encoder import RecordEncoder, record_encoder
from schemas.foreign import record_schema, without_logical_types
from schemas.reasons import Reason

SINGLE_OBJECT = b"\xc3\x01"
CONFLUENT = b"\x00"
HIGHEST_ID = (1 << 31) - 1
"""Upper bound of a registry's ids, which are Java's integers; a larger one is not asked for."""

MOST_FOREIGN = 1_000
"""Upper bound of the registered schemas that are remembered, and of the ids without one."""

UNKNOWN_S = 30.0
"""Time for which an id without a usable schema is not asked for again."""

R = TypeVar("R", bound=Record)
T = TypeVar("T")

log = logging.getLogger("nps.registry")


class Undecodable(ValueError):
    """Bytes that are not a record of the expected type; `reason` is for counting, `str()` says what is wrong."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class RegistryAway(ServerAway):
    """No answer from the schema registry; the bytes may be good."""


class Registry(Protocol):
    """Port to a Confluent-compatible schema registry: ids to schemas and back."""

    def texts_of(self, schema_id: int) -> Sequence[str]:
        """Look up the JSON of a schema, after that of every schema it refers to.

        Raises KeyError for an unknown id or reference, RegistryAway when there is no answer.
        """

    def id_of(self, record: str, schema: str) -> int:
        """Return a schema's id, registering it under the record's name if it is new.

        Raises BadInput when the registry does not take it, RegistryAway when there is no answer.
        """


class Codec:
    """Encoder and decoder of every record.  Holds compiled schemas: one per process is enough.

    With a registry, a codec that `encodes` registers our schemas when it is made; one that only decodes need not reach
    it.  Raises BadInput when the registry does not take them, RegistryAway after `patience_s` without an answer.
    """

    def __init__(
        self,
        registry: Registry | None = None,
        *,
        encodes: bool = True,
        patience_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._patience_s = patience_s
        self._clock = clock
        self._writers: dict[type[Record], RecordEncoder] = {}
        self._readers: dict[bytes, _Reader] = {}
        self._unknown: dict[bytes, tuple[float, str]] = {}
        self._current: dict[str, tuple[type[Record], Any]] = {}
        self._names: dict[type, str] = {cls: f"nps.{cls.__name__}" for cls in RECORDS}
        for cls in RECORDS:
            released: list[Any] = [fastavro.parse_schema(schema) for schema in versions(cls)]
            name, current = released[-1]["name"], released[-1]
            self._current[name] = cls, current
            self._readers |= {_single_object_header(schema): (10, *self._reader(name, schema)) for schema in released}
            if encodes:
                header = self._header(cls, current)
                self._writers[cls] = record_encoder(current, header)
                self._readers[header] = len(header), *self._reader(name, current)
        self._ours = len(self._readers)

    def encode(self, record: Record, version: int | None = None) -> bytes:
        """Encode a record behind its header; `version` replaces its own.

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
            hint = _json_hint(data[header_bytes:])
            raise Undecodable(Reason.UNDECODABLE, f"not a valid {name}: {detail}{hint}") from error

    def _reader(self, name: str, writer: Any) -> tuple[str, Decoder]:
        """Return the decoder of what the `writer` schema wrote, after its record's name."""
        if name not in self._current:
            return name, _never_called
        cls, current = self._current[name]
        return name, record_decoder(cls, writer, current) or _fastavro_decoder(cls, writer, current)

    def _header(self, cls: type[Record], schema: Any) -> bytes:
        registry, text = self._registry, json.dumps(versions(cls)[-1])
        if registry is None:
            return _single_object_header(schema)
        schema_id = _once_back(lambda: registry.id_of(schema["name"], text), self._patience_s)
        return CONFLUENT + schema_id.to_bytes(4, "big")

    def unread(self, values: Iterable[bytes | None]) -> list[bytes]:
        """Return the headers of these values whose schemas the registry has to be asked for; see `learn`."""
        if self._registry is None:
            return []
        headers = {value[:5] for value in values if value and value[:1] == CONFLUENT} - self._readers.keys()
        return [header for header in headers if len(header) == 5 and self._unknown_detail(header) is None]

    def learn(self, header: bytes) -> None:
        """Ask the registry for the schema of a header, so that `decode` need not; blocks, so not for an event loop.

        Raises RegistryAway after `patience_s` without an answer, where `decode` does at once.
        """
        with suppress(Undecodable):
            _once_back(lambda: self._look_up(header), self._patience_s)

    def _look_up(self, data: bytes) -> "_Reader":
        """Find the reader of a schema that was never released."""
        try:
            return self._find(data)
        except Undecodable as error:
            raise Undecodable(error.reason, f"{error}{_json_hint(data) or _json_hint(data[5:])}") from error

    def _find(self, data: bytes) -> "_Reader":
        if data[:2] == SINGLE_OBJECT and len(data) >= 10:
            raise Undecodable(Reason.UNKNOWN_SCHEMA, f"no released schema has the fingerprint {data[2:10].hex()}")
        if data[:1] != CONFLUENT or len(data) < 5:
            raise Undecodable(
                Reason.UNDECODABLE, f"no Avro header in {len(data)} bytes starting {data[:4].hex() or 'empty'}"
            )
        header = data[:5]
        if (detail := self._unknown_detail(header)) is not None:
            raise Undecodable(Reason.UNKNOWN_SCHEMA, detail)
        try:
            reader = self._ask(int.from_bytes(header[1:], "big"))
        except Undecodable as error:
            _make_room(self._unknown, 0)
            self._unknown[header] = self._clock() + UNKNOWN_S, str(error)
            raise
        _make_room(self._readers, self._ours)
        self._readers[header] = reader
        return reader

    def _unknown_detail(self, header: bytes) -> str | None:
        """Say what is known to be wrong with a header; None when it should be asked for."""
        until_s, detail = self._unknown.get(header, (0.0, ""))
        return detail if self._clock() < until_s else None

    def _ask(self, schema_id: int) -> "_Reader":
        """Ask the registry for a schema, and make its reader."""
        if self._registry is None:
            raise Undecodable(Reason.UNKNOWN_SCHEMA, f"schema id {schema_id}, but no registry is configured")
        if schema_id > HIGHEST_ID:
            raise Undecodable(Reason.UNKNOWN_SCHEMA, f"no registry has a schema {schema_id}")
        try:
            texts = self._registry.texts_of(schema_id)
        except KeyError:
            raise Undecodable(Reason.UNKNOWN_SCHEMA, f"the registry has no schema {schema_id}") from None
        try:
            schema = record_schema(texts)
            return 5, *self._reader(str(schema["name"]), schema)
        except Exception as error:  # whatever else lives in a registry: JSON Schema, Protobuf, a bare type
            detail = " ".join(f"schema {schema_id} is no Avro record: {error}".split())[:_LONGEST_DETAIL]
            raise Undecodable(Reason.UNKNOWN_SCHEMA, detail) from error


_Reader = tuple[int, str, Decoder]
"""Length of the header, name of the record, decoder of what comes after the header."""

_LONGEST_DETAIL = 500
_PAUSE_S = 0.5

_LOOKED_AT_BYTES = 64
_JSON = re.compile(r'\{\s*(["}]|$)|\[\s*["{\[\]\d-]|"\\?[\w{\[]')
"""The beginning of an object, an array or a text; numbers and words alone may be anything."""


def _json_hint(data: bytes) -> str:
    """Say what to do with bytes that look like JSON, however they encode it; empty for others."""
    text = data[:_LOOKED_AT_BYTES].decode(json.detect_encoding(data[:4]), errors="replace").lstrip("\ufeff \t\r\n")
    if not _JSON.match(text):
        return ""
    return "; this looks like JSON: write Avro of schemas/avro, or send JSON lines through `nps produce`"


def _once_back(ask: Callable[[], T], wait_s: float) -> T:
    """Return what `ask` returns once the registry is back, with one line in the log; RegistryAway after `wait_s`."""
    started_s = time.monotonic()
    is_away = False
    while True:
        try:
            answer = ask()
        except RegistryAway as error:
            if time.monotonic() - started_s > wait_s:
                raise
            if not is_away:
                log.warning("registry_away: %s", error)
            is_away = True
            time.sleep(_PAUSE_S)
            continue
        if is_away:
            log.warning("registry_back seconds=%.0f", time.monotonic() - started_s)
        return answer


def _make_room(cache: dict[bytes, T], kept: int) -> None:
    """Drop the oldest entry after the first `kept` ones when there are MOST_FOREIGN of them."""
    if len(cache) - kept >= MOST_FOREIGN:
        del cache[next(islice(cache, kept, None))]


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
    return [without_logical_types(json.loads(text)) for text in _schema_texts(stem)]


def _schema_texts(stem: str) -> Iterator[str]:
    folder = resources.files("schemas") / "avro"
    number = 1
    while (file := folder / f"{stem}.v{number}.avsc").is_file():
        yield file.read_text(encoding="utf-8")
        number += 1


def _single_object_header(schema: Any) -> bytes:
    little_endian = fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO")
    return SINGLE_OBJECT + bytes.fromhex(little_endian)
