"""Falls of NPS: the test of a segment's windows against the days before them, and when a fall opens and resolves.

At each close of an hour every window's answers (`after`) are compared with those of the 28 whole UTC days before the
window, a window below a day with the same hours of the 7 days before (`before`).  All of it is a pure function of hour
and day panes: the same panes give the same evidence, whatever order they came in.

The evidence is z, the standard deviations by which `after` lies below `before` and what is ignored:

    r = sqrt(2 * n_after * L)      signed root of the log-likelihood ratio; L is the Cramér transform of `before`'s
                                   distribution at the mean of `after` + ignore: H. Cramér, "Sur un nouveau
                                   théorème-limite de la théorie des probabilités", Actualités scientifiques 736 (1938)
    z = r * sqrt(a / (a + b + t))  a = v/n_after, b = v/n_before: the sampling variances of both means;
                                   t = tau2/days_after + tau2/days_before: days differ by more than chance

The threshold of a window of length w bounds false alerts over all looks at it: a scan over a year crosses z upwards
`segments * (year / w) * z^2 * P(Z > z)` times, J. Pickands, "Upcrossing probabilities for stationary Gaussian
processes", Transactions of the American Mathematical Society 145 (1969), 51-73; each window has an equal share.

Scores are 1, 0 and -1 (promoter, passive, detractor), so means lie in [-1, 1]; what is called points is 100 times that.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import erfc, log, sqrt
from typing import NamedTuple

from streams.domain.nps import EMPTY, Tally
from streams.domain.panes import DAY_MS, HOUR_MS, floor_ms
from streams.domain.policy import DAYS_BEFORE, SAME_DAYS, FallPolicy
from streams.domain.windows import Window

LEAST_BEFORE = 100
"""Answers of `before` below which a window is not judged."""

LEAST_DAYS = 7
"""Days with answers below which how much days differ is not estimated."""

BACK_MS = DAY_MS
"""Time for which a segment must have recovered before its fall resolves."""

LOWEST_THRESHOLD, HIGHEST_THRESHOLD = 1.5, 10.0
"""Bounds of the threshold in standard deviations: below, the rate of crossings no longer falls with z."""

_Z_POWER = 0.8416212335729143
"""Quantile of the normal distribution at 80 %, the power for which the smallest detectable fall is told."""

_YEAR_MS = 365 * DAY_MS
_SMOOTHING = (0.75, 0.5, 0.75)
"""Answers added to the bands of `before`, so that no share of them is 0."""

_SMOOTHED_BY = sum(_SMOOTHING)

_WIDEST = 1 - 1e-9
"""Means are held within this, where the transform is finite."""


class Spread(NamedTuple):
    """Tally of 28 whole days and tau2, the variance of the days' means beyond what chance explains."""

    tally: Tally
    tau2: float


class BeforeAfter(NamedTuple):
    """Answers of a window beside those before it, the days that each stands for, and the days' own variance."""

    before: Tally
    after: Tally
    days_before: float
    days_after: float
    tau2: float = 0.0


class WindowEvidence(NamedTuple):
    """Judgement of one window at the close of an hour.

    `z` and `threshold` are in standard deviations, to four decimals; `smallest` is the smallest fall in points that is
    found at one look with a probability of 80 %, and `standard_error` that of the NPS after, in points, both to two
    decimals.  All but the threshold are None where there are too few answers to judge.
    """

    window: Window
    before: Tally
    after: Tally
    z: float | None
    threshold: float
    smallest: float | None
    standard_error: float | None

    @property
    def strength(self) -> float:
        """Evidence as a multiple of the threshold: a fall opens from 1 on; far below 0 where nothing is judged."""
        return -9.0 if self.z is None else self.z / self.threshold


def judge(
    hours: Mapping[int, Tally], days: Mapping[int, Tally], end_ms: int, policy: FallPolicy, minimum_n: int
) -> tuple[WindowEvidence, ...]:
    """Judge every window that ends at `end_ms`, the close of an hour, shortest first.

    `hours` and `days` are tallies of panes by start in ms; those that no window needs do no harm.  A window is judged
    from `minimum_n` answers on, against at least LEAST_BEFORE.  The cost is bounded by the longest window: one look at
    each of its hours, and at 28 days for each window.
    """
    evidence, spreads = [], dict[int, Spread]()
    after, from_ms = EMPTY, end_ms
    for window, threshold in zip(policy.windows, thresholds(policy), strict=True):
        start_ms = end_ms - window.length_ms
        after, from_ms = after.plus(_sum(hours, start_ms, from_ms)), start_ms
        last_ms = floor_ms(start_ms, DAY_MS)
        if last_ms not in spreads:
            spreads[last_ms] = spread(days, last_ms)
        compared = _compare(hours, spreads[last_ms], window, start_ms, after)
        evidence.append(judge_one(window, compared, threshold, policy.ignore, minimum_n))
    return tuple(evidence)


