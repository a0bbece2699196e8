"""Compatibility of Avro schemas: a newer version of a record must read what every older one wrote, and lose nothing.

Avro asks for less (1.11, "Schema Resolution").  It calls compatible, and is refused here:

    a field gone or renamed       what was written is skipped, and the default read in its place; an alias is not
                                  followed by the generated decoders
    long to double, and the like  large numbers are rounded
    another logical type          seconds or microseconds are read as milliseconds
    a symbol of an enum gone      it is read as the enum's default
    another default               the records from before the field was there change their meaning
    a released file edited        what it wrote carries the fingerprint of a schema that is nowhere any more

Consumers are upgraded before producers, so only the newer reads the older.
"""

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib import resources
from pathlib import Path
from typing import Any

from fastavro.schema import expand_schema
from fastavro.validation import validate

from schemas.errors import BadInput
from schemas.foreign import record_schema

RELEASED = "released.toml"
"""File beside the schemas with a digest of each released one: what is listed is never edited, but for its docs."""

_AVRO_WIDER = {
    "int": {"long", "float", "double"}, "long": {"float", "double"}, "float": {"double"},
    "string": {"bytes"}, "bytes": {"string"},
}  # fmt: skip
_LOSSLESS = {"int": {"long", "double"}, "float": {"double"}, "string": {"bytes"}}
_NAMED = ("enum", "fixed", "record")
_LOGICAL = ("logicalType", "precision", "scale")


class BadSchema(BadInput, ValueError):
    """A file that holds no Avro record, or not one that can be compared."""


@dataclass(frozen=True, slots=True)
class SchemaFile:
    """An Avro schema of a record, with every named type written out, and the name of its file.

    `digest` is the SHA-256 in hex of all of its JSON but the docs.
    """

    file: str
    schema: Mapping[str, Any]
    digest: str

    @property
    def record(self) -> str:
        """Full name of the record."""
        return str(self.schema["name"])


def parse(file: str, text: str) -> SchemaFile:
    """Parse the text of a file.  Raises BadSchema, which names the file."""
    try:
        record_schema([text])  # refuses also what would keep the expansion below busy for ever
        declared = json.loads(text)
        digest = sha256(json.dumps(_without_docs(declared), sort_keys=True).encode()).hexdigest()
        expanded: Any = expand_schema(declared)
        return SchemaFile(file, expanded, digest)
    except Exception as error:  # a parser that is given anything can raise anything
        raise BadSchema(f"{file}: holds no Avro record: {' '.join(str(error).split())}") from None


