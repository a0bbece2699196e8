"""Panes, windows and NPS, counted from answers one by one."""

from collections.abc import Iterable, Mapping
from decimal import Decimal, localcontext
from fractions import Fraction
from math import ceil, floor

from tests.faults.oracle.outcome import Vote
from tests.faults.oracle.terms import LENGTHS_MS, Terms, cells_of, resolution_of

PLACE = {"promoter": 0, "passive": 1, "detractor": 2}
Z_95 = Decimal("1.959963984540054")

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
    """NPS, the ends of its 95 % interval, and the margin; all None without answers.

    Worked out in fractions and decimals of forty digits: half to even, and the interval outwards.
    """
    promoters, passives, detractors = tally
    n = promoters + passives + detractors
    if not n:
        return None, None, None, None
    with localcontext(prec=40):
        p, d = Decimal(promoters) / n, Decimal(detractors) / n
        (p_low, p_high), (d_low, d_high) = _limits(promoters, n), _limits(detractors, n)
        spread = p * (1 - p) * d * (1 - d)
        together = 2 * p * d / spread.sqrt() if spread else Decimal(0)
        down, up = (
            (one * one + other * other + together * one * other).sqrt()
            for one, other in ((p - p_low, d_high - d), (p_high - p, d - d_low))
        )
        noise = Decimal("1e-12")  # an end that is a whole number in truth: all promoters, for one
        low = max(-10_000, floor(10_000 * (p - d - down) + noise))
        high = min(10_000, ceil(10_000 * (p - d + up) - noise))
    nps = float(round(Fraction(100 * (promoters - detractors), n), 2))
    return nps, low / 100, high / 100, -(-(high - low) // 2) / 100


def _limits(count: int, n: int) -> tuple[Decimal, Decimal]:
    """The shares from which a count of n is 1.96 standard errors away: the roots of (count/n - x)² = z² x(1 - x)/n."""
    a, b, c = n + Z_95 * Z_95, 2 * count + Z_95 * Z_95, Decimal(count) * count / n
    root = (b * b - 4 * a * c).sqrt()
    return (b - root) / (2 * a), (b + root) / (2 * a)