def judge_one(
    window: Window, compared: BeforeAfter, threshold: float, ignore: float, minimum_n: int = 1
) -> WindowEvidence:
    """Judge one window against its threshold."""
    if compared.after.n < max(1, minimum_n) or compared.before.n < LEAST_BEFORE:
        return WindowEvidence(window, compared.before, compared.after, None, threshold, None, None)
    return WindowEvidence(
        window=window,
        before=compared.before,
        after=compared.after,
        z=round(evidence_z(compared, ignore), 4),
        threshold=threshold,
        smallest=round(smallest(compared, threshold, ignore), 2),
        standard_error=round(100 * sqrt(_variance(_shares(compared.before)) / compared.after.n), 2),
    )


def _compare(hours: Mapping[int, Tally], days: Spread, window: Window, start_ms: int, after: Tally) -> BeforeAfter:
    if window.length_ms >= DAY_MS:
        return BeforeAfter(days.tally, after, DAYS_BEFORE, window.length_ms / DAY_MS, days.tau2)
    before = EMPTY
    for ago in range(1, SAME_DAYS + 1):
        from_ms = start_ms - ago * DAY_MS
        before = before.plus(_sum(hours, from_ms, from_ms + window.length_ms))
    return BeforeAfter(before, after, SAME_DAYS, 1.0, days.tau2)


def _sum(hours: Mapping[int, Tally], from_ms: int, to_ms: int) -> Tally:
    promoters = passives = detractors = 0
    for start_ms in range(from_ms, to_ms, HOUR_MS):
        if (tally := hours.get(start_ms)) is not None:
            promoters += tally[0]
            passives += tally[1]
            detractors += tally[2]
    return Tally(promoters, passives, detractors)


def spread(days: Mapping[int, Tally], end_ms: int) -> Spread:
    """Tally of the 28 days before `end_ms`, the start of a day, and how much these days differ beyond chance.

    tau2 is the moment estimator of R. DerSimonian and N. Laird, "Meta-analysis in clinical trials", Controlled Clinical
    Trials 7 (1986), 177-188, each day a study with sampling variance v/n; 0 below LEAST_DAYS days with answers.
    """
    promoters = passives = detractors = count = 0
    squares = weights = 0.0
    for start_ms in range(end_ms - DAYS_BEFORE * DAY_MS, end_ms, DAY_MS):
        tally = days.get(start_ms)
        if tally is None or (n := tally.n) <= 0:
            continue
        count += 1
        promoters, passives, detractors = promoters + tally[0], passives + tally[1], detractors + tally[2]
        net = tally[0] - tally[2]
        squares += net * net / n
        weights += float(n * n)
    total = Tally(promoters, passives, detractors)
    if count < LEAST_DAYS or (freedom := total.n - weights / total.n) <= 0:
        return Spread(total, 0.0)
    mean = (promoters - detractors) / total.n
    variance = (promoters + detractors) / total.n - mean * mean
    excess = squares - total.n * mean * mean - (count - 1) * variance
    return Spread(total, max(0.0, excess / freedom))


def evidence_z(compared: BeforeAfter, ignore: float) -> float:
    """Standard deviations by which `after` lies below `before`, less `ignore` points; negative where it lies above.

    Both must have answers.
    """
    shares, after = _shares(compared.before), compared.after
    n_after = after[0] + after[1] + after[2]
    mean_after = (after[0] - after[2]) / n_after + ignore / 100
    root = sqrt(2 * n_after * max(0.0, cramer(shares, mean_after)))
    of_after = _variance(shares) / n_after
    z = root * sqrt(of_after / _variance_of_change(compared, shares))
    return z if mean_after < shares[0] - shares[2] else -z


def cramer(shares: tuple[float, float, float], mean: float) -> float:
    """Cramér transform of a score's distribution: -log(P(mean of n scores <= mean)) / n, for large n.

    `shares` are those of promoters, passives and detractors, none of them 0.  It is 0 at the distribution's own mean.
    """
    p, q, d = shares
    m = mean if -_WIDEST < mean < _WIDEST else _WIDEST if mean > 0 else -_WIDEST
    tilt = (q * m + sqrt(q * q * m * m + 4 * p * d * (1 - m * m))) / (2 * p * (1 - m))
    return m * log(tilt) - log(p * tilt + q + d / tilt)


def smallest(compared: BeforeAfter, threshold: float, ignore: float) -> float:
    """Smallest fall in points that one look finds with a probability of 80 %: Neyman and Pearson's power.

    `ignore` + 100 * (threshold + 0.84) * the standard error of the change.
    """
    error = sqrt(_variance_of_change(compared, _shares(compared.before)))
    return ignore + 100 * (threshold + _Z_POWER) * error


