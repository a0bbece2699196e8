"""A recount by brute force, in plain Python: bands, panes, windows and last words, worked out from everything at once.

It knows the records of `schemas.events` and shares no code with what it judges.
"""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from hashlib import blake2b
from typing import NamedTuple

from schemas.events import PaneTally, SurveyResponse

BANDS = ("promoter", "passive", "detractor")
LENGTHS_MS = {"minute": 60_000, "hour": 3_600_000, "day": 86_400_000}

Counts = tuple[int, int, int]
"""Promoters, passives, detractors."""
Cell = tuple[str, str, int]
"""Segment, resolution and start of a pane."""


class Vote(NamedTuple):
    """An answer that counts: in which segments, when, and for how much."""

    segments: Sequence[str]
    at_ms: int
    score: int


def band_of(score: int) -> str:
    """The word for a score from 0 to 10."""
    return BANDS[0] if score >= 9 else BANDS[1] if score >= 7 else BANDS[2]


def counts(scores: Iterable[int]) -> Counts:
    """How many scores fall in each band."""
    bands = [band_of(score) for score in scores]
    return bands.count("promoter"), bands.count("passive"), bands.count("detractor")


def total(parts: Iterable[Counts]) -> Counts:
    """All of them added up."""
    found = list(parts)
    return sum(one[0] for one in found), sum(one[1] for one in found), sum(one[2] for one in found)


def nps(found: Counts) -> float | None:
    """100·(promoters - detractors)/all, to two decimals, half to even; None when nobody answered."""
    return float(round(Fraction(100 * (found[0] - found[2]), sum(found)), 2)) if any(found) else None


def panes(votes: Iterable[Vote]) -> dict[Cell, Counts]:
    """Every pane that holds anything: each vote counts in the minute, hour and day of all its segments."""
    scores: dict[Cell, list[int]] = {}
    for vote in votes:
        for cell in _cells(vote):
            scores.setdefault(cell, []).append(vote.score)
    return {cell: counts(found) for cell, found in scores.items()}


def held(records: Iterable[PaneTally]) -> dict[Cell, Counts]:
    """What nps.panes says: every pane that holds anything, its source partitions added up."""
    parts: dict[Cell, list[Counts]] = {}
    for pane in newest(records):
        parts.setdefault((pane.segment, pane.resolution, pane.start_ms), []).append(_counts_of(pane))
    return {cell: found for cell, tallies in parts.items() if any(found := total(tallies))}


def newest(records: Iterable[PaneTally]) -> list[PaneTally]:
    """Of each pane, source partition and supplement the record of the highest version, of equals the first."""
    last: dict[tuple[str, str, int, int, int], PaneTally] = {}
    for pane in records:
        key = (pane.segment, pane.resolution, pane.start_ms, pane.source_partition, pane.supplement)
        if key not in last or pane.version > last[key].version:
            last[key] = pane
    return list(last.values())


def window(records: Iterable[PaneTally], segment: str, length_ms: int, now_ms: int) -> Counts:
    """The sum over the panes of a window that ends with the one that is open now."""
    resolution = _resolution_of(length_ms)
    end_ms = now_ms - now_ms % LENGTHS_MS[resolution] + LENGTHS_MS[resolution]
    return total(
        _counts_of(pane)
        for pane in newest(records)
        if (pane.segment, pane.resolution) == (segment, resolution) and end_ms - length_ms <= pane.start_ms < end_ms
    )


def last_word(responses: Iterable[SurveyResponse]) -> tuple[int, int] | None:
    """The time of the first score since the last withdrawal, and the newest score; None when there is none."""
    responses = list(responses)
    withdrawn_ms = max((each.time for each in responses if each.voided), default=-1)
    live = [each for each in responses if each.score is not None and not each.voided and each.time > withdrawn_ms]
    if not live:
        return None
    return min(each.time for each in live), max(live, key=stamp).score or 0


def stamp(response: SurveyResponse) -> tuple[int, int]:
    """Which of two is newer: the later one, and of two at one time the one whose name has the higher hash."""
    name = f"{len(response.source)}:{response.source}{len(response.id)}:{response.id}"
    return response.time, int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big", signed=True)


def _cells(vote: Vote) -> Iterator[Cell]:
    for segment in vote.segments:
        for resolution, length_ms in LENGTHS_MS.items():
            yield segment, resolution, vote.at_ms - vote.at_ms % length_ms


def _counts_of(pane: PaneTally) -> Counts:
    return pane.promoters, pane.passives, pane.detractors


def _resolution_of(length_ms: int) -> str:
    if length_ms <= 6 * LENGTHS_MS["hour"]:
        return "minute"
    return "hour" if length_ms <= 14 * LENGTHS_MS["day"] else "day"
