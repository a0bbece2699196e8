"""Law of local hours: never early, never outside, on the days of zones that shift by an hour, half, or not.

The oracle looks at every minute, on the zones as the library reads them.
"""

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.domain.hours import MINUTE_MS, Hours, is_open, opening
from streams.domain.panes import DAY_MS, HOUR_MS
from tests.support.instants import minute_of_day, ms
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


def first_open(window: list[int], time_zone: str, from_ms: int) -> int:
    """The first moment inside, by looking at every minute."""
    at_ms = from_ms
    while not window[0] <= minute_of_day(at_ms, time_zone) < window[1]:
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
    assert window[0] <= minute_of_day(at_ms, time_zone) < window[1]
    assert is_open(hours, time_zone, at_ms)
    assert is_open(hours, time_zone, from_ms) == (first_ms == from_ms)
    if first_ms == from_ms:
        assert at_ms == from_ms
    elif minute_of_day(first_ms, time_zone) == window[0]:
        put_off_ms = first_ms + int(share * jitter_ms)
        fits = window[0] <= minute_of_day(put_off_ms, time_zone) < window[1]
        assert at_ms == (put_off_ms if fits else first_ms)
    else:
        assert first_ms <= at_ms <= first_ms + DAY_MS + HOUR_MS
