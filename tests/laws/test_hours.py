"""Law of local hours: never early, never outside, on the days of zones that shift by an hour, half, or not.

The oracle looks at every minute, on the zones as the library reads them.
"""

from datetime import datetime
from functools import lru_cache
from importlib import resources
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.domain.hours import MINUTE_MS, Hours, is_open, opening, zone
from streams.domain.panes import DAY_MS, HOUR_MS
from tests.support.instants import is_inside, minute_of_day, ms, wall
from tests.support.laws import examples

ZONES = ["Asia/Kolkata", "Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe"]

SHIFTS_MS = [
    ms("2024-03-31T01:00"), ms("2024-10-27T01:00"),  # Berlin
    ms("2018-11-04T03:00"), ms("2019-02-17T02:00"),  # Sao Paulo, for the last time
    ms("2024-04-06T15:00"), ms("2024-10-05T15:30"),  # Lord Howe, by half an hour
]  # fmt: skip
MOMENTS = st.builds(lambda at, off: at + off, st.sampled_from(SHIFTS_MS), st.integers(-3 * DAY_MS, 3 * DAY_MS))
WINDOWS = st.tuples(st.integers(0, 1439), st.integers(1, 1440)).map(sorted).filter(lambda window: window[0] < window[1])
SHARES = st.floats(0, 1, exclude_max=True)

ALL_ZONES = (resources.files("tzdata") / "zones").read_text().split()
FIRST_S, LAST_S, STEP_S = 0, 2_145_916_800, 7 * 86_400
"""1970 to 2038, week by week."""


def first_open(window: list[int], time_zone: str, from_ms: int) -> int:
    """The first moment inside, by looking at every minute."""
    at_ms = from_ms
    while not is_inside(window, time_zone, at_ms):
        at_ms = (at_ms // MINUTE_MS + 1) * MINUTE_MS
    return at_ms


@settings(max_examples=examples(1_000))
@given(WINDOWS, st.sampled_from(ZONES), MOMENTS, SHARES, st.integers(0, 90))
def test_the_next_opening(window: list[int], time_zone: str, from_ms: int, share: float, spread: int) -> None:
    """Inside: at once.  Outside: within the spread after the first minute that is inside, and itself inside.

    Where clocks are put past the opening, or back into the hours after closing, it may be as late as the next day's.
    """
    jitter_ms = min(spread, window[1] - window[0]) * MINUTE_MS
    hours = Hours(window[0] * MINUTE_MS, window[1] * MINUTE_MS, "UTC", jitter_ms)
    at_ms, first_ms = opening(hours, time_zone, from_ms, share), first_open(window, time_zone, from_ms)
    assert is_inside(window, time_zone, at_ms)
    assert is_open(hours, time_zone, at_ms)
    assert is_open(hours, time_zone, from_ms) == (first_ms == from_ms)
    if first_ms == from_ms:
        assert at_ms == from_ms
    elif minute_of_day(first_ms, time_zone) == window[0]:
        put_off_ms = first_ms + int(share * jitter_ms)
        assert at_ms == (put_off_ms if is_inside(window, time_zone, put_off_ms) else first_ms)
    else:
        assert first_ms <= at_ms <= first_ms + DAY_MS + HOUR_MS


@lru_cache(maxsize=1_024)
def shifts(time_zone: str) -> list[tuple[int, int]]:
    """Instant and size in ms of each shift of a zone since 1970, but not of its first."""
    tz, found = zone(time_zone), []
    assert tz is not None
    for week_s in range(FIRST_S, LAST_S, STEP_S):
        low_s, high_s = week_s, week_s + STEP_S
        before, after = _offset_s(tz, low_s), _offset_s(tz, high_s)
        while high_s - low_s > 1 and before != after:
            middle_s = (low_s + high_s) // 2
            low_s, high_s = (middle_s, high_s) if _offset_s(tz, middle_s) == before else (low_s, middle_s)
        if before != after:
            found.append((high_s * 1000, (_offset_s(tz, high_s) - before) * 1000))
    return found or [(0, 0)]


def _offset_s(tz: ZoneInfo, at_s: int) -> int:
    offset = datetime.fromtimestamp(at_s, tz).utcoffset()
    assert offset is not None
    return round(offset.total_seconds())


@settings(max_examples=examples(3_000))
@given(
    st.sampled_from(ALL_ZONES), st.integers(0, 10_000), st.integers(-150, 90), st.integers(5, 120),
    st.integers(-2 * DAY_MS, DAY_MS // 2), SHARES, st.booleans(),
)  # fmt: skip
def test_a_narrow_window_loses_no_day_to_a_shift(
    time_zone: str, pick: int, place: int, minutes: int, off_ms: int, share: float, is_spread: bool
) -> None:
    """At any shift of any zone: inside, within a day and the shift, and the day of the shift has hours as well.

    Without the shift the next opening is less than a day away; only where a zone skips midnight, and with it the end
    of one day, or all of a day, is it one day more.
    """
    shift_ms, size_ms = shifts(time_zone)[pick % len(shifts(time_zone))]
    before_ms = shift_ms - 1_000
    opens = (minute_of_day(before_ms, time_zone) + place) % (1440 - minutes)
    window = [opens, opens + minutes]
    jitter_ms = minutes * MINUTE_MS if is_spread else 0
    hours = Hours(window[0] * MINUTE_MS, window[1] * MINUTE_MS, "UTC", jitter_ms)
    from_ms = shift_ms + off_ms
    at_ms = opening(hours, time_zone, from_ms, share)
    assert is_open(hours, time_zone, at_ms)
    assert is_inside(window, time_zone, at_ms)
    skips_midnight = wall(shift_ms, time_zone)[0] > wall(before_ms, time_zone)[0] + (size_ms < 0)
    days = 2 if skips_midnight and size_ms > 0 else 1
    assert from_ms <= at_ms < from_ms + days * DAY_MS + abs(size_ms) + jitter_ms
    assert (
        at_ms == from_ms or at_ms <= first_open(window, time_zone, from_ms) + (DAY_MS if size_ms < 0 else 0) + jitter_ms
    )
