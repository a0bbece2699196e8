"""`make bench ARGS="--only falls"`: false alerts and falls found, by the shipped code on segments whose NPS is known.

First the goal's scenario, where every answer is looked at.  Then a year of hours for each way in which a segment may
behave, and falls of ten days, judged at every close of an hour by the policy of the program file's example.
"""

import random
import statistics
from collections.abc import Iterator

from rich.console import Console
from rich.progress import track
from rich.table import Table

from streams.domain.panes import HOUR_MS
from tests.support.falls import WARM_MS, Segment, falls_by_hour, goal_run, policy

RUNS = 20
SEGMENTS = 10
"""Segments of each case; false alerts are told for a segment and year."""

YEAR_DAYS = 365
FALL_FROM, FALL_TO = 5 * 24 + 13, 15 * 24 + 13
"""A fall of ten days, in hours after the first close."""

CASES = {
    "flat": Segment(0),
    "daily cycle of 15 points": Segment(0, cycle=15),
    "weekends 5 points lower": Segment(0, weekend=-5),
    "days differ by 5 points (sd)": Segment(0, day_sd=5),
    "all in two hours a day": Segment(0, is_batch=True),
    "drift of 1 point a month": Segment(0, drift=-1),
}
VOLUMES = (5, 50, 1_000)
FALLS = ((20, 30), (50, 20), (100, 20), (200, 10), (200, 20), (1_000, 10), (1_000, 20))
"""Answers a day, and points."""


def run(out: Console, runs: int = RUNS, segments: int = SEGMENTS) -> Iterator[Table]:
    """Each table as it is done; progress goes to the console."""
    yield _goal(out, runs)
    yield _false_alerts(out, segments)
    yield _found(out, 2 * segments)


def _goal(out: Console, runs: int) -> Table:
    title = f"100 even segments, 800 answers before, 800 looked at one by one; {runs} runs"
    table = Table("ignored points", "false alerts a run", "bar", "20-point falls found", "bar ", title=title)
    for ignore in (0, 2):
        done = [goal_run(seed, ignore) for seed in track(range(runs), f"looks at every answer, {ignore}", console=out)]
        false, found = (sum(each) for each in zip(*done, strict=True))
        table.add_row(str(ignore), f"{false / runs:.2f}", "2", f"{found / runs:.0f} %", "80 %")
    return table


def _false_alerts(out: Console, segments: int) -> Table:
    title = f"false alerts a segment and year at hour closes; {segments} segments, 52 a year over 100 allowed: 0.52"
    table = Table("segment", *(f"{volume:,} a day" for volume in VOLUMES), title=title)
    for name, case in track(CASES.items(), "a year of hours", console=out):
        figures = []
        for volume in VOLUMES:
            of_year = Segment(**{**vars(case), "a_day": volume})
            count = sum(
                1
                for seed in range(segments)
                for _ in falls_by_hour(of_year, random.Random(f"{name} {volume} {seed}"), YEAR_DAYS, policy())
            )
            figures.append(f"{count / segments:.2f}")
        table.add_row(name, *figures)
    return table


def _found(out: Console, segments: int) -> Table:
    title = f"falls of ten days, days differ by 3 points (sd); {segments} segments"
    table = Table("answers a day", "points", "found", "median hours", "median answers", title=title)
    for volume, points in track(FALLS, "falls", console=out):
        fallen = Segment(volume, day_sd=3, points=points, fall_from=FALL_FROM, fall_to=FALL_TO)
        hours = []
        for seed in range(segments):
            rng = random.Random(f"{volume} {points} {seed}")
            opened = ((each.since_ms - WARM_MS) // HOUR_MS for each in falls_by_hour(fallen, rng, 16, policy()))
            inside = [hour for hour in opened if FALL_FROM < hour <= FALL_TO]
            hours += [hour - FALL_FROM for hour in inside[:1]]
        median = statistics.median(hours) if hours else float("nan")
        found = f"{len(hours) / segments:.0%}"
        table.add_row(f"{volume:,}", str(points), found, f"{median:.0f}", f"{median / 24 * volume:,.0f}")
    return table
