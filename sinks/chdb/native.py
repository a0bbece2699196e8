"""Native format at a protocol revision: chDB writes it for revision 0, drivers name one in `client_protocol_version`.

Since 51903 a block begins with its info, since 54337 the type of a DateTime says its zone, since 54454 a byte before
each column's data says that it is stored in no special way.  That byte stands behind name and type, so the columns are
stepped over to find the next one.  See ClickHouse's NativeWriter.cpp and ProtocolDefines.h.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from sinks.chdb.request import EngineError
from sinks.chdb.sqltext import split_arguments

_WITH_BLOCK_INFO = 51903
_WITH_ZONES = 54337
_WITH_CUSTOM_SERIALIZATION = 54454
_WITH_OUT_OF_ORDER_BUCKETS = 54480

_INFO = b"\x01\x00\x02\xff\xff\xff\xff"
_OUT_OF_ORDER_BUCKETS = b"\x03\x00"
_STORED_AS_USUAL = b"\x00"

_WIDTHS = {
    "Bool": 1, "Int8": 1, "UInt8": 1, "Enum8": 1, "Nothing": 1, "Int16": 2, "UInt16": 2, "Enum16": 2, "Date": 2,
    "BFloat16": 2, "Int32": 4, "UInt32": 4, "Float32": 4, "Date32": 4, "DateTime": 4, "Time": 4, "IPv4": 4,
    "Int64": 8, "UInt64": 8, "Float64": 8, "DateTime64": 8, "Time64": 8, "Int128": 16, "UInt128": 16, "UUID": 16,
    "IPv6": 16, "Int256": 32, "UInt256": 32,
}  # fmt: skip
_SYNONYMS = {
    "Point": "Tuple(Float64, Float64)", "Ring": "Array(Point)", "LineString": "Array(Point)",
    "MultiPoint": "Array(Point)", "Polygon": "Array(Ring)", "MultiLineString": "Array(LineString)",
    "MultiPolygon": "Array(Polygon)",
}  # fmt: skip
_DECIMALS = ((9, 4), (18, 8), (38, 16), (76, 32))
_NAMED = re.compile(r"(?:`(?:[^`\\]|\\.)*`|\w+) ")
_WIDE_INDEX, _SHARED_KEYS, _OWN_KEYS = 0xFF, 0x100, 0x200

Skip = Callable[[bytes, int, int], int]
"""Step over a column's data: (body, position, rows) to the position behind it."""


@dataclass(frozen=True, slots=True)
class NativeColumn:
    """Column of a type in Native: bytes of state before its data, then how to step over the data."""

    prefix_bytes: int
    skip: Skip


def for_revision(body: bytes, revision: int, types: Callable[[], Mapping[str, str]]) -> bytes:
    """Write a body of revision 0 anew for a later one; `types` tells the columns' types where zones are missing.

    Raises EngineError for a type that has no fixed layout (JSON, Dynamic, Variant, states of aggregate functions).
    """
    return b"".join(_pieces(body, revision, types)) if body and revision >= _WITH_BLOCK_INFO else body


def _pieces(body: bytes, revision: int, types: Callable[[], Mapping[str, str]]) -> Iterator[bytes | memoryview]:
    view, position = memoryview(body), 0
    flag = _STORED_AS_USUAL if revision >= _WITH_CUSTOM_SERIALIZATION else b""
    buckets = _OUT_OF_ORDER_BUCKETS if revision >= _WITH_OUT_OF_ORDER_BUCKETS else b""
    while position < len(body):
        yield _INFO + buckets + b"\x00"
        start = position
        columns, position = _varint(body, position)
        rows, position = _varint(body, position)
        yield view[start:position]
        for _ in range(columns):
            name, position = _text(body, position)
            type_name, position = _text(body, position)
            zoned = types().get(name, type_name) if type_name == "DateTime" and revision >= _WITH_ZONES else type_name
            yield _as_text(name) + _as_text(zoned) + flag
            start, position = position, _behind(body, position, rows, type_name)
            yield view[start:position]


def _behind(body: bytes, position: int, rows: int, type_name: str) -> int:
    if not rows:
        return position
    column = _column(type_name)
    return column.skip(body, position + column.prefix_bytes, rows)


