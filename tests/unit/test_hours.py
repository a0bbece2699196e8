"""Local hours: never early, never outside, on the daylight-saving days of zones that shift by an hour, half, or not.

The oracle looks at every minute, on the zones as the library reads them.
"""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.domain.hours import MINUTE_MS, Hours, is_open, opening, zone
from streams.domain.panes import DAY_MS, HOUR_MS

ZONES = ["Asia/Kolkata", "Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe"]


def ms(text: str) -> int:
    """An ISO instant in milliseconds; UTC where it names no zone."""
    moment = datetime.fromisoformat(text)
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


SHIFTS_MS = [
    ms("2024-03-31T01:00"), ms("2024-10-27T01:00"),  # Berlin
    ms("2018-11-04T03:00"), ms("2019-02-17T02:00"),  # Sao Paulo, for the last time
    ms("2024-04-06T15:00"), ms("2024-10-05T15:30"),  # Lord Howe, by half an hour
]  # fmt: skip
MOMENTS = st.builds(lambda at, off: at + off, st.sampled_from(SHIFTS_MS), st.integers(-3 * DAY_MS, 3 * DAY_MS))
WINDOWS = st.tuples(st.integers(0, 1439), st.integers(1, 1440)).map(sorted).filter(lambda window: window[0] < window[1])
SHARES = st.floats(0, 1, exclude_max=True)


def minute_of_day(at_ms: int, time_zone: str) -> int:
    """What the clock on the wall shows there."""
    local = datetime.fromtimestamp(at_ms // 1000, ZoneInfo(time_zone))
    return local.hour * 60 + local.minute


def first_open(window: list[int], time_zone: str, from_ms: int) -> int:
    """The first moment inside, by looking at every minute."""
    at_ms = from_ms
    while not window[0] <= minute_of_day(at_ms, time_zone) < window[1]:
        at_ms = (at_ms // MINUTE_MS + 1) * MINUTE_MS
    return at_ms


@settings(max_examples=1_000, deadline=None)
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


NINE_TO_EIGHT = Hours(9 * HOUR_MS, 20 * HOUR_MS, "Europe/Berlin")


@pytest.mark.parametrize(
    ("time_zone", "asked", "opens"),
    [
        ("Europe/Berlin", "2024-03-31T00:30+01:00", "2024-03-31T09:00+02:00"),
        ("Europe/Berlin", "2024-10-27T00:30+02:00", "2024-10-27T09:00+01:00"),
        ("America/Sao_Paulo", "2018-11-03T20:00-03:00", "2018-11-04T09:00-02:00"),
        ("America/Sao_Paulo", "2019-02-16T20:00-02:00", "2019-02-17T09:00-03:00"),
        ("Australia/Lord_Howe", "2024-10-06T01:59+10:30", "2024-10-06T09:00+11:00"),
        ("Australia/Lord_Howe", "2024-04-07T01:59+11:00", "2024-04-07T09:00+10:30"),
        ("Asia/Kolkata", "2024-03-31T20:00+05:30", "2024-04-01T09:00+05:30"),
        ("Asia/Kolkata", "2024-03-31T19:59:59.999+05:30", "2024-03-31T19:59:59.999+05:30"),
        ("", "2024-03-31T20:00+02:00", "2024-04-01T09:00+02:00"),
        ("Mars/Phobos", "2024-03-31T20:00+02:00", "2024-04-01T09:00+02:00"),
    ],
)
def test_openings(time_zone: str, asked: str, opens: str) -> None:
    """Nine o'clock on the wall, whatever the night did; an unknown zone is the configured one."""
    assert opening(NINE_TO_EIGHT, time_zone, ms(asked), 0.0) == ms(opens)


def test_spread_over_the_first_hour() -> None:
    """Shares of the spread are shares of the time after the opening; all of it stays inside a shorter window."""
    hours = Hours(9 * HOUR_MS, 9 * HOUR_MS + HOUR_MS // 2, "UTC", HOUR_MS // 2)
    night_ms = ms("2024-03-31T03:00")
    opens_ms = ms("2024-03-31T09:00")
    assert [opening(hours, "", night_ms, share) - opens_ms for share in (0, 0.5, 0.999)] == [0, 900_000, 1_798_200]


def test_a_spread_that_the_clocks_carry_past_the_closing() -> None:
    """Half past one to half past two, on the day that has no hour from two: the opening itself, not past closing."""
    hours = Hours(90 * MINUTE_MS, 150 * MINUTE_MS, "Europe/Berlin", 60 * MINUTE_MS)
    assert opening(hours, "", ms("2024-03-31T00:30+01:00"), 0.9) == ms("2024-03-31T01:30+01:00")
    assert opening(hours, "", ms("2024-03-30T00:30+01:00"), 0.9) == ms("2024-03-30T02:24+01:00")


def test_a_day_that_a_zone_skipped() -> None:
    """Samoa had no 30 December 2011: who waited for it is asked on the next day there was."""
    at_ms = opening(NINE_TO_EIGHT, "Pacific/Apia", ms("2011-12-29T22:00-10:00"), 0.0)
    assert at_ms == ms("2011-12-31T09:00+14:00")


@pytest.mark.parametrize(
    "name", ["", "/", "..", "../zoneinfo/UTC", "Europe", "tzdata.zi", "Mars/Phobos", "a\0b", "é", "//UTC"]
)
def test_names_that_are_no_zone(name: str) -> None:
    """Whatever a customer's record says: unknown, and never a file of another kind."""
    assert zone(name) is None


@pytest.mark.parametrize(
    "wrong", [(1, 1), (2, 1), (-1, 5), (0, DAY_MS + 1), (0, 5, "Mars/Phobos"), (0, 5, "UTC", 6), (0, 5, "UTC", -1)]
)
def test_hours_that_are_none(wrong: tuple[int, int]) -> None:
    """Refused when made."""
    with pytest.raises(ValueError, match=r"hours|time zone|spread"):
        Hours(*wrong)
