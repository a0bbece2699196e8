"""Two mappings, key by key: how many keys there are, how many differ, and the first that does, with both values."""

from collections.abc import Mapping
from typing import TypeVar

from tests.faults.harness.report import Finding

LONGEST = 300
K = TypeVar("K")


def compare(invariant: str, what: str, wanted: Mapping[K, object], found: Mapping[K, object]) -> Finding:
    """The finding; a missing key counts as a difference.  Of two records only the fields that differ are told."""
    keys = wanted.keys() | found.keys()
    wrong = sorted((key for key in keys if wanted.get(key, "none") != found.get(key, "none")), key=repr)
    first = ""
    if wrong:
        key = wrong[0]
        ours, theirs = _apart(wanted.get(key, "none"), found.get(key, "none"))
        first = f"{key}: wanted {_text(ours)}, found {_text(theirs)}"
    return Finding(invariant, what, len(keys), len(wrong), first)


def _apart(wanted: object, found: object) -> tuple[object, object]:
    """What differs between two records of one kind; else both as they are."""
    if type(wanted) is not type(found) or not hasattr(wanted, "_asdict") or not hasattr(found, "_asdict"):
        return wanted, found
    ours, theirs = wanted._asdict(), found._asdict()
    names = [name for name in ours if ours[name] != theirs[name]]
    return {name: ours[name] for name in names}, {name: theirs[name] for name in names}


def _text(value: object) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
