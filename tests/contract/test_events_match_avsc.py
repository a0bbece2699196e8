"""The Avro files are the authority: each record has their fields, in their order, with their types."""

import json
import re
import typing
from typing import Any

import pytest

from schemas import codec
from schemas.events import RECORDS, Record
from tests.support.avro_files import FILES, FOLDER, avro, stem


def plain(schema: Any) -> object:
    """An Avro type as far as a Python type can say it."""
    if isinstance(schema, list):
        return [plain(part) for part in schema]
    if isinstance(schema, dict):
        assert schema["type"] not in ("map", "array") or {"string"} == {schema.get("values") or schema.get("items")}
        return "string" if schema["type"] == "enum" else plain(schema["type"])
    return "integer" if schema in ("int", "long") else schema


@pytest.mark.parametrize("cls", RECORDS)
def test_field_by_field(cls: type[Record]) -> None:
    """Name, order, type and nullability."""
    schema = json.loads((FOLDER / f"{stem(cls)}.v{len(codec.versions(cls))}.avsc").read_text(encoding="utf-8"))
    hints = typing.get_type_hints(cls)
    assert f"{schema['namespace']}.{schema['name']}" == f"nps.{cls.__name__}"
    assert [field["name"] for field in schema["fields"]] == list(cls._fields)
    assert [plain(field["type"]) for field in schema["fields"]] == [avro(hints[name]) for name in cls._fields]


@pytest.mark.parametrize("file", FILES)
def test_every_file_says_what_it_means(file: str) -> None:
    """Each belongs to a record, explains itself and each field, and gives whatever may be null the default null."""
    schema = json.loads((FOLDER / file).read_text(encoding="utf-8"))
    assert re.sub(r"\.v\d+\.avsc$", "", file) in {stem(cls) for cls in RECORDS}
    for part in (schema, *schema["fields"]):
        assert re.fullmatch(r"[A-Z0-9`].*\.", part["doc"]), part["name"]
    for field in schema["fields"]:
        if isinstance(field["type"], list):
            assert field["type"][0] == "null"
            assert field["default"] is None


@pytest.mark.parametrize("file", FILES)
def test_instants_are_milliseconds(file: str) -> None:
    """`time` and every `..._ms` is a timestamp-millis, but for durations, which say so; nothing else is."""
    for field in json.loads((FOLDER / file).read_text(encoding="utf-8"))["fields"]:
        duration = field["doc"].startswith("Milliseconds from ")
        instant = field["name"] == "time" or (field["name"].endswith("_ms") and not duration)
        kind = field["type"][-1] if isinstance(field["type"], list) else field["type"]  # maybe null
        assert (kind == {"type": "long", "logicalType": "timestamp-millis"}) == instant, field["name"]


def test_versions_have_no_gap() -> None:
    """Reading stops at the first missing number, so a gap would hide every later version."""
    assert sorted(f"{stem(cls)}.v{n + 1}.avsc" for cls in RECORDS for n in range(len(codec.versions(cls)))) == FILES
