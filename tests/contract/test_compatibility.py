"""Changes of schemas, each held to what comes of the bytes of the older version: refused is what loses something."""

import json
import struct
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import fastavro
import pytest

from schemas import compatibility
from schemas.compatibility import BadSchema, SchemaFile
from schemas.events import RECORDS, Purchase
from schemas.fast.decoder import record_decoder
from tests.support.avro_files import FILES, FOLDER, stem
from tests.support.commands import run

MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
MICROS = {"type": "long", "logicalType": "timestamp-micros"}
COLOUR = {"type": "enum", "name": "Colour", "symbols": ["red", "blue"]}
INNER = {"type": "record", "name": "Inner", "fields": [{"name": "a", "type": "long"}]}
LARGE = (1 << 53) + 1
NOTHING = "nothing was written"


class Change(NamedTuple):
    """Declaration of a field before and after, None for no field; a value that was written; words of the fault."""

    old: dict[str, Any] | None
    new: dict[str, Any] | None
    value: Any = NOTHING
    fault: str = ""


def typed(kind: Any, **more: Any) -> dict[str, Any]:
    """The declaration of a field of this type."""
    return {"name": "f", "type": kind, **more}


GOOD = {
    "nothing": Change(typed("string"), typed("string"), "x"),
    "its doc": Change(typed("string", doc="A."), typed("string", doc="B."), "x"),
    "new with a default": Change(None, typed("long", default=7)),
    "new and nullable": Change(None, typed(["null", "string"], default=None)),
    "new map": Change(None, typed({"type": "map", "values": "string"}, default={})),
    "new bytes": Change(None, typed("bytes", default="\u00ff")),
    "nullable now": Change(typed("string"), typed(["null", "string"]), "x"),
    "branches in another order": Change(typed(["null", "string"]), typed(["string", "null"]), None),
    "int to long": Change(typed("int"), typed("long"), -5),
    "int to double": Change(typed("int"), typed("double"), (1 << 31) - 1),
    "float to double": Change(typed("float"), typed("double"), 0.5),
    "a symbol more": Change(typed(COLOUR), typed({**COLOUR, "symbols": ["green", "red", "blue"]}), "blue"),
    "wider items": Change(typed({"type": "array", "items": "int"}), typed({"type": "array", "items": "long"}), [1]),
    "a field within": Change(
        typed(INNER),
        typed({**INNER, "fields": [*INNER["fields"], {"name": "b", "type": "string", "default": ""}]}),
        {"a": 1},
    ),
    "a fixed as it was": Change(
        typed({"type": "fixed", "name": "F", "size": 2}), typed({"type": "fixed", "name": "F", "size": 2}), b"ab"
    ),
}
BAD = {
    "gone": Change(typed("string"), None, "x", "f: is gone or renamed"),
    "renamed": Change(typed("string"), {"name": "g", "type": "string", "default": ""}, "x", "f: is gone or renamed"),
    "new without a default": Change(None, typed("string"), fault="f: is new and has no default"),
    "null no longer": Change(typed(["null", "string"]), typed("string"), None, "f: may be null no longer"),
    "a branch gone": Change(typed(["null", "string", "long"]), typed(["null", "string"]), 5, "f: may be long no"),
    "another type": Change(typed("string"), typed("long"), "x", "f: string was made long, which cannot read it"),
    "long to int": Change(typed("long"), typed("int"), 1 << 40, "f: long was made int"),
    "long to double": Change(typed("long"), typed("double"), LARGE, "f: long was made double, which rounds"),
    "long to double in a union": Change(
        typed(["null", "long"]), typed(["null", "double", "long"]), LARGE, "f: long was made double, which rounds"
    ),
    "bytes to text": Change(typed("bytes"), typed("string"), b"\xff", "f: bytes was made string, which"),
    "a symbol gone": Change(typed(COLOUR), typed({**COLOUR, "symbols": ["red"]}), "blue", "f: symbol blue is gone"),
    "a symbol gone for a default": Change(
        typed(COLOUR), typed({**COLOUR, "symbols": ["red"], "default": "red"}), "blue", "f: symbol blue is gone"
    ),
    "another enum": Change(typed(COLOUR), typed({**COLOUR, "name": "Color"}), "red", "f: Colour was renamed to Color"),
    "a larger fixed": Change(
        typed({"type": "fixed", "name": "F", "size": 2}), typed({"type": "fixed", "name": "F", "size": 3}), b"ab",
        "f: 2 bytes were made 3",
    ),
    "narrower items": Change(
        typed({"type": "array", "items": "long"}), typed({"type": "array", "items": "double"}), [LARGE],
        "f.items: long was made double",
    ),
    "other values": Change(
        typed({"type": "map", "values": "string"}), typed({"type": "map", "values": "long"}), {"a": "x"},
        "f.values: string was made long",
    ),
    "gone within": Change(
        typed({**INNER, "fields": [*INNER["fields"], {"name": "b", "type": "string"}]}), typed(INNER),
        {"a": 1, "b": "x"}, "f.b: is gone or renamed",
    ),
}  # fmt: skip


