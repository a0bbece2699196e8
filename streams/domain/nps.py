"""Net Promoter Score: bands, tallies, the score and its confidence interval."""

from enum import StrEnum
from math import sqrt
from typing import NamedTuple

Z_95 = 1.959963984540054
"""Two-sided 95 % quantile of the normal distribution."""


class Band(StrEnum):
    """Class of an answer by its score: 0-6 detractor, 7-8 passive, 9-10 promoter (Reichheld, HBR 12/2003)."""

    PROMOTER = "promoter"
    PASSIVE = "passive"
    DETRACTOR = "detractor"


_BANDS = (*[Band.DETRACTOR] * 7, *[Band.PASSIVE] * 2, *[Band.PROMOTER] * 2)


def band(score: int) -> Band:
    """The band of a score from 0 to 10.  Raises ValueError for any other."""
    if not 0 <= score <= 10:
        raise ValueError(f"a score is 0 to 10, not {score}")
    return _BANDS[score]


class Tally(NamedTuple):
    """Counts of answers by band.  Tallies form a group: they add and they subtract."""

    promoters: int = 0
    passives: int = 0
    detractors: int = 0

    @property
    def n(self) -> int:
        """Number of answers; passives count."""
        return self.promoters + self.passives + self.detractors

    def plus(self, other: "Tally") -> "Tally":
        """Sum of both tallies."""
        return Tally(self[0] + other[0], self[1] + other[1], self[2] + other[2])

    def minus(self, other: "Tally") -> "Tally":
        """Difference of both tallies."""
        return Tally(self[0] - other[0], self[1] - other[1], self[2] - other[2])


EMPTY = Tally()
ONE = {Band.PROMOTER: Tally(1, 0, 0), Band.PASSIVE: Tally(0, 1, 0), Band.DETRACTOR: Tally(0, 0, 1)}


def score(tally: Tally) -> float | None:
    """NPS from -100 to 100 to two decimals: 100·(promoters - detractors)/n; None when nobody answered."""
    return round(100 * (tally.promoters - tally.detractors) / tally.n, 2) if tally.n else None


class Interval(NamedTuple):
    """Confidence interval of the NPS at 95 %, in points from -100 to 100; `margin` is half its width."""

    low: float
    high: float
    margin: float


def interval(tally: Tally) -> Interval | None:
    """The adjusted-Wald interval: n+3, promoters+3/4, detractors+3/4; None when nobody answered.

    Source: B. Rocks, "Interval Estimation for the Net Promoter Score", The American Statistician 70 (2016), 365-372.
    50/30/20 gives 14.1 to 44.2.  Cut off at -100 and 100.
    """
    if not tally.n:
        return None
    n = tally.n + 3
    promoters, detractors = (tally.promoters + 0.75) / n, (tally.detractors + 0.75) / n
    centre = promoters - detractors
    half_width = Z_95 * sqrt((promoters + detractors - centre**2) / n)
    low, high = max(-100.0, 100 * (centre - half_width)), min(100.0, 100 * (centre + half_width))
    return Interval(round(low, 2), round(high, 2), round((high - low) / 2, 2))
