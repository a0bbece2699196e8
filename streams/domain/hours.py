"""Local hours of the customer, inside which surveys may be sent, on both daylight-saving days too.

Zones come from the `tzdata` package alone, never from the machine, so that all workers and every replay agree.  Local
time is an instant plus the zone's offset at that instant, all in milliseconds; nothing here reads a clock.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from importlib import resources
from zoneinfo import ZoneInfo

from streams.domain.panes import DAY_MS

MINUTE_MS = 60_000
SEARCH_DAYS = 8
"""Days in which the next opening is sought: a zone may skip its hour, or even a day, but not eight days running."""


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
    """The time zone of this IANA name in `tzdata`; None when there is none."""
    parts = name.split("/")
    if not all(part and part.replace("_", "").replace("-", "").replace("+", "").isalnum() for part in parts):
        return None
    try:
        with resources.files("tzdata").joinpath("zoneinfo", *parts).open("rb") as file:
            return ZoneInfo.from_file(file, key=name)
    except (OSError, ValueError):
        return None


def is_open(hours: Hours, time_zone: str, at_ms: int) -> bool:
    """True when this instant lies inside the hours, in that zone or, where it is unknown, in that of the hours."""
    return _inside(hours, _zone(hours, time_zone), at_ms)


def opening(hours: Hours, time_zone: str, from_ms: int, share: float) -> int:
    """The instant itself when it is inside the hours, else an instant soon after the next opening.

    `share`, in [0, 1), is the position in the spread.  Never earlier than `from_ms`, never outside the hours.  Raises
    ValueError for hours that do not open within `SEARCH_DAYS`.
    """
    tz = _zone(hours, time_zone)
    if _inside(hours, tz, from_ms):
        return from_ms
    midnight_ms = (from_ms + _offset_ms(tz, from_ms)) // DAY_MS * DAY_MS
    for day in range(SEARCH_DAYS):
        opens_ms = midnight_ms + day * DAY_MS + hours.opens_ms
        openings = [at_ms for at_ms in _instants(tz, opens_ms) if at_ms >= from_ms and _inside(hours, tz, at_ms)]
        if openings:
            spread_ms = min(openings) + int(share * hours.jitter_ms)
            return spread_ms if _inside(hours, tz, spread_ms) else min(openings)
    raise ValueError(f"{tz.key} has no such hours for {SEARCH_DAYS} days after {from_ms}")


def _zone(hours: Hours, time_zone: str) -> ZoneInfo:
    tz = (zone(time_zone) if time_zone else None) or zone(hours.time_zone)
    if tz is None:
        raise ValueError(f"{hours.time_zone!r} is no time zone")
    return tz


def _inside(hours: Hours, tz: ZoneInfo, at_ms: int) -> bool:
    return hours.opens_ms <= (at_ms + _offset_ms(tz, at_ms)) % DAY_MS < hours.closes_ms


def _instants(tz: ZoneInfo, local_ms: int) -> set[int]:
    """Instants at which local clocks may show `local_ms`: two where clocks are put back.

    Where they are put forward past it, the first shows as much later as was skipped.
    """
    return {local_ms - _offset_ms(tz, local_ms + aside_ms) for aside_ms in (-DAY_MS, DAY_MS)}


def _offset_ms(tz: ZoneInfo, at_ms: int) -> int:
    offset = datetime.fromtimestamp(at_ms // 1000, tz).utcoffset()
    return 0 if offset is None else round(offset.total_seconds() * 1000)