def schema(field: dict[str, Any] | None, file: str) -> tuple[SchemaFile, Any]:
    """A record with this field beside another, as we read its file and as fastavro does."""
    fields = [{"name": "id", "type": "string"}, *([field] if field else [])]
    declared = {"type": "record", "name": "Thing", "fields": fields}
    return compatibility.parse(file, json.dumps(declared)), fastavro.parse_schema(declared)


def came_back(change: Change, old: Any, new: Any) -> bool:
    """True when fastavro reads from the older version's bytes with the newer one what was written, and nothing else."""
    written = {"id": "1", **({"f": change.value} if change.old else {})}
    out = BytesIO()
    fastavro.schemaless_writer(out, old, written)
    try:
        read: Any = fastavro.schemaless_reader(BytesIO(out.getvalue()), old, new)
    except Exception:  # whatever a reader that cannot do it raises
        return False
    if change.old is None:
        return bool(read["id"] == "1")
    value = {**change.value, **read["f"], **change.value} if isinstance(change.value, dict) else change.value
    within = isinstance(change.value, dict) and not change.value.keys() <= read.get("f", {}).keys()
    return "f" in read and not within and bool(read["f"] == value)


def faults_of(change: Change) -> list[str]:
    """The faults of a change."""
    return compatibility.faults([schema(change.old, "thing.v1.avsc")[0]], schema(change.new, "thing.v2.avsc")[0])


@pytest.mark.parametrize("change", GOOD.values(), ids=GOOD)
def test_what_reads_everything_is_taken(change: Change) -> None:
    """No fault, and the value comes back."""
    assert faults_of(change) == []
    assert came_back(change, schema(change.old, "")[1], schema(change.new, "")[1])


@pytest.mark.parametrize("change", BAD.values(), ids=BAD)
def test_what_loses_something_is_refused(change: Change) -> None:
    """Named by file and field; and fastavro cannot read the value, or reads another."""
    (line, *_) = faults_of(change)
    assert line.startswith(f"thing.v2.avsc: {change.fault}")
    assert "thing.v1.avsc" in line
    assert not came_back(change, schema(change.old, "")[1], schema(change.new, "")[1])


def test_other_units_are_refused() -> None:
    """Milliseconds made microseconds: Avro reads the number on, a thousand times too early."""
    (line,) = faults_of(Change(typed(MILLIS), typed(MICROS)))
    assert line.startswith("thing.v2.avsc: f: timestamp-millis was made timestamp-micros")
    (line,) = faults_of(Change(typed(MILLIS), typed("long")))
    assert "f: timestamp-millis was made a number" in line
    old, new = schema(typed(MILLIS), "")[1], schema(typed(MICROS), "")[1]
    out = BytesIO()
    fastavro.schemaless_writer(out, old, {"id": "1", "f": 1_700_000_000_000})
    plain: Any = fastavro.schemaless_reader(BytesIO(out.getvalue()), old, old)
    made: Any = fastavro.schemaless_reader(BytesIO(out.getvalue()), new, new)
    assert (plain["f"].year, made["f"].year) == (2023, 1970)


