"""Panes: the minute, hour and day that an instant belongs to.

A pane is half open, `[start_ms, start_ms + length)`, aligned to 1970 UTC and found by floor division, so that instants
before 1970 fall right too.

A pane goes once a partition's own time is past its life (`Program.pane_life_ms`).  Time does not go back, yet history
that is loaded behind live events, or a response that waited long for its survey, may still count in such a pane.  To
count on from blank under the same name would replace the tally in the warehouse by a smaller one.  So a pane that is
gone is never made anew: what comes after counts in supplements to it, each under a name of its own and for so many
records, so that it goes too once they are done.  The tally of a pane is the sum of its supplements and itself, exact
whatever comes when.
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


RESOLUTIONS = {resolution.value: resolution for resolution in Resolution}
"""Resolutions by name: looking one up costs a fifth of `Resolution(name)`."""

LENGTH_MS = {Resolution.MINUTE: MINUTE_MS, Resolution.HOUR: HOUR_MS, Resolution.DAY: DAY_MS}


SUPPLEMENT_SHIFT = 16
"""Bits of a version below the number of a supplement: each counts 65,536 records."""


class Pane(NamedTuple):
    """One segment's minute, hour or day; `supplement` is 0, or the number of a supplement to a pane that is gone."""

    segment: str
    resolution: Resolution
    start_ms: int
    supplement: int = 0


def supplement(version: int) -> int:
    """Number of the supplements in which the record of this version counts; higher for higher versions."""
    return 1 + (version >> SUPPLEMENT_SHIFT)


def floor_ms(at_ms: int, length_ms: int) -> int:
    """Start of the pane of this length that holds the instant."""
    return at_ms // length_ms * length_ms


def panes(segments: tuple[str, ...], at_ms: int) -> list[Pane]:
    """Panes that an answer first given at this instant is counted in: three for each segment."""
    starts = [(resolution, floor_ms(at_ms, length)) for resolution, length in LENGTH_MS.items()]
    return [Pane(segment, resolution, start) for segment in segments for resolution, start in starts]
