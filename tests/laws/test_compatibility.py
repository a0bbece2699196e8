"""Laws of compatible schemas: a newer version without fault reads whatever an older one wrote, and unchanged."""

import copy
import json
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import fastavro
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import compatibility
from tests.support.laws import examples

PRIMITIVES = ("boolean", "int", "long", "float", "double", "string", "bytes")
INT, LONG = (1 << 31) - 1, (1 << 63) - 1
VALUES: Mapping[str, st.SearchStrategy[Any]] = {
    "null": st.none(), "boolean": st.booleans(), "int": st.integers(-INT - 1, INT),
    "long": st.integers(-LONG - 1, LONG),
    "float": st.floats(width=32, allow_nan=False), "double": st.floats(allow_nan=False),
    "string": st.text(st.characters(codec="utf-8")), "bytes": st.binary(),
}  # fmt: skip
DEFAULTS: Mapping[str, Any] = {
    "null": None,
    "boolean": False,
    "int": 0,
    "long": 0,
    "float": 0.0,
    "double": 0.0,
    "string": "",
    "bytes": "",
}
SIMPLE = st.sampled_from(PRIMITIVES)
ENUMS = st.lists(st.sampled_from("abcd"), min_size=1, max_size=4, unique=True)
TYPES: st.SearchStrategy[Any] = st.one_of(
    SIMPLE,
    SIMPLE.map(lambda kind: ["null", kind]),
    SIMPLE.map(lambda kind: {"type": "array", "items": kind}),
    SIMPLE.map(lambda kind: {"type": "map", "values": kind}),
    st.lists(SIMPLE, min_size=2, max_size=3, unique=True),
    ENUMS.map(lambda symbols: {"type": "enum", "symbols": symbols}),
)


def value_of(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a type."""
    if isinstance(kind, list):
        return st.one_of(*map(value_of, kind))
    if isinstance(kind, str):
        return VALUES[kind]
    if kind["type"] == "array":
        return st.lists(value_of(kind["items"]), max_size=3)
    if kind["type"] == "map":
        return st.dictionaries(st.text("ab", max_size=2), value_of(kind["values"]), max_size=2)
    return st.sampled_from(kind["symbols"])


def declared(fields: Mapping[str, Any], with_defaults: bool) -> dict[str, Any]:
    """The schema of a record of these fields; enums are named after theirs."""
    told = []
    for name, kind in fields.items():
        kind = {**kind, "name": f"E{name}"} if isinstance(kind, dict) and "symbols" in kind else kind
        first = kind[0] if isinstance(kind, list) else kind
        default = DEFAULTS[first] if isinstance(first, str) else None
        has_default = with_defaults and isinstance(first, str)
        told.append({"name": name, "type": kind, **({"default": default} if has_default else {})})
    return {"type": "record", "name": "Thing", "fields": told}


@settings(max_examples=examples(600))
@given(st.data())
def test_no_fault_means_that_every_value_comes_back(data: st.DataObject) -> None:
    """A library that knows nothing of our rules reads the older version's bytes with the newer schema."""
    old = data.draw(st.dictionaries(st.sampled_from("fgh"), TYPES, min_size=1, max_size=3), "old")
    new: dict[str, Any] = copy.deepcopy(old)
    for name in data.draw(st.lists(st.sampled_from("fghi"), min_size=1, max_size=2), "changed"):
        new[name] = data.draw(TYPES, f"new {name}")
    writer, reader = declared(old, with_defaults=False), declared(new, with_defaults=True)
    faults = compatibility.faults(
        [compatibility.parse("v1", json.dumps(writer))], compatibility.parse("v2", json.dumps(reader))
    )
    if faults:
        return
    written = {name: data.draw(value_of(kind), f"value of {name}") for name, kind in old.items()}
    out = BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(writer), written)
    in_own: Any = fastavro.schemaless_reader(BytesIO(out.getvalue()), fastavro.parse_schema(writer), None)
    read: Any = fastavro.schemaless_reader(
        BytesIO(out.getvalue()), fastavro.parse_schema(writer), fastavro.parse_schema(reader)
    )
    for name in old:
        assert as_bytes(read[name]) == as_bytes(in_own[name])


def as_bytes(value: Any) -> Any:
    """A value with its text as bytes, which text may be read as without a loss."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, dict):
        return {key: as_bytes(text) for key, text in value.items()}
    return [as_bytes(one) for one in value] if isinstance(value, list) else value


@settings(max_examples=examples(100))
@given(st.dictionaries(st.sampled_from("fgh"), TYPES, min_size=1))
def test_a_schema_reads_itself(fields: dict[str, Any]) -> None:
    """No rule is so strict that nothing passes; of unions of numbers alone readers may take another branch."""
    one = compatibility.parse("v1", json.dumps(declared(fields, with_defaults=False)))
    is_ambiguous = any(isinstance(kind, list) and len({*kind} & {*PRIMITIVES}) > 1 for kind in fields.values())
    assert is_ambiguous or compatibility.faults([one], one) == []
