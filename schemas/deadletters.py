"""Envelope of a dead letter: the original key, value and headers, then headers of ours with the reason and the place.

Shared by those who write dead letters and those who list, load or re-drive them.  Ours are the last `len(NAMES)`
headers, in this order, UTF-8 text, so an original header of the same name does no harm.

A letter keeps its name through all its deaths: a record that is put back carries it in a header, so that what dies
again is the same letter, one death older.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias
from uuid import NAMESPACE_URL, uuid5

from schemas.reasons import Reason
from schemas.topics import DEAD_LETTERS, LETTER_HEADER

Header: TypeAlias = tuple[str, bytes | None]

PREFIX = "nps.dead."
NAMES = tuple(PREFIX + part for part in ("reason", "detail", "topic", "partition", "offset", "timestamp_ms"))


class NotADeadLetter(ValueError):
    """Headers that do not end in those of a dead letter."""


@dataclass(frozen=True, slots=True)
class Death:
    """Reason of a dead letter and the place of its record; `timestamp_ms` is the Kafka timestamp, -1 for none."""

    reason: str
    detail: str
    topic: str
    partition: int
    offset: int
    timestamp_ms: int


class LetterDeath(NamedTuple):
    """One death of a letter: `number` 0 is the first, n that of the record which was put back for the nth time."""

    letter_id: str
    number: int


_NAMESPACE = uuid5(NAMESPACE_URL, "nps:letter")
_LETTER = re.compile(rb"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/(\d{1,9})")


def wrap(original: Sequence[Header] | None, death: Death) -> list[Header]:
    """Make a dead letter's headers: the original ones, then ours."""
    fields = (death.reason, death.detail, death.topic, death.partition, death.offset, death.timestamp_ms)
    return [*(original or ()), *((name, str(field).encode()) for name, field in zip(NAMES, fields, strict=True))]


def unwrap(headers: Sequence[Header] | None) -> tuple[list[Header], Death]:
    """Split a dead letter's headers into the original ones and the death.  Raises NotADeadLetter."""
    all_headers = list(headers or ())
    original, ours = all_headers[: -len(NAMES)], all_headers[-len(NAMES) :]
    if tuple(name for name, _ in ours) != NAMES:
        raise NotADeadLetter(f"expected headers {NAMES[0]} to {NAMES[-1]} at the end, found {[n for n, _ in ours]}")
    reason, detail, topic, *numbers = ((value or b"").decode(errors="replace") for _, value in ours)
    try:
        partition, offset, timestamp_ms = map(int, numbers)
    except ValueError:
        raise NotADeadLetter(f"partition, offset and timestamp_ms must be numbers, found {numbers}") from None
    return original, Death(reason, detail, topic, partition, offset, timestamp_ms)


def unwrap_any(headers: Sequence[Header] | None, offset: int, timestamp_ms: int) -> tuple[list[Header], Death]:
    """Split a dead letter's headers; a record that says no death died where it lies, at this offset, as unlabelled."""
    try:
        return unwrap(headers)
    except NotADeadLetter as error:
        return list(headers or ()), Death(Reason.UNLABELLED, str(error), DEAD_LETTERS, 0, offset, timestamp_ms)


def identify(original: Sequence[Header], death: Death) -> LetterDeath:
    """Name the letter of a death: the one that its record was put back from, else one of its own.

    The name is made of place, time and reason, so that a death that is written twice is one; the time, because a topic
    that was made anew has the same places again.
    """
    found = [_LETTER.fullmatch(value or b"") for name, value in original if name == LETTER_HEADER]
    if found and (match := found[-1]):
        return LetterDeath(match[1].decode(), int(match[2]))
    place = f"{death.topic}|{death.partition}|{death.offset}|{death.timestamp_ms}|{death.reason}"
    return LetterDeath(str(uuid5(_NAMESPACE, place)), 0)


def put_back(original: Sequence[Header], letter: LetterDeath) -> list[Header]:
    """Make the headers of a record that is put back: the original ones, then the death that comes if it dies again."""
    kept = [header for header in original if header[0] != LETTER_HEADER]
    return [*kept, (LETTER_HEADER, f"{letter.letter_id}/{letter.number + 1}".encode())]
