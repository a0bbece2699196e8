"""Panes, windows and NPS, counted from answers one by one."""

from collections.abc import Iterable, Mapping
from math import sqrt

from tests.faults.oracle.outcome import Vote
from tests.faults.oracle.terms import LENGTHS_MS, Terms, cells_of, resolution_of

PLACE = {"promoter": 0, "passive": 1, "detractor": 2}
Z_95 = 1.959963984540054

Cell = tuple[str, str, int]
"""Segment, resolution and start of a pane."""
Tally = tuple[int, int, int]


def panes(votes: Iterable[Vote]) -> dict[tuple[Cell, int], Tally]:
    """The tally of each pane and source partition that holds anything."""
    tallies: dict[tuple[Cell, int], list[int]] = {}
    for vote in votes:
        for cell in cells_of(vote.segments, vote.at_ms):
            tallies.setdefault((cell, vote.partition), [0, 0, 0])[PLACE[vote.band]] += 1
    return {key: (tally[0], tally[1], tally[2]) for key, tally in tallies.items()}


def added(tallies: Mapping[tuple[Cell, int], Tally]) -> dict[Cell, Tally]:
    """The panes with their partitions added up."""
    sums: dict[Cell, Tally] = {}
    for (cell, _), tally in tallies.items():
        before = sums.get(cell, (0, 0, 0))
        sums[cell] = (before[0] + tally[0], before[1] + tally[1], before[2] + tally[2])
    return sums


class Panes:
    """Whole panes by segment, to sum ranges of."""

    def __init__(self, cells: Mapping[Cell, Tally], terms: Terms) -> None:
        self._terms = terms
        self._cells: dict[tuple[str, str], list[tuple[int, Tally]]] = {}
        for (segment, resolution, start_ms), tally in cells.items():
            self._cells.setdefault((segment, resolution), []).append((start_ms, tally))

    @property
    def segments(self) -> set[str]:
        """Every segment with an answer in any pane."""
        return {segment for segment, _ in self._cells}

    def window(self, segment: str, name: str, end_ms: int) -> Tally:
        """The sum over `[end_ms - length, end_ms)`."""
        length_ms = self._terms.windows_ms[name]
        inside = [
            tally
            for start_ms, tally in self._cells.get((segment, resolution_of(length_ms)), ())
            if end_ms - length_ms <= start_ms < end_ms
        ]
        return sum(one[0] for one in inside), sum(one[1] for one in inside), sum(one[2] for one in inside)

    def end_ms(self, name: str, now_ms: int) -> int:
        """Where the window of this name ends at this instant: with the pane that is open."""
        pane_ms = LENGTHS_MS[resolution_of(self._terms.windows_ms[name])]
        return now_ms - now_ms % pane_ms + pane_ms


def figures(tally: Tally) -> tuple[float | None, float | None, float | None, float | None]:
    """NPS, the ends of its 95 % adjusted-Wald interval, and the margin; all None without answers."""
    promoters, passives, detractors = tally
    n = promoters + passives + detractors
    if not n:
        return None, None, None, None
    p, d = (promoters + 0.75) / (n + 3), (detractors + 0.75) / (n + 3)
    reach = Z_95 * sqrt((p + d - (p - d) ** 2) / (n + 3))
    low, high = max(-1.0, p - d - reach) * 100, min(1.0, p - d + reach) * 100
    return round(100 * (promoters - detractors) / n, 2), round(low, 2), round(high, 2), round((high - low) / 2, 2)