@lru_cache(maxsize=64)
def thresholds(policy: FallPolicy) -> tuple[float, ...]:
    """Threshold of each window in standard deviations, to four decimals."""
    share = policy.false_alerts_a_year / len(policy.windows)
    return tuple(threshold(policy.segments * _YEAR_MS / window.length_ms, share) for window in policy.windows)


def threshold(lengths: float, allowed: float) -> float:
    """The z that a window's evidence crosses `allowed` times by chance while it moves by `lengths` of its own.

    `lengths` adds up over all segments; solved by bisection within LOWEST_THRESHOLD and HIGHEST_THRESHOLD.
    """
    low, high = LOWEST_THRESHOLD, HIGHEST_THRESHOLD
    for _ in range(40):
        z = (low + high) / 2
        crossings = lengths * z * z * erfc(z / sqrt(2)) / 2
        low, high = (z, high) if crossings > allowed else (low, z)
    return round(high, 4)


def _shares(before: Tally) -> tuple[float, float, float]:
    promoters, passives, detractors = before
    n = promoters + passives + detractors + _SMOOTHED_BY
    return (promoters + _SMOOTHING[0]) / n, (passives + _SMOOTHING[1]) / n, (detractors + _SMOOTHING[2]) / n


def _variance(shares: tuple[float, float, float]) -> float:
    mean = shares[0] - shares[2]
    return shares[0] + shares[2] - mean * mean


def _variance_of_change(compared: BeforeAfter, shares: tuple[float, float, float]) -> float:
    """Variance of the difference of both means: sampling, and days."""
    by_chance = _variance(shares) * (1 / compared.after.n + 1 / compared.before.n)
    return by_chance + compared.tau2 * (1 / compared.days_after + 1 / compared.days_before)


class OpenFall(NamedTuple):
    """A fall that is open: what it was found by, and since when the segment has been back, None while it is not.

    `since_ms` is the close at which it opened, `before` and `after` are the tallies of that moment, `smallest` is in
    points.
    """

    window: str
    since_ms: int
    before: Tally
    after: Tally
    smallest: float
    back_since_ms: int | None = None


class FallWatch(NamedTuple):
    """Memory of one segment: its open fall, and the close last taken.

    Only windows that begin at `begin_ms` or later may open a fall: after a recovery, those that lie in it.
    """

    fall: OpenFall | None = None
    seen_ms: int = -1
    begin_ms: int = 0


def follow(watch: FallWatch, end_ms: int, evidence: Sequence[WindowEvidence]) -> FallWatch:
    """Take the evidence of the next close, shortest window first; a close that was taken before changes nothing.

    A fall opens where a window reaches its threshold.  It resolves when every window is below half of its own, or when
    the segment has been back for BACK_MS: the shortest window of a day or more whose standard error is at most a
    quarter of the fall, else the longest, is above the middle of before and after, and below half of its threshold.
    """
    if end_ms <= watch.seen_ms or not evidence:
        return watch
    watch = watch._replace(seen_ms=end_ms)
    if watch.fall is None:
        return _opened(watch, end_ms, evidence)
    if max(each.strength for each in evidence) < 0.5:
        return watch._replace(fall=None)
    window = _telling(watch.fall, evidence)
    if window.strength >= 0.5 or window.z is None or _mean(window.after) <= _middle(watch.fall):
        return watch._replace(fall=watch.fall._replace(back_since_ms=None))
    since_ms = end_ms if watch.fall.back_since_ms is None else watch.fall.back_since_ms
    if end_ms - since_ms < BACK_MS:
        return watch._replace(fall=watch.fall._replace(back_since_ms=since_ms))
    return watch._replace(fall=None, begin_ms=end_ms - window.window.length_ms)


def _opened(watch: FallWatch, end_ms: int, evidence: Sequence[WindowEvidence]) -> FallWatch:
    fresh = [each for each in evidence if end_ms - each.window.length_ms >= watch.begin_ms]
    found = max(fresh, key=lambda each: each.strength, default=None)
    if found is None or found.strength < 1:
        return watch
    return watch._replace(fall=OpenFall(found.window.name, end_ms, found.before, found.after, found.smallest or 0.0))


def _telling(fall: OpenFall, evidence: Sequence[WindowEvidence]) -> WindowEvidence:
    """The window that can tell whether the segment is back."""
    size = _mean(fall.before) - _mean(fall.after)
    longer = [each for each in evidence if each.window.length_ms >= DAY_MS] or [evidence[-1]]
    for each in longer:
        if each.standard_error is not None and each.standard_error <= 100 * size / 4:
            return each
    return longer[-1]


def _middle(fall: OpenFall) -> float:
    return (_mean(fall.before) + _mean(fall.after)) / 2


def _mean(tally: Tally) -> float:
    return (tally.promoters - tally.detractors) / tally.n if tally.n else 0.0
