"""Random records of every type, built from the types that `schemas.events` declares."""

import types
import typing
from collections.abc import Mapping, Sequence
from typing import get_args, get_origin

from hypothesis import strategies as st

from schemas.codec import versions
from schemas.events import RECORDS, Record

LONG = st.integers(-(2**63), 2**63 - 1)
INT = st.integers(-(2**31), 2**31 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
INTS = {
    "score", "first_score", "revision", "source_partition", "question_version", "reminder", "death", "origin_partition",
    "step", "seq", "attempts",
}  # fmt: skip


def symbols(cls: type[Record], name: str) -> list[str]:
    """The words that an enum field may hold; none for any other field."""
    (kind,) = [field["type"] for field in versions(cls)[-1]["fields"] if field["name"] == name]
    branches = kind if isinstance(kind, list) else [kind]
    return [word for branch in branches if isinstance(branch, dict) for word in branch.get("symbols", [])]


def values(cls: type[Record], name: str, kind: object) -> st.SearchStrategy[object]:
    """Values of a field."""
    parts = get_args(kind)
    if get_origin(kind) in (typing.Union, types.UnionType):
        return st.one_of(*(st.none() if part is type(None) else values(cls, name, part) for part in parts))
    if get_origin(kind) is Mapping:
        return st.dictionaries(TEXT, TEXT, max_size=3)
    if get_origin(kind) is Sequence:
        return st.lists(TEXT, max_size=3)
    plain: dict[object, st.SearchStrategy[object]] = {
        str: st.sampled_from(words) if (words := symbols(cls, name)) else TEXT,
        int: INT if name in INTS else LONG,
        bool: st.booleans(),
        float: st.floats(allow_nan=False),
    }
    return plain[kind]


def records(cls: type[Record]) -> st.SearchStrategy[Record]:
    """Records of a type."""
    fields = typing.get_type_hints(cls)
    return st.builds(cls, **{name: values(cls, name, fields[name]) for name in cls._fields})


ANY = st.sampled_from(RECORDS).flatmap(records)