def test_an_int_is_no_float() -> None:
    """Avro's float has 32 bits, of which 24 hold the number; Python's reader alone would not round it."""
    (line,) = faults_of(Change(typed("int"), typed("float")))
    assert line.startswith("thing.v2.avsc: f: int was made float, which rounds")
    number = (1 << 24) + 1
    assert struct.unpack("<f", struct.pack("<f", number)) != (number,)


def test_an_alias_is_not_followed() -> None:
    """Libraries follow it; our generated decoder would read the default in its place, so it is a rename like any."""
    change = Change(typed("string"), {"name": "g", "type": "string", "default": "", "aliases": ["f"]}, "x")
    assert "f: is gone or renamed" in faults_of(change)[0]
    old, new = schema(change.old, "")[1], schema(change.new, "")[1]
    out = BytesIO()
    fastavro.schemaless_writer(out, old, {"id": "1", "f": "x"})
    read: Any = fastavro.schemaless_reader(BytesIO(out.getvalue()), old, new)
    assert read == {"id": "1", "g": "x"}

    class Thing(tuple[Any, ...]):
        """What the decoder makes."""

    decode = record_decoder(Thing, old, new)
    assert decode is not None
    assert decode(out.getvalue(), 0) == ("1", "")


def test_a_default_that_changes_is_refused_where_records_lack_the_field() -> None:
    """The records of version 1 would read 7 by version 2, and 8 by version 3."""
    lacking, seven = schema(None, "thing.v1.avsc")[0], schema(typed("long", default=7), "thing.v2.avsc")[0]
    eight = schema(typed("long", default=8), "thing.v3.avsc")[0]
    (line,) = compatibility.faults([lacking, seven], eight)
    assert line.startswith("thing.v3.avsc: f: the default of thing.v2.avsc, 7 was made 8: records of thing.v1.avsc")
    assert compatibility.faults([seven], eight) == []


@pytest.mark.parametrize(
    ("kind", "default"),
    [("long", "seven"), (["null", "string"], ""), ({"type": "map", "values": "string"}, []), (COLOUR, "green")],
)
def test_a_default_of_another_type_is_refused(kind: Any, default: Any) -> None:
    """Of a union it is of the first branch, as Avro demands.  What fastavro itself refuses is no schema at all."""
    try:
        (line,) = faults_of(Change(None, typed(kind, default=default)))
    except BadSchema as error:
        line = str(error).replace("holds no Avro record: SchemaParseException", "f:").replace("Default", "default")
    assert line.startswith("thing.v2.avsc: f: default ")


def test_each_older_version_is_read_not_the_last_alone() -> None:
    """BACKWARD_TRANSITIVE: what version 2 let go is missed of version 1."""
    versions = [schema(typed("string"), "thing.v1.avsc")[0], schema(None, "thing.v2.avsc")[0]]
    (line,) = compatibility.faults(versions, schema(None, "thing.v3.avsc")[0])
    assert line.endswith("(read from thing.v1.avsc)")


def test_another_record_is_refused() -> None:
    """A record under another name is none of ours to any reader, however alike."""
    old, new = schema(None, "a.avsc")[0], schema(None, "b.avsc")[0]
    (line,) = compatibility.faults([old], replace(new, schema={**new.schema, "name": "Other"}))
    assert line.startswith("b.avsc: record: Thing was renamed to Other")


# what ships


def test_what_ships_has_no_fault() -> None:
    """Every released file is listed as it is, and each version reads all before it."""
    schemas = compatibility.released()
    assert sorted(one.file for one in schemas) == FILES == sorted(compatibility.manifest())
    assert compatibility.faults_of_releases(schemas, compatibility.manifest()) == []


def edited(name: str, old: str, new: str) -> list[SchemaFile]:
    """What ships, with one text in one file replaced."""
    text = (FOLDER / name).read_text(encoding="utf-8")
    assert old in text
    changed = compatibility.parse(name, text.replace(old, new))
    return [changed if one.file == name else one for one in compatibility.released()]


