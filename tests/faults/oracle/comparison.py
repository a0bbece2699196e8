"""Two mappings, key by key: how many keys there are, how many differ, and the first that does, with both values."""

from collections.abc import Mapping
from typing import TypeVar

from tests.faults.harness.report import Finding

LONGEST = 300
K = TypeVar("K")


def compare(invariant: str, what: str, wanted: Mapping[K, object], found: Mapping[K, object]) -> Finding:
    """The finding; a missing key counts as a difference."""
    keys = wanted.keys() | found.keys()
    wrong = sorted((key for key in keys if wanted.get(key, "none") != found.get(key, "none")), key=repr)
    first = ""
    if wrong:
        key = wrong[0]
        first = f"{key}: wanted {_text(wanted.get(key, 'none'))}, found {_text(found.get(key, 'none'))}"
    return Finding(invariant, what, len(keys), len(wrong), first)


def _text(value: object) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
