"""The envelope of a dead letter: the original key, value and headers, followed by headers of ours that say why.

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
    """These headers do not end in a dead letter's own."""


@dataclass(frozen=True, slots=True)
class Death:
    """Why a record died, and where it lay: `timestamp_ms` is its Kafka timestamp, -1 when it had none."""

    reason: str
    detail: str
    topic: str
    partition: int
    offset: int
    timestamp_ms: int


def wrap(original: Sequence[Header] | None, death: Death) -> list[Header]:
    """The dead letter's headers: the original ones, then ours."""
    fields = (death.reason, death.detail, death.topic, death.partition, death.offset, death.timestamp_ms)
    return [*(original or ()), *((name, str(field).encode()) for name, field in zip(NAMES, fields, strict=True))]


def unwrap(headers: Sequence[Header] | None) -> tuple[list[Header], Death]:
    """The original headers and the death, from a dead letter's headers.  Raises NotADeadLetter."""
    found = list(headers or ())
    original, ours = found[: -len(NAMES)], found[-len(NAMES) :]
    if tuple(name for name, _ in ours) != NAMES:
        raise NotADeadLetter(f"expected headers {NAMES[0]} to {NAMES[-1]} at the end, found {[n for n, _ in ours]}")
    reason, detail, topic, *numbers = ((value or b"").decode(errors="replace") for _, value in ours)
    try:
        partition, offset, timestamp_ms = map(int, numbers)
    except ValueError:
        raise NotADeadLetter(f"partition, offset and timestamp_ms must be numbers, found {numbers}") from None
    return original, Death(reason, detail, topic, partition, offset, timestamp_ms)
