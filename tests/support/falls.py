"""Segments whose NPS is known, to count what the test of falls says of them: answer by answer, and by hours."""

import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate

from streams.domain.incidents.falls import (
    LEAST_BEFORE,
    BeforeAfter,
    FallWatch,
    OpenFall,
    WindowEvidence,
    evidence_z,
    follow,
    judge,
    judge_one,
    threshold,
)
from streams.domain.nps import EMPTY, Tally
from streams.domain.panes import DAY_MS, HOUR_MS
from streams.domain.policy import DAYS_BEFORE, FallPolicy
from streams.domain.windows import Window
from streams.program.duration import duration_ms

Mix = tuple[float, float, float]
"""Shares of promoters, passives and detractors."""

MIXES: Mapping[str, Mix] = {
    "NPS 30": (0.50, 0.30, 0.20),
    "NPS 0": (0.35, 0.30, 0.35),
    "NPS 60": (0.70, 0.20, 0.10),
    "NPS 86": (0.88, 0.10, 0.02),
    "NPS -20": (0.30, 0.20, 0.50),
    "NPS 0, no passives": (0.50, 0.00, 0.50),
}
PLAIN = MIXES["NPS 30"]
MINIMUM_N = 30


def policy(*lengths: str, ignore: float = 2, allowed: float = 52, segments: int = 100) -> FallPolicy:
    """The policy of the program file's example, or with these windows."""
    names = lengths or ("6h", "1d", "3d", "7d", "14d")
    return FallPolicy(tuple(Window(name, duration_ms(name)) for name in names), allowed, segments, ignore)


def shifted(mix: Mix, points: float) -> Mix:
    """The mix after its NPS moved: half of the move between promoters and passives, half at the detractors."""
    promoters = min(1 - mix[1], max(0.0, mix[0] + points / 200))
    detractors = min(1 - mix[1], max(0.0, mix[2] - points / 200))
    whole = max(1.0, promoters + mix[1] + detractors)
    return promoters / whole, 1 - (promoters + detractors) / whole, detractors / whole


# Answer by answer: 800 answers go before, the next 800 are looked at one by one.

ANSWERS = 800
SCALES = (50, 100, 200, 400, 800)
"""Windows in answers; one comes each hour."""

_OF_ANSWERS = tuple(Window(f"{scale} answers", scale * HOUR_MS) for scale in SCALES)


def scores(rng: random.Random, count: int, mix: Mix) -> list[int]:
    """So many scores, each 1, 0 or -1."""
    return rng.choices((1, 0, -1), mix, k=count)


def falls_by_answer(
    said: list[int], ignore: float = 2, false_alerts: float = 1.0, segments: int = 100
) -> Iterator[OpenFall]:
    """Every fall that opens while the answers after the first 800 are looked at one by one.

    The thresholds allow so many false alerts while so many segments have 800 answers each.
    """
    levels = [threshold(segments * ANSWERS / scale, false_alerts / len(SCALES)) for scale in SCALES]
    sums = [accumulate([score == band for score in said], initial=0) for band in (1, 0, -1)]
    counts = [Tally(*each) for each in zip(*sums, strict=True)]
    watch = FallWatch()
    for end in range(ANSWERS + 1, len(said) + 1):
        evidence, is_news = [], watch.fall is not None
        for window, scale, level in zip(_OF_ANSWERS, SCALES, levels, strict=True):
            start = end - scale
            after = counts[end].minus(counts[start])
            before = counts[start].minus(counts[max(0, start - ANSWERS)])
            compared = BeforeAfter(before, after, 1, 1)
            is_news = is_news or (before.n >= LEAST_BEFORE and evidence_z(compared, ignore) >= level)
            evidence.append((window, compared, level))
        if is_news:  # else the watch would only note the time
            judged = [judge_one(*each, ignore) for each in evidence]
            was, watch = watch.fall, follow(watch, end * HOUR_MS, judged)
            if was is None and watch.fall is not None:
                yield watch.fall