def test_an_edited_release_is_refused() -> None:
    """Not for its doc; for anything else, also what changes no byte, such as milliseconds that are told no longer."""
    doc = edited("purchase.v1.avsc", "CloudEvents id", "The id")
    assert compatibility.faults_of_releases(doc, compatibility.manifest()) == []
    for old, new in (("timestamp-millis", "timestamp-micros"), ('"default": {}', '"default": {"a": "b"}')):
        lines = compatibility.faults_of_releases(edited("purchase.v1.avsc", old, new), compatibility.manifest())
        assert lines == ["purchase.v1.avsc: was edited after its release: restore it and add a new version instead"]


def test_a_release_that_is_gone_or_not_listed_is_refused() -> None:
    """Golden bytes of a version that is gone could not be read; one that is not listed could be edited unseen."""
    schemas, digests = compatibility.released(), compatibility.manifest()
    (line,) = compatibility.faults_of_releases(schemas[1:], digests)
    assert line == f"{schemas[0].file}: is gone, but was released: restore it"
    (line,) = compatibility.faults_of_releases(schemas, {name: digests[name] for name in list(digests)[1:]})
    assert line.endswith(f'add "{schemas[0].file}" = "{schemas[0].digest}"')


@pytest.mark.parametrize("cls", RECORDS)
def test_a_next_version_of_each_record_is_compared_with_all_of_its_own(cls: type, tmp_path: Path) -> None:
    """A field taken from the newest version is missed, for every record that ships."""
    newest = sorted(FOLDER.glob(f"{stem(cls)}.v*.avsc"))[-1]
    declared = json.loads(newest.read_text(encoding="utf-8"))
    gone = declared["fields"].pop(0)["name"]
    file = tmp_path / "next.avsc"
    file.write_text(json.dumps(declared), encoding="utf-8")
    older = [one for one in compatibility.released() if one.record == f"nps.{cls.__name__}"]
    lines = compatibility.faults(older, compatibility.read(file))
    assert len(lines) == len(older)
    assert all(line.startswith(f"{file}: {gone}: is gone") for line in lines)


# the command


def test_the_command_checks_what_ships() -> None:
    """Without files."""
    ended = run("schemas", "check")
    assert (ended.returncode, ended.stdout) == (0, f"{len(FILES)} schemas checked, 0 faults\n")


def test_the_command_names_file_and_field(tmp_path: Path) -> None:
    """A new version alone is compared with what ships, and files before it are its older versions; 2 for a fault."""
    text = (FOLDER / f"{stem(Purchase)}.v1.avsc").read_text(encoding="utf-8")
    first, second = tmp_path / "purchase.v1.avsc", tmp_path / "purchase.v2.avsc"
    first.write_text(text, encoding="utf-8")
    second.write_text(text.replace('"order_id"', '"order_number"'), encoding="utf-8")
    for files in ([second], [first, second]):
        ended = run("schemas", "check", *map(str, files))
        assert ended.returncode == 2
        assert f"{second}: order_id: is gone or renamed" in ended.stdout
    assert run("schemas", "check", str(first), str(first)).returncode == 0


@pytest.mark.parametrize("text", ["", "{", '"string"', '{"type": "record", "name": "A", "fields": []}', "\udcff"])
def test_what_is_no_schema_is_one_line(text: str, tmp_path: Path) -> None:
    """JSON cut off, a bare type, a record of nothing, bytes that are no text, no file at all."""
    file = tmp_path / "x.avsc"
    file.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(BadSchema, match=r"x\.avsc: "):
        compatibility.read(file)
    with pytest.raises(BadSchema, match="cannot be read"):
        compatibility.read(tmp_path / "nothing.avsc")


def test_a_record_that_does_not_ship_needs_its_older_versions(tmp_path: Path) -> None:
    """There is nothing to compare it with."""
    file = tmp_path / "x.avsc"
    file.write_text('{"type": "record", "name": "A", "fields": [{"name": "a", "type": "long"}]}', encoding="utf-8")
    ended = run("schemas", "check", str(file))
    assert ended.returncode == 2
    assert ended.stderr == f"nps: {file}: A is no record that ships: name the older versions before it\n"