def read(path: Path) -> SchemaFile:
    """Read a file.  Raises BadSchema."""
    try:
        return parse(str(path), path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadSchema(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise BadSchema(f"{path}: is not UTF-8") from None


def released() -> list[SchemaFile]:
    """All schemas that ship, by record, oldest version first."""
    folder = resources.files("schemas") / "avro"
    files = [file for file in folder.iterdir() if file.name.endswith(".avsc")]
    texts = {file.name: file.read_text(encoding="utf-8") for file in files}
    return [parse(name, texts[name]) for name in sorted(texts, key=_record_and_version)]


def manifest() -> dict[str, str]:
    """Digest of each released schema by the name of its file."""
    text = (resources.files("schemas") / "avro" / RELEASED).read_text(encoding="utf-8")
    return {name: str(digest) for name, digest in tomllib.loads(text).items()}


def faults_of_releases(schemas: Sequence[SchemaFile], digests: Mapping[str, str]) -> list[str]:
    """Faults of schemas that follow one another, a line each: files edited or gone, and versions that lose something.

    `digests` is what was released, by file.
    """
    here = {schema.file: schema for schema in schemas}
    lines = [f"{name}: is gone, but was released: restore it" for name in sorted(digests.keys() - here.keys())]
    for name, schema in here.items():
        if name not in digests:
            lines.append(f'{name}: is not in {RELEASED}: once it is right, add "{name}" = "{schema.digest}"')
        elif digests[name] != schema.digest:
            lines.append(f"{name}: was edited after its release: restore it and add a new version instead")
    for place, schema in enumerate(schemas):
        lines += faults([older for older in schemas[:place] if older.record == schema.record], schema)
    return lines


def faults(older: Sequence[SchemaFile], new: SchemaFile) -> list[str]:
    """Faults of a schema as the successor of older ones, oldest first: a line each, with file and field."""
    lines = [
        f"{new.file}: {fault} (read from {old.file})" for old in older for fault in _faults(old.schema, new.schema, "")
    ]
    lines += [f"{new.file}: {fault}" for fault in _wrong_defaults(new.schema, "")]
    return [*lines, *(f"{new.file}: {fault}" for fault in _changed_defaults(older, new))]


def _faults(old: Any, new: Any, path: str) -> Iterator[str]:
    """Faults of a type that reads what another wrote; `path` is the field with those around it."""
    if isinstance(old, list) or isinstance(new, list):
        yield from _union_faults(_branches(old), _branches(new), path)
        return
    old_type, new_type = _type(old), _type(new)
    if old_type != new_type:
        if new_type not in _LOSSLESS.get(old_type, ()):
            why = (
                "which rounds or breaks values" if new_type in _AVRO_WIDER.get(old_type, ()) else "which cannot read it"
            )
            yield f"{path}: {old_type} was made {new_type}, {why}"
    elif (logical := _logical(old)) != _logical(new):
        yield f"{path}: {logical or 'a number'} was made {_logical(new) or 'a number'}, which changes what values mean"
    elif old_type in _NAMED and _short_name(old) != _short_name(new):
        yield f"{path or 'record'}: {old['name']} was renamed to {new['name']}"
    elif old_type == "record":
        yield from _record_faults(old, new, path)
    elif old_type == "enum":
        yield from (f"{path}: symbol {symbol} is gone" for symbol in old["symbols"] if symbol not in new["symbols"])
    elif old_type == "fixed" and old["size"] != new["size"]:
        yield f"{path}: {old['size']} bytes were made {new['size']}"
    elif old_type in ("array", "map"):
        items = "items" if old_type == "array" else "values"
        yield from _faults(old[items], new[items], f"{path}.{items}")


def _record_faults(old: Mapping[str, Any], new: Mapping[str, Any], path: str) -> Iterator[str]:
    before, after = _fields(old), _fields(new)
    if not path and old["name"] != new["name"]:
        yield f"record: {old['name']} was renamed to {new['name']}"
    for name, field in before.items():
        if name in after:
            yield from _faults(field["type"], after[name]["type"], _joined(path, name))
        else:
            yield f"{_joined(path, name)}: is gone or renamed: what was written is lost, keep the field"
    for name in after.keys() - before.keys():
        if "default" not in after[name]:
            yield f"{_joined(path, name)}: is new and has no default"


def _union_faults(old: Sequence[Any], new: Sequence[Any], path: str) -> Iterator[str]:
    """Faults of every branch that a reader may choose for what was written: readers differ in which they take."""
    for branch in old:
        choices = [other for other in new if _resolves(branch, other)]
        if not choices:
            yield f"{path}: may be {_type(branch)} no longer"
        for other in choices:
            yield from _faults(branch, other, path)


def _wrong_defaults(schema: Mapping[str, Any], path: str) -> Iterator[str]:
    """Faults of defaults that are no value of their field; of a union, of its first branch (Avro 1.11, "Unions")."""
    for name, field in _fields(schema).items():
        kind = _branches(field["type"])[0]
        default = field.get("default")
        if "default" in field and not validate(_in_bytes(default, kind), kind, raise_errors=False):
            yield f"{_joined(path, name)}: default {json.dumps(default)} is no {_type(kind)}"


def _changed_defaults(older: Sequence[SchemaFile], new: SchemaFile) -> Iterator[str]:
    """Faults of fields whose default is not that of an older version, where a still older one has no such field."""
    for name, field in _fields(new.schema).items():
        lacking = [old.file for old in older if name not in _fields(old.schema)]
        had = [(old.file, _fields(old.schema)[name]) for old in older if name in _fields(old.schema)]
        for file, before in had:
            if lacking and "default" in before and before["default"] != field.get("default"):
                told = f"{json.dumps(before['default'])} was made {json.dumps(field.get('default'))}"
                yield f"{name}: the default of {file}, {told}: records of {lacking[0]} change their meaning"


def _in_bytes(default: Any, kind: Any) -> Any:
    """A default as a value: of bytes it is written as text, a character a byte (Avro 1.11, "Complex Types")."""
    is_binary = _type(kind) in ("bytes", "fixed") and isinstance(default, str)
    return default.encode("latin-1", errors="replace") if is_binary else default


def _resolves(old: Any, new: Any) -> bool:
    """True where a reader of Avro may take a branch for what another wrote."""
    old_type, new_type = _type(old), _type(new)
    if old_type == new_type:
        return old_type not in _NAMED or _short_name(old) == _short_name(new)
    return new_type in _AVRO_WIDER.get(old_type, ())


def _branches(schema: Any) -> list[Any]:
    return schema if isinstance(schema, list) else [schema]


def _fields(record: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {field["name"]: field for field in record["fields"]}


def _type(schema: Any) -> str:
    return str(schema["type"]) if isinstance(schema, dict) else str(schema)


def _logical(schema: Any) -> str:
    told = [str(schema[name]) for name in _LOGICAL if name in schema] if isinstance(schema, dict) else []
    return " ".join(told)


def _short_name(schema: Mapping[str, Any]) -> str:
    return str(schema["name"]).rpartition(".")[2]


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _without_docs(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_without_docs(part) for part in schema]
    if isinstance(schema, dict):
        return {
            key: value if key == "default" else _without_docs(value) for key, value in schema.items() if key != "doc"
        }
    return schema


def _record_and_version(file_name: str) -> tuple[str, int]:
    stem, _, version = file_name.removesuffix(".avsc").rpartition(".v")
    return stem, int(version) if version.isdigit() else 0
