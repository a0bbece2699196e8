"""Panes: the minute, hour and day that an instant belongs to.

A pane is half open, `[start_ms, start_ms + length)`, aligned to 1970 UTC and found by floor division, so that instants
before 1970 fall right too.
"""

from enum import StrEnum
from typing import NamedTuple

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS


class Resolution(StrEnum):
    """Length of a pane."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"


LENGTH_MS = {Resolution.MINUTE: MINUTE_MS, Resolution.HOUR: HOUR_MS, Resolution.DAY: DAY_MS}


class Pane(NamedTuple):
    """One segment's minute, hour or day."""

    segment: str
    resolution: Resolution
    start_ms: int


def floor_ms(at_ms: int, length_ms: int) -> int:
    """Start of the pane of this length that holds the instant."""
    return at_ms // length_ms * length_ms


def panes(segments: tuple[str, ...], at_ms: int) -> list[Pane]:
    """Panes that an answer first given at this instant is counted in: three for each segment."""
    starts = [(resolution, floor_ms(at_ms, length)) for resolution, length in LENGTH_MS.items()]
    return [Pane(segment, resolution, start) for segment in segments for resolution, start in starts]
