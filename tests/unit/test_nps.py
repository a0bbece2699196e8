"""Net Promoter Score: bands, tallies as a group, the score and its interval."""

import pytest

from streams.domain.nps import EMPTY, ONE, Band, Tally, band, interval, score


def tallied(scores: list[int]) -> Tally:
    """The tally of scores, one by one."""
    total = EMPTY
    for each in scores:
        total = total.plus(ONE[band(each)])
    return total


def test_bands_of_every_score() -> None:
    """0-6 detractor, 7-8 passive, 9-10 promoter."""
    assert [band(each) for each in range(11)] == [Band.DETRACTOR] * 7 + [Band.PASSIVE] * 2 + [Band.PROMOTER] * 2


@pytest.mark.parametrize(
    ("tally", "expected"),
    [
        (Tally(50, 30, 20), 30.0),
        (Tally(70, 20, 10), 60.0),
        (Tally(30, 50, 20), 10.0),
        (Tally(450, 300, 250), 20.0),
        (Tally(0, 1, 0), 0.0),
        (Tally(1, 0, 0), 100.0),
        (Tally(0, 0, 1), -100.0),
        (Tally(0, 0, 0), None),
        (tallied(list(range(11))), -45.45),
    ],
)
def test_published_examples(tally: Tally, expected: float | None) -> None:
    """The worked examples of the field; nobody answered is None, never 0."""
    assert score(tally) == expected


def test_pooling_adds_counts_not_scores() -> None:
    """10 answers of NPS 100 and 90 of NPS 0 are NPS 10, not 50."""
    small, large = Tally(10, 0, 0), Tally(0, 90, 0)
    assert (score(small), score(large), score(small.plus(large))) == (100.0, 0.0, 10.0)


@pytest.mark.parametrize(
    ("tally", "expected"),
    [
        (Tally(1, 31, 0), 3.12), (Tally(3, 29, 0), 9.38), (Tally(0, 31, 1), -3.12), (Tally(0, 29, 3), -9.38),
        (Tally(1, 3999, 0), 0.02), (Tally(3, 3997, 0), 0.08),
    ],
)  # fmt: skip
def test_halves_go_to_the_even_side(tally: Tally, expected: float) -> None:
    """3.125 is 3.12 and 9.375 is 9.38; and 0.025, which no binary number is, is 0.02."""
    assert score(tally) == expected


def test_interval_of_a_worked_example() -> None:
    """50/30/20 is 30.0, between 13.97 and 44.18; ten detractors alone are -100, up to -60.75."""
    assert interval(Tally(50, 30, 20)) == (13.97, 44.18, 15.11)
    assert interval(Tally(0, 0, 10)) == (-100.0, -60.75, 19.63)
    assert interval(EMPTY) is None
