"""Schemas of other producers, as a registry holds them: strangers' bytes, made into schemas that are safe to read with.

An Avro schema can be made so that few bytes keep a reader busy for ever, or end its process: a record inside itself, an
array of a billion values that take no bytes each.  It is refused, like JSON Schema, Protobuf and a bare type.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import fastavro

LARGEST_SCHEMA_CHARACTERS = 1 << 18
"""Upper bound of a schema's text, with those it refers to."""

DEEPEST = 32
"""Upper bound of the types within types."""


def record_schema(texts: Sequence[str], keeps: Collection[str] = ()) -> Any:
    """Parse the last text as the schema of a record; the texts before are schemas that it refers to.

    `keeps` names the logical types that values are read as; of others the plain type is.

    Raises ValueError for anything else, and for a schema that is not safe to read with.
    """
    if sum(map(len, texts)) > LARGEST_SCHEMA_CHARACTERS:
        raise ValueError("it is too large")
    named: dict[str, Any] = {}
    schema: Any = None
    try:
        for text in texts:
            schema = fastavro.parse_schema(without_logical_types(json.loads(text), keeps), named_schemas=named)
    except Exception as error:  # a parser that is given anything can raise anything
        raise ValueError(f"{type(error).__name__} {error}") from error
    if not isinstance(schema, dict) or schema.get("type") != "record":
        raise ValueError("it is no record")
    _check(schema, named, ())
    return schema


def without_logical_types(schema: Any, keeps: Collection[str] = ()) -> Any:
    """Drop the logical types but those of `keeps`: fastavro would build a datetime for each, which halves its speed."""
    if isinstance(schema, list):
        return [without_logical_types(part, keeps) for part in schema]
    if isinstance(schema, dict):
        return {
            key: without_logical_types(value, keeps)
            for key, value in schema.items()
            if key != "logicalType" or value in keeps
        }
    return schema


def _check(schema: Any, named: Mapping[str, Any], within: tuple[str, ...]) -> None:
    """Check that every value takes a byte at least, and that no type is inside itself; `within` are those around it."""
    if len(within) > DEEPEST:
        raise ValueError(f"it is nested more than {DEEPEST} deep")
    if isinstance(schema, list):
        for branch in schema:
            if branch not in ("null", {"type": "null"}):  # the number of the branch takes a byte
                _check(branch, named, (*within, "union"))
    elif isinstance(schema, str) and schema in named:
        _check(named[schema], named, within)
    elif isinstance(schema, dict) and schema["type"] in ("record", "error"):
        name = schema["name"]
        if name in within:
            raise ValueError(f"{name} is inside itself")
        if not schema["fields"]:
            raise ValueError(f"{name} has no fields")
        for field in schema["fields"]:
            _check(field["type"], named, (*within, name))
    elif isinstance(schema, dict) and schema["type"] in ("array", "map"):
        _check(schema.get("items", schema.get("values")), named, (*within, "items"))
    elif schema in ("null", {"type": "null"}) or (isinstance(schema, dict) and schema.get("size") == 0):
        raise ValueError("it has a value that takes no bytes")
    elif isinstance(schema, dict) and not isinstance(schema["type"], str):
        _check(schema["type"], named, (*within, "type"))
