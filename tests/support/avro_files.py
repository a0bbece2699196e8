"""The Avro files that are released, and how they are named."""

import re
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args, get_origin

import schemas
from schemas.events import Record

FOLDER = Path(schemas.__path__[0]) / "avro"
FILES = sorted(path.name for path in FOLDER.glob("*.avsc"))


def stem(cls: type[Record]) -> str:
    """SurveyResponse -> survey_response."""
    return re.sub(r"(?<!^)([A-Z])", r"_\1", cls.__name__).lower()


def avro(kind: object) -> object:
    """The Avro type that a Python type stands for; None in a union comes first, as its default null demands."""
    if get_origin(kind) in (typing.Union, types.UnionType):
        return ["null", *(avro(part) for part in get_args(kind) if part is not type(None))]
    if get_origin(kind) in (Mapping, Sequence):
        return "map" if get_origin(kind) is Mapping else "array"
    return {str: "string", int: "integer", bool: "boolean", float: "double"}[typing.cast(type, kind)]
