"""Local hours of the customer, inside which surveys may be sent, on both daylight-saving days too.

Where clocks are put forward into the hours, what is left of them counts; where they are put forward past all of them,
the hours begin as soon as the clocks show that day again, and are as long as ever: 02:15 to 02:45 is 03:00 to 03:30.
Zones come from the `tzdata` package alone, never from the machine, so that all workers and every replay agree.  Local
time is an instant plus the zone's offset at that instant, all in milliseconds; nothing here reads a clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, lru_cache
from importlib import resources
from zoneinfo import ZoneInfo

from tzlocal.windows_tz import win_tz

from streams.domain.panes import DAY_MS

MINUTE_MS = 60_000
SEARCH_DAYS = 8
"""Days in which the next opening is sought: a zone may skip its hour, or even a day, but not eight days running."""

_EPOCH = datetime(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Hours:
    """Local hours `[opens_ms, closes_ms)` after midnight.

    `time_zone` is for customers whose own is unknown.  Surveys that have to wait for the opening are spread over its
    first `jitter_ms`, so that not all leave in one second.
    """

    opens_ms: int
    closes_ms: int
    time_zone: str = "UTC"
    jitter_ms: int = 0

    def __post_init__(self) -> None:
        """Raises ValueError for an empty window, an unknown zone or a spread longer than the window."""
        if not 0 <= self.opens_ms < self.closes_ms <= DAY_MS:
            raise ValueError("hours must open before they close, both within one day, as in '09:00-20:00'")
        if zone(self.time_zone) is None:
            raise ValueError(f"{self.time_zone!r} is no IANA time zone, as 'Europe/Berlin' is one")
        if not 0 <= self.jitter_ms <= self.closes_ms - self.opens_ms:
            raise ValueError("spread must fit into the hours")


@lru_cache(maxsize=2_048)
def zone(name: str) -> ZoneInfo | None:
    """The time zone of an IANA name in `tzdata`, or of a name that Windows has for one; None for any other text.

    Case and space around it do not matter: `europe/berlin` and `W. Europe Standard Time` are Europe/Berlin.
    """
    if (key := _zone_names().get(name.strip().lower())) is None:
        return None
    with resources.files("tzdata").joinpath("zoneinfo", *key.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=key)


@cache
def _zone_names() -> Mapping[str, str]:
    """IANA names by name in lower case: all of `tzdata`, and Windows' names by CLDR's table."""
    iana = {name.lower(): name for name in (resources.files("tzdata") / "zones").read_text(encoding="utf-8").split()}
    windows = {name.lower(): iana[key.lower()] for name, key in win_tz.items() if key.lower() in iana}
    return windows | iana


def is_open(hours: Hours, time_zone: str, at_ms: int) -> bool:
    """True when this instant lies inside the hours, in that zone or, where it is unknown, in that of the hours."""
    return _is_open(hours, _zone(hours, time_zone), at_ms)


def opening(hours: Hours, time_zone: str, from_ms: int, share: float) -> int:
    """The instant itself when it is inside the hours, else an instant soon after the next opening.

    `share`, in [0, 1), is the position in the spread.  Never earlier than `from_ms`, never outside the hours.  Raises
    ValueError for hours that do not open within `SEARCH_DAYS`.
    """
    tz = _zone(hours, time_zone)
    if _is_open(hours, tz, from_ms):
        return from_ms
    midnight_ms = (from_ms + _offset_ms(tz, from_ms)) // DAY_MS * DAY_MS
    for day in range(SEARCH_DAYS):
        opens_ms = midnight_ms + day * DAY_MS + hours.opens_ms
        openings = [at_ms for at_ms in _instants(tz, opens_ms) if at_ms >= from_ms and _is_open(hours, tz, at_ms)]
        if openings:
            spread_ms = min(openings) + int(share * hours.jitter_ms)
            return spread_ms if _is_open(hours, tz, spread_ms) else min(openings)
    raise ValueError(f"{tz.key} has no such hours for {SEARCH_DAYS} days after {from_ms}")


def _zone(hours: Hours, time_zone: str) -> ZoneInfo:
    tz = (zone(time_zone) if time_zone else None) or zone(hours.time_zone)
    if tz is None:
        raise ValueError(f"{hours.time_zone!r} is no time zone")
    return tz


def _is_open(hours: Hours, tz: ZoneInfo, at_ms: int) -> bool:
    midnight_ms, shown_ms = divmod(at_ms + _offset_ms(tz, at_ms), DAY_MS)
    return hours.opens_ms <= shown_ms < hours.closes_ms or _is_put_forward(hours, tz, midnight_ms * DAY_MS, at_ms)


def _is_put_forward(hours: Hours, tz: ZoneInfo, midnight_ms: int, at_ms: int) -> bool:
    """True when clocks skip all of the hours on this local day, and the instant lies in those that make up for them."""
    first_offset_ms, last_offset_ms = _offsets_ms(tz, midnight_ms + hours.opens_ms)
    if first_offset_ms >= last_offset_ms:
        return False
    begins_ms = _gap_end(tz, midnight_ms + hours.opens_ms)
    shown_ms = begins_ms + last_offset_ms - midnight_ms
    return hours.closes_ms <= shown_ms < DAY_MS and begins_ms <= at_ms < begins_ms + hours.closes_ms - hours.opens_ms


def _instants(tz: ZoneInfo, local_ms: int) -> set[int]:
    """Instants at which local clocks show `local_ms`: two where they are put back; when they skip it, the end of it."""
    first_offset_ms, last_offset_ms = _offsets_ms(tz, local_ms)
    if first_offset_ms < last_offset_ms:
        return {_gap_end(tz, local_ms)}
    return {local_ms - first_offset_ms, local_ms - last_offset_ms}


def _gap_end(tz: ZoneInfo, local_ms: int) -> int:
    """The instant, to the second, at which clocks are put forward past `local_ms`."""
    before_ms, after_ms = _offsets_ms(tz, local_ms)
    early_s, late_s = (local_ms - after_ms) // 1000 - 1, (local_ms - before_ms) // 1000
    while late_s - early_s > 1:
        middle_s = (early_s + late_s) // 2
        if _offset_ms(tz, middle_s * 1000) == before_ms:
            early_s = middle_s
        else:
            late_s = middle_s
    return late_s * 1000


def _offsets_ms(tz: ZoneInfo, local_ms: int) -> tuple[int, int]:
    """Offsets at a local time: where clocks are put back those of both its instants, where forward before and after."""
    local = _EPOCH + timedelta(milliseconds=local_ms)
    first, last = (local.replace(tzinfo=tz, fold=fold).utcoffset() or timedelta() for fold in (0, 1))
    return round(first.total_seconds() * 1000), round(last.total_seconds() * 1000)


def _offset_ms(tz: ZoneInfo, at_ms: int) -> int:
    offset = datetime.fromtimestamp(at_ms // 1000, tz).utcoffset()
    return 0 if offset is None else round(offset.total_seconds() * 1000)
