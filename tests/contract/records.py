"""Random records of every type, built from the types that `schemas.events` declares."""

import types
import typing
from collections.abc import Mapping, Sequence
from typing import get_args, get_origin

from hypothesis import strategies as st

from schemas.events import RECORDS, Record

LONG = st.integers(-(2**63), 2**63 - 1)
INT = st.integers(-(2**31), 2**31 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ENUMS = {"band": st.sampled_from(["promoter", "passive", "detractor"])}
INTS = {"score", "revision"}


def values(name: str, kind: object) -> st.SearchStrategy[object]:
    """Values of a field."""
    parts = get_args(kind)
    if get_origin(kind) in (typing.Union, types.UnionType):
        return st.one_of(*(st.none() if part is type(None) else values(name, part) for part in parts))
    if get_origin(kind) is Mapping:
        return st.dictionaries(TEXT, TEXT, max_size=3)
    if get_origin(kind) is Sequence:
        return st.lists(TEXT, max_size=3)
    plain: dict[object, st.SearchStrategy[object]] = {
        str: ENUMS.get(name, TEXT),
        int: INT if name in INTS else LONG,
        bool: st.booleans(),
        float: st.floats(allow_nan=False),
    }
    return plain[kind]


def records(cls: type[Record]) -> st.SearchStrategy[Record]:
    """Records of a type."""
    fields = typing.get_type_hints(cls)
    return st.builds(cls, **{name: values(name, fields[name]) for name in cls._fields})


ANY = st.sampled_from(RECORDS).flatmap(records)
