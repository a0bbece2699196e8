"""Laws of the test of falls: it equals its definition, and what opens and resolves follows from the evidence alone."""

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.domain.incidents.falls import (
    LEAST_BEFORE,
    BeforeAfter,
    FallWatch,
    cramer,
    evidence_z,
    follow,
    judge,
    threshold,
)
from streams.domain.nps import EMPTY, Tally
from streams.domain.panes import DAY_MS, HOUR_MS, floor_ms
from tests.support.falls import MINIMUM_N, WARM_MS, Segment, goal_run, looks, poisson, policy
from tests.support.laws import examples

SHARES = st.tuples(*[st.integers(1, 1_000)] * 3).map(lambda parts: tuple(part / sum(parts) for part in parts))
TALLIES = st.builds(Tally, *[st.integers(0, 400)] * 3).filter(lambda tally: tally.n > 0)
POLICY = policy("12h", "1d", "30h", "7d")
NOW_MS = 1_700_000_000_000 // HOUR_MS * HOUR_MS


def highest(of: Callable[[float], float], low: float, high: float) -> float:
    """The maximum of a concave function, by thirds."""
    for _ in range(200):
        left, right = low + (high - low) / 3, high - (high - low) / 3
        low, high = (left, high) if of(left) < of(right) else (low, right)
    return of((low + high) / 2)


@given(SHARES, st.floats(-0.99, 0.99))
def test_the_transform_is_what_it_is_defined_as(shares: tuple[float, float, float], mean: float) -> None:
    """The highest of `tilt * mean - log E exp(tilt * score)`, found by search."""
    p, q, d = shares

    def below(tilt: float) -> float:
        return tilt * mean - math.log(p * math.exp(tilt) + q + d * math.exp(-tilt))

    assert cramer(shares, mean) == pytest.approx(highest(below, -30, 30), abs=1e-9)


@given(TALLIES, TALLIES, st.floats(0, 20), st.floats(0, 0.1))
def test_evidence_has_the_sign_of_the_change(before: Tally, after: Tally, ignore: float, tau2: float) -> None:
    """Above 0 only where NPS fell by more than is ignored; days that differ take from it, and never turn it."""
    z = evidence_z(BeforeAfter(before, after, 28, 7), ignore)
    shrunk = evidence_z(BeforeAfter(before, after, 28, 7, tau2), ignore)
    assert abs(shrunk) <= abs(z) + 1e-12
    assert z * shrunk >= 0
    smoothed = (before.promoters - before.detractors) / (before.n + 2)
    change = (after.promoters - after.detractors) / after.n + ignore / 100 - smoothed
    assert (z > 0) <= (change < 0)


@given(st.floats(1, 1e6), st.floats(0.001, 1_000))
def test_the_threshold_solves_its_equation(lengths: float, allowed: float) -> None:
    """So many crossings of z are expected as are allowed, between the bounds."""
    z = threshold(lengths, allowed)

    def crossings(level: float) -> float:
        return lengths * level**2 * math.erfc(level / math.sqrt(2)) / 2

    assert 1.5 <= z <= 10
    if 1.5001 < z < 9.9999:
        assert crossings(z + 1e-4) <= allowed <= crossings(z - 1e-4)


def count(said: list[tuple[int, int]], from_ms: int, to_ms: int) -> Tally:
    """Recount of answers, each an instant and a score of 1, 0 or -1."""
    inside = [score for at_ms, score in said if from_ms <= at_ms < to_ms]
    return Tally(inside.count(1), inside.count(0), inside.count(-1))


def days_differ(said: list[tuple[int, int]], end_ms: int) -> float:
    """DerSimonian and Laird, word for word: Q over days as studies."""
    days = [count(said, end_ms - (k + 1) * DAY_MS, end_ms - k * DAY_MS) for k in range(28)]
    days = [day for day in days if day.n]
    total: list[int] = [sum(band) for band in zip(*days, strict=True)]
    n = sum(day.n for day in days)
    if len(days) < 7 or sum(day.n * day.n for day in days) == n * n:
        return 0.0
    mean = (total[0] - total[2]) / n
    variance = (total[0] + total[2]) / n - mean * mean
    if variance <= 0:
        return 0.0
    weights = [day.n / variance for day in days]
    q = sum(
        weight * ((day.promoters - day.detractors) / day.n - mean) ** 2
        for weight, day in zip(weights, days, strict=True)
    )
    freedom = sum(weights) - sum(weight * weight for weight in weights) / sum(weights)
    return max(0.0, (q - (len(days) - 1)) / freedom)


