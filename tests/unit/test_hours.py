"""Local hours: never early, never outside, on the daylight-saving days of zones that shift by an hour, half, or not.

The oracle looks at every minute, on the zones as the library reads them.
"""

from importlib.resources import files

import pytest
from tzlocal.windows_tz import win_tz

from streams.domain.hours import MINUTE_MS, Hours, opening, zone
from streams.domain.panes import DAY_MS, HOUR_MS
from tests.support.instants import ms

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


def test_every_zone_there_is_by_its_name() -> None:
    """All names of `tzdata`, in any case, and all of Windows' names, whose zone CLDR gives."""
    names = (files("tzdata") / "zones").read_text(encoding="utf-8").split()
    assert len(names) > 500
    for name in names:
        for written in (name, name.lower(), name.upper(), f" {name} "):
            found = zone(written)
            assert found is not None
            assert found.key == name
    assert len(win_tz) > 100
    spelt = {"w. europe standard time": "Europe/Berlin", "TOKYO STANDARD TIME": "Asia/Tokyo"}
    for name, iana in {**win_tz, **spelt}.items():
        found = zone(name)
        assert found is not None
        assert found.key == (name if name in names else iana)


@pytest.mark.parametrize(
    "wrong", [(1, 1), (2, 1), (-1, 5), (0, DAY_MS + 1), (0, 5, "Mars/Phobos"), (0, 5, "UTC", 6), (0, 5, "UTC", -1)]
)
def test_hours_that_are_none(wrong: tuple[int, int]) -> None:
    """Refused when made."""
    with pytest.raises(ValueError, match=r"hours|time zone|spread"):
        Hours(*wrong)
