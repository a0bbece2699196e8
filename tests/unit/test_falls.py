"""Falls of NPS: known figures, and how a fall opens, stays, resolves and opens again."""

import pytest

from streams.domain.incidents.falls import (
    BeforeAfter,
    FallWatch,
    WindowEvidence,
    evidence_z,
    follow,
    judge,
    smallest,
    spread,
    thresholds,
)
from streams.domain.nps import Tally
from streams.domain.panes import DAY_MS, HOUR_MS
from tests.support.falls import policy

POLICY = policy()
WINDOWS = {window.name: window for window in POLICY.windows}
BEFORE, LOW, GOOD = Tally(1_400, 840, 560), Tally(80, 60, 60), Tally(100, 60, 40)
"""NPS 30, 10 and 30."""

START = 400_000
"""Hours since 1970 before the first close."""


def test_thresholds_of_the_example() -> None:
    """52 false alerts a year over 100 segments and five windows; short windows are looked at more often."""
    assert thresholds(POLICY) == (4.4918, 4.1512, 3.8567, 3.6101, 3.3922)


def test_many_answers_are_a_plain_z() -> None:
    """Where chance is normal, evidence is the difference over its standard error."""
    compared = BeforeAfter(Tally(500_000, 300_000, 200_000), Tally(49_800, 30_000, 20_200), 28, 7)
    assert evidence_z(compared, 0) == pytest.approx(0.004 / (0.61 * (1 / 100_000 + 1 / 1_000_000)) ** 0.5, rel=0.002)


def test_smallest_fall_of_a_segment() -> None:
    """700 answers against 2,800, days alike: 3.61 + 0.84 standard errors of 3.3 points, and what is ignored."""
    assert smallest(BeforeAfter(Tally(1_400, 840, 560), Tally(350, 210, 140), 28, 7), 3.61, 2) == pytest.approx(
        16.7, abs=0.1
    )


def test_days_that_differ_are_told_from_chance() -> None:
    """28 days of 100 answers that alternate between NPS 20 and 40: a variance of 0.01 less what chance explains."""
    days = {day * DAY_MS: Tally(45, 30, 25) if day % 2 else Tally(55, 30, 15) for day in range(28)}
    found = spread(days, 28 * DAY_MS)
    assert found.tally == Tally(1_400, 840, 560)
    assert found.tau2 == pytest.approx(0.01 * 28 / 27 - 0.61 / 100, abs=1e-4)
    alike = dict.fromkeys(days, Tally(50, 30, 20))
    assert spread(alike, 28 * DAY_MS).tau2 == 0
    assert spread({0: Tally(9, 0, 1), DAY_MS: Tally(0, 0, 10)}, 28 * DAY_MS).tau2 == 0, "two days say nothing of days"


def test_few_answers_are_not_judged() -> None:
    """Below minimum_n in the window, and below 100 before it."""
    hours = {hour * HOUR_MS: Tally(1, 0, 0) for hour in range(50 * 24)}
    days = {day * DAY_MS: Tally(24, 0, 0) for day in range(50)}
    judged = judge(hours, days, 50 * DAY_MS, POLICY, 30)
    assert [(each.after.n, each.before.n, each.z is None, each.smallest is None) for each in judged] == [
        (6, 42, True, True), (24, 672, True, True), (72, 672, False, False), (168, 672, False, False),
        (336, 672, False, False),
    ]  # fmt: skip


def one(name: str, z: float, after: Tally, error: float = 3) -> WindowEvidence:
    """Evidence of one window, its threshold 4."""
    return WindowEvidence(WINDOWS[name], BEFORE, after, z, 4.0, 12.0, error)


def run(watch: FallWatch, first: int, evidence: list[list[WindowEvidence]]) -> FallWatch:
    """Closes one after another from this hour after START on."""
    for at, each in enumerate(evidence):
        watch = follow(watch, (START + first + at) * HOUR_MS, each)
    return watch


def test_a_fall_opens_at_its_threshold_by_its_strongest_window() -> None:
    """Not below it; the tallies of that moment are kept however much worse it gets."""
    watch = run(FallWatch(), 1, [[one("6h", 3.99, LOW), one("1d", 3.9, LOW)]])
    assert watch.fall is None
    watch = run(
        watch, 2, [[one("6h", 4.0, LOW), one("1d", 4.1, LOW)], [one("6h", 9, Tally(0, 0, 50)), one("1d", 6, LOW)]]
    )
    assert watch.fall is not None
    assert (watch.fall.window, watch.fall.since_ms, watch.fall.before, watch.fall.after, watch.fall.smallest) == (
        "1d", (START + 2) * HOUR_MS, BEFORE, LOW, 12.0
    )  # fmt: skip


def test_a_fall_resolves_when_every_window_is_below_half() -> None:
    """One at half of its threshold holds it open; then any window may open the next."""
    opened = run(FallWatch(), 1, [[one("6h", 5, LOW), one("7d", 3, LOW)]])
    held = run(opened, 2, [[one("6h", -1, GOOD), one("7d", 2.0, LOW)]])
    assert held.fall is not None
    over = run(held, 3, [[one("6h", -1, GOOD), one("7d", 1.99, LOW)]])
    assert (over.fall, over.begin_ms) == (None, 0)


def test_a_segment_that_is_back_for_a_day_resolves() -> None:
    """Long windows still hold the fall; the shortest of a day or more that can tell says it is over, after 24 hours.

    hour  1 opened   2 back   ... 20 a setback   21 back ...   44 not yet   45 resolved: back since 21
    """
    low, back = [one("1d", 5, LOW), one("14d", 5, LOW)], [one("1d", 0.5, GOOD), one("14d", 3.5, LOW)]
    setback = [one("1d", 0.5, Tally(90, 60, 50)), one("14d", 3.5, LOW)]
    watch = run(FallWatch(), 1, [low, *[back] * 18, setback, *[back] * 24])
    assert watch.fall is not None
    assert watch.fall.back_since_ms == (START + 21) * HOUR_MS
    watch = run(watch, 45, [back])
    assert (watch.fall, watch.begin_ms) == (None, (START + 45 - 24) * HOUR_MS)
    watch = run(watch, 46, [[one("1d", 1, GOOD), one("14d", 4.5, LOW)]])
    assert watch.fall is None, "the window of 14 days began before the recovery"
    watch = run(watch, 46 + 24, [[one("1d", 4.5, LOW), one("14d", 4.5, LOW)]])
    assert watch.fall is not None
    assert watch.fall.window == "1d"


def test_a_window_that_cannot_tell_says_nothing_of_recovery() -> None:
    """A day with a standard error of 6 points cannot tell a fall of 20; the longer one still sees it."""
    low = [one("1d", 5, LOW), one("14d", 5, LOW)]
    unsure = [one("1d", 0.5, GOOD, error=6), one("14d", 3.5, LOW)]
    assert run(FallWatch(), 1, [low, *[unsure] * 60]).fall is not None
