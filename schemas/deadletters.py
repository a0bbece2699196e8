"""Envelope of a dead letter: the original key, value and headers, then headers of ours with the reason and the place.

Shared by those who write dead letters and those who list, load or re-drive them.  Ours are the last `len(NAMES)`
headers, in this order, UTF-8 text, so an original header of the same name does no harm.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

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