@settings(max_examples=examples(60))
@given(st.randoms(use_true_random=False), st.integers(0, 12), st.integers(0, 23))
def test_judging_panes_is_judging_the_answers(rng: random.Random, a_day: int, hour: int) -> None:
    """Tallies, spread and evidence of each window equal those worked out from single answers."""
    end_ms = NOW_MS + hour * HOUR_MS
    said = [(end_ms - 1 - rng.randrange(45 * DAY_MS), rng.choices((1, 0, -1), (5, 3, 2))[0]) for _ in range(a_day * 45)]
    hours, days = dict[int, Tally](), dict[int, Tally]()
    for at_ms, score in said:
        for panes, length_ms in ((hours, HOUR_MS), (days, DAY_MS)):
            start_ms = floor_ms(at_ms, length_ms)
            panes[start_ms] = panes.get(start_ms, EMPTY).plus(Tally(score == 1, score == 0, score == -1))
    for each in judge(hours, days, end_ms, POLICY, MINIMUM_N):
        length_ms = each.window.length_ms
        start_ms = end_ms - length_ms
        last_ms = start_ms - start_ms % DAY_MS
        before = count(said, last_ms - 28 * DAY_MS, last_ms)
        if length_ms < DAY_MS:
            before = EMPTY
            for ago in range(1, 8):
                before = before.plus(count(said, start_ms - ago * DAY_MS, end_ms - ago * DAY_MS))
        assert (each.before, each.after) == (before, count(said, start_ms, end_ms))
        assert (each.z is not None) == (each.after.n >= MINIMUM_N and before.n >= LEAST_BEFORE)
        if each.z is not None:
            days_before, days_after = (7, 1) if length_ms < DAY_MS else (28, length_ms / DAY_MS)
            compared = BeforeAfter(before, each.after, days_before, days_after, days_differ(said, last_ms))
            assert each.z == pytest.approx(evidence_z(compared, POLICY.ignore), abs=1e-4)


@settings(max_examples=examples(10))
@given(st.integers(0, 1_000), st.randoms(use_true_random=False))
def test_a_close_that_comes_again_changes_nothing(seed: int, rng: random.Random) -> None:
    """Whether every close comes once, or earlier ones come again at random, the same falls open and resolve."""
    segment = Segment(300, points=40, fall_from=40, fall_to=100)
    closes = list(looks(segment, random.Random(seed), 8, policy()))
    once, again = FallWatch(), FallWatch()
    for at, (end_ms, evidence) in enumerate(closes):
        once = follow(once, end_ms, evidence)
        again = follow(again, end_ms, evidence)
        repeated, old = closes[rng.randrange(at + 1)]
        again = follow(again, repeated, old)
        assert again == once


@pytest.mark.parametrize("seed", range(4))
def test_a_big_fall_is_found_and_resolves_once_it_is_over(seed: int) -> None:
    """40 points at 200 answers a day for five days: found within two days, told once, over within three weeks."""
    segment = Segment(200, points=40, fall_from=50, fall_to=50 + 5 * 24)
    watch, opened, resolved = FallWatch(), list[int](), list[int]()
    for end_ms, evidence in looks(segment, random.Random(seed), 30, policy()):
        was, watch = watch.fall, follow(watch, end_ms, evidence)
        opened += [(end_ms - WARM_MS) // HOUR_MS] if was is None and watch.fall is not None else []
        resolved += [(end_ms - WARM_MS) // HOUR_MS] if was is not None and watch.fall is None else []
    assert len(opened) == len(resolved) == 1
    assert 50 < opened[0] <= 50 + 48
    assert opened[0] < resolved[0] < segment.fall_to + 21 * 24


def check_goal(runs: range, ignore: float) -> None:
    """At most 2 false alerts a run of 100 even segments on average, and 80 % of falls of 20 points found."""
    done = [goal_run(seed, ignore) for seed in runs]
    assert sum(false for false, _ in done) <= 2 * len(done), done
    assert sum(found for _, found in done) >= 0.8 * 100 * len(done), done


def test_even_segments_stay_quiet_and_falls_are_found() -> None:
    """100 even segments of 800 answers before and 800 looked at one by one, and as many that fall: one run."""
    check_goal(range(1), 2)


@pytest.mark.long
@pytest.mark.parametrize("ignore", [0, 2])
def test_twenty_runs_stay_quiet_and_find_falls(ignore: float) -> None:
    """The same twenty times, whether two points are ignored or none."""
    check_goal(range(20), ignore)


@given(st.floats(0, 200), st.integers(0, 1_000))
def test_numbers_of_answers_are_poisson(mean: float, seed: int) -> None:
    """What the simulation draws has the mean that it was asked for, within six standard errors of 200 draws."""
    rng = random.Random(seed)
    drawn = [poisson(rng, mean) for _ in range(200)]
    assert abs(sum(drawn) / 200 - mean) <= 6 * math.sqrt(max(mean, 0.05) / 200)