def goal_run(seed: int, ignore: float = 2, points: float = 20, segments: int = 100) -> tuple[int, int]:
    """False alerts among even segments in one run, and how many of as many segments that fall are found."""
    false = found = 0
    for number in range(segments):
        rng = random.Random(f"{seed} {number}")
        false += len(list(falls_by_answer(scores(rng, 2 * ANSWERS, PLAIN), ignore)))
        said = scores(rng, ANSWERS, PLAIN) + scores(rng, ANSWERS, shifted(PLAIN, -points))
        found += next(falls_by_answer(said, ignore), None) is not None
    return false, found


# By hours: panes of one segment over a year, judged at every close.

WARM_DAYS = DAYS_BEFORE + 16
"""Days of answers before the first close that is judged."""

WARM_MS = WARM_DAYS * DAY_MS

_BY_HOUR = (1, 1, 1, 1, 1, 2, 4, 6, 8, 8, 8, 7, 7, 7, 6, 6, 6, 7, 8, 8, 7, 5, 3, 2)
"""Share of a day's answers by hour of the day."""


@dataclass(frozen=True)
class Segment:
    """How a segment behaves: answers a day, and points by which its NPS moves.

    `cycle` over each day, `weekend` on two days of seven, `day_sd` at random from day to day, `drift` a month, and a
    fall of `points` from hour `fall_from` to `fall_to` of what is judged; `is_batch`: all come in two hours a day.
    """

    a_day: float
    cycle: float = 0
    weekend: float = 0
    day_sd: float = 0
    drift: float = 0
    is_batch: bool = False
    points: float = 0
    fall_from: int = 0
    fall_to: int = 0

    def hours(self, rng: random.Random, days: int) -> Iterator[Tally]:
        """Tally of each hour, the days before what is judged included."""
        shares = [0.0] * 24 if self.is_batch else [part / sum(_BY_HOUR) for part in _BY_HOUR]
        if self.is_batch:
            shares[9:11] = 0.7, 0.3
        of_day = 0.0
        for hour in range((WARM_DAYS + days) * 24):
            if hour % 24 == 0:
                of_day = rng.gauss(0, self.day_sd) + (self.weekend if hour // 24 % 7 >= 5 else 0)
            judged = hour - WARM_DAYS * 24
            points = of_day + self.cycle * math.sin(2 * math.pi * (hour % 24) / 24)
            points += self.drift * max(0, judged) / (30 * 24)
            points -= self.points if self.fall_from <= judged < self.fall_to else 0
            said = scores(rng, poisson(rng, shares[hour % 24] * self.a_day), shifted(PLAIN, points))
            yield Tally(said.count(1), said.count(0), said.count(-1)) if said else EMPTY


def poisson(rng: random.Random, mean: float) -> int:
    """A Poisson number, by Knuth's products of uniform numbers."""
    if mean > 30:
        return poisson(rng, 30) + poisson(rng, mean - 30)
    limit, product, count = math.exp(-mean), rng.random(), 0
    while product > limit:
        product *= rng.random()
        count += 1
    return count


def looks(
    segment: Segment, rng: random.Random, days: int, chosen: FallPolicy
) -> Iterator[tuple[int, tuple[WindowEvidence, ...]]]:
    """Evidence of the shipped code at every close, beside the close in ms."""
    hours, by_day, first = dict[int, Tally](), dict[int, Tally](), WARM_DAYS * 24
    for hour, tally in enumerate(segment.hours(rng, days)):
        day_ms = hour // 24 * DAY_MS
        if tally is not EMPTY:
            hours[hour * HOUR_MS] = tally
            by_day[day_ms] = by_day.get(day_ms, EMPTY).plus(tally)
        if hour >= first:
            end_ms = (hour + 1) * HOUR_MS
            yield end_ms, judge(hours, by_day, end_ms, chosen, MINIMUM_N)


def falls_by_hour(segment: Segment, rng: random.Random, days: int, chosen: FallPolicy) -> Iterator[OpenFall]:
    """Every fall that opens."""
    watch = FallWatch()
    for end_ms, evidence in looks(segment, rng, days, chosen):
        was, watch = watch.fall, follow(watch, end_ms, evidence)
        if was is None and watch.fall is not None:
            yield watch.fall
