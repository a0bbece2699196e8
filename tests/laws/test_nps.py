"""Laws of the Net Promoter Score: tallies are a group, score and interval equal the textbook."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.domain.nps import EMPTY, ONE, Tally, band, interval, score
from tests.support.recount import counts, nps

COUNTS = st.integers(0, 10**9)
TALLIES = st.builds(Tally, COUNTS, COUNTS, COUNTS)
DELTAS = st.builds(Tally, st.integers(), st.integers(), st.integers())
SCORES = st.integers(0, 10)


def tallied(scores: list[int]) -> Tally:
    """The tally of scores, one by one."""
    total = EMPTY
    for each in scores:
        total = total.plus(ONE[band(each)])
    return total


@given(st.integers().filter(lambda each: not 0 <= each <= 10))
def test_no_band_for_any_other_number(wrong: int) -> None:
    """Never clamped: a score outside 0 to 10 is an error that names it."""
    with pytest.raises(ValueError, match=str(wrong)):
        band(wrong)


@given(st.lists(SCORES, min_size=1, max_size=60))
def test_score_is_share_of_promoters_less_share_of_detractors(scores: list[int]) -> None:
    """Equal to a count over the raw scores; passives stay in the denominator."""
    got = score(tallied(scores))
    assert got == nps(counts(scores)), "two decimals"
    assert got is not None
    assert -100 <= got <= 100


@given(DELTAS, DELTAS, DELTAS)
def test_tallies_are_a_commutative_group(a: Tally, b: Tally, c: Tally) -> None:
    """They add in any order and grouping, EMPTY changes nothing, and what was added can be taken away."""
    assert a.plus(b) == b.plus(a)
    assert a.plus(b).plus(c) == a.plus(b.plus(c))
    assert a.plus(EMPTY) == a
    assert a.plus(EMPTY.minus(a)) == EMPTY
    assert a.plus(b).minus(b) == a
    assert a.plus(b).n == a.n + b.n


@given(st.lists(SCORES, max_size=40))
def test_tally_equals_a_count_of_bands(scores: list[int]) -> None:
    """A tally is how many answers fell in each band."""
    assert tallied(scores) == counts(scores)


def by_the_book(tally: Tally) -> tuple[float, float, float]:
    """Newcombe's method for paired proportions, of the table of those who are promoters or not, detractors or not."""
    n = tally.n
    both, only_promoters, only_detractors, neither = 0, tally.promoters, tally.detractors, tally.passives
    (l1, p1, u1), (l2, p2, u2) = (wilson(each, n) for each in (both + only_promoters, both + only_detractors))
    sides = (
        (both + only_promoters) * (only_detractors + neither) * (both + only_detractors) * (only_promoters + neither)
    )
    phi = (both * neither - only_promoters * only_detractors) / math.sqrt(sides) if sides else 0.0
    down = math.sqrt((p1 - l1) ** 2 - 2 * phi * (p1 - l1) * (u2 - p2) + (u2 - p2) ** 2)
    up = math.sqrt((u1 - p1) ** 2 - 2 * phi * (u1 - p1) * (p2 - l2) + (p2 - l2) ** 2)
    low, high = 100 * (p1 - p2 - down), 100 * (p1 - p2 + up)
    return low, high, (high - low) / 2


def wilson(count: int, n: int) -> tuple[float, float, float]:
    """Lower end, share and upper end: Wilson's, as the roots of his quadratic."""
    z2 = 1.959964**2
    middle, root = 2 * count + z2, math.sqrt(z2 * z2 + 4 * count * z2 * (n - count) / n)
    return (middle - root) / (2 * (n + z2)), count / n, (middle + root) / (2 * (n + z2))


@given(TALLIES.filter(lambda tally: tally.n > 0))
def test_interval_equals_the_textbook_and_holds_the_score(tally: Tally) -> None:
    """Equal to the paired table's, inside -100 to 100, half as wide as its margin; the score lies in it."""
    got, points = interval(tally), score(tally)
    assert got is not None
    assert points is not None
    assert tuple(got) == pytest.approx(by_the_book(tally), abs=0.016)
    assert -100 <= got.low <= points <= got.high <= 100


@given(TALLIES.filter(lambda tally: tally.n > 0), st.integers(2, 50))
def test_more_of_the_same_answers_are_surer(tally: Tally, times: int) -> None:
    """The same shares over more answers never widen the interval."""
    once, often = interval(tally), interval(Tally(*(count * times for count in tally)))
    assert once is not None
    assert often is not None
    assert often.margin <= once.margin + 0.02, "both are rounded up"