@lru_cache(1_000)
def _column(type_name: str) -> NativeColumn:
    name, arguments = split_arguments(_SYNONYMS.get(type_name, type_name))
    if name in _WIDTHS or name.startswith("Interval"):
        return NativeColumn(0, _fixed(_WIDTHS.get(name, 8)))
    if name == "FixedString":
        return NativeColumn(0, _fixed(int(arguments[0])))
    if name == "Decimal":
        return NativeColumn(0, _fixed(next(w for digits, w in _DECIMALS if int(arguments[0]) <= digits)))
    if name == "String":
        return NativeColumn(0, _skip_strings)
    if name == "Nullable":
        return _nullable(_column(arguments[0]))
    if name == "LowCardinality":
        return NativeColumn(8, _low_cardinality(_column(_without_nullable(arguments[0]))))
    return _nested(type_name, name, arguments)


def _nested(type_name: str, name: str, arguments: list[str]) -> NativeColumn:
    if name == "Array":
        return _array(_column(arguments[0]))
    if name == "Map":
        return _array(_tuple(arguments))
    if name == "Tuple":
        return _tuple([_without_name(element) for element in arguments])
    if name == "Nested":
        return _array(_tuple([_without_name(element) for element in arguments]))
    if name == "SimpleAggregateFunction":
        return _column(arguments[1])
    raise EngineError.of(48, "NOT_IMPLEMENTED", f"{type_name} in Native for a driver: cast it to String")


def _fixed(width: int) -> Skip:
    return lambda _, position, rows: position + width * rows


def _skip_strings(body: bytes, position: int, rows: int) -> int:
    for _ in range(rows):
        size = body[position]
        position += 1
        if size > 127:
            size, position = _varint(body, position - 1)
        position += size
    return position


def _nullable(inner: NativeColumn) -> NativeColumn:
    return NativeColumn(inner.prefix_bytes, lambda body, position, rows: inner.skip(body, position + rows, rows))


def _array(inner: NativeColumn) -> NativeColumn:
    def skip(body: bytes, position: int, rows: int) -> int:
        if not rows:
            return position
        position += 8 * rows
        return inner.skip(body, position, _uint64(body, position - 8))

    return NativeColumn(inner.prefix_bytes, skip)


def _tuple(types: list[str]) -> NativeColumn:
    columns = [_column(name) for name in types]

    def skip(body: bytes, position: int, rows: int) -> int:
        if not columns:
            return position + rows
        for column in columns:
            position = column.skip(body, position, rows)
        return position

    return NativeColumn(sum(column.prefix_bytes for column in columns), skip)


def _low_cardinality(keys: NativeColumn) -> Skip:
    def skip(body: bytes, position: int, rows: int) -> int:
        if not rows:
            return position
        flags = _uint64(body, position)
        position += 8
        if flags & _SHARED_KEYS or not flags & _OWN_KEYS:
            raise EngineError.of(48, "NOT_IMPLEMENTED", "LowCardinality with keys of another block")
        position = keys.skip(body, position + 8, _uint64(body, position))
        return position + 8 + (_uint64(body, position) << (flags & _WIDE_INDEX))

    return skip


def _without_name(element: str) -> str:
    """Take the type from an element of a Tuple, which may have a name before it."""
    named = _NAMED.match(element)
    return element[named.end() :] if named else element


def _without_nullable(type_name: str) -> str:
    """Take the type of LowCardinality's keys, among which null is one."""
    name, arguments = split_arguments(type_name)
    return arguments[0] if name == "Nullable" else type_name


def _varint(body: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = body[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7


def _uint64(body: bytes, position: int) -> int:
    return int.from_bytes(body[position : position + 8], "little")


def _text(body: bytes, position: int) -> tuple[str, int]:
    size, position = _varint(body, position)
    return body[position : position + size].decode(errors="surrogateescape"), position + size


def _as_text(text: str) -> bytes:
    raw, size = text.encode(errors="surrogateescape"), b""
    left = len(raw)
    while left > 127:
        size += bytes((left & 127 | 128,))
        left >>= 7
    return size + bytes((left,)) + raw
