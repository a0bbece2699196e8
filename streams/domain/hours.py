"""When a survey may be sent: inside the customer's local hours, on both daylight-saving days too.

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
"""A window may fall into the hour, or even the day, that a zone skips; not into eight days running."""


@dataclass(frozen=True, slots=True)
class Hours:
    """Local hours `[opens_ms, closes_ms)` after midnight.

    `time_zone` is for customers whose own is unknown.  What has to wait for the opening is spread over the first
    `jitter_ms`, so that not all leave in one second.
    """

    opens_ms: int
    closes_ms: int
    time_zone: str = "UTC"
    jitter_ms: int = 0

    def __post_init__(self) -> None:
        """Raises ValueError for a window that is none, a zone nobody knows or a spread longer than the window."""
        if not 0 <= self.opens_ms < self.closes_ms <= DAY_MS:
            raise ValueError("hours must open before they close, both within one day, as in '09:00-20:00'")
        if zone(self.time_zone) is None:
            raise ValueError(f"{self.time_zone!r} is no IANA time zone, as 'Europe/Berlin' is one")
        if not 0 <= self.jitter_ms <= self.closes_ms - self.opens_ms:
            raise ValueError("spread must fit into the hours")


@lru_cache(maxsize=2_048)
def zone(name: str) -> ZoneInfo | None:
    """The zone of this IANA name, None when there is none."""
    parts = name.split("/")
    if not all(part and part.replace("_", "").replace("-", "").replace("+", "").isalnum() for part in parts):
        return None
    try:
        with resources.files("tzdata").joinpath("zoneinfo", *parts).open("rb") as file:
            return ZoneInfo.from_file(file, key=name)
    except (OSError, ValueError):
        return None


def is_open(hours: Hours, time_zone: str, at_ms: int) -> bool:
    """True when this instant lies inside the hours, in that zone or, where it is unknown, the configured one."""
    return _inside(hours, _zone(hours, time_zone), at_ms)


def opening(hours: Hours, time_zone: str, from_ms: int, share: float) -> int:
    """The instant itself when it is inside the hours, else one soon after the next opening.

    `share`, in [0, 1), says where in the spread.  Never earlier than asked, never outside.
    """
    there = _zone(hours, time_zone)
    if _inside(hours, there, from_ms):
        return from_ms
    midnight_ms = (from_ms + _offset_ms(there, from_ms)) // DAY_MS * DAY_MS
    for day in range(SEARCH_DAYS):
        opens_ms = midnight_ms + day * DAY_MS + hours.opens_ms
        found = [at for at in _instants(there, opens_ms) if at >= from_ms and _inside(hours, there, at)]
        if found:
            spread = min(found) + int(share * hours.jitter_ms)
            return spread if _inside(hours, there, spread) else min(found)
    raise ValueError(f"{there.key} has no such hours for {SEARCH_DAYS} days after {from_ms}")


def _zone(hours: Hours, time_zone: str) -> ZoneInfo:
    found = (zone(time_zone) if time_zone else None) or zone(hours.time_zone)
    if found is None:
        raise ValueError(f"{hours.time_zone!r} is no time zone")
    return found


def _inside(hours: Hours, there: ZoneInfo, at_ms: int) -> bool:
    return hours.opens_ms <= (at_ms + _offset_ms(there, at_ms)) % DAY_MS < hours.closes_ms


def _instants(there: ZoneInfo, local_ms: int) -> set[int]:
    """Instants at which clocks may show this: two where they are put back.

    Where they are put forward past it, the first shows as much later as was skipped.
    """
    return {local_ms - _offset_ms(there, local_ms + aside_ms) for aside_ms in (-DAY_MS, DAY_MS)}


def _offset_ms(there: ZoneInfo, at_ms: int) -> int:
    offset = datetime.fromtimestamp(at_ms // 1000, there).utcoffset()
    return 0 if offset is None else round(offset.total_seconds() * 1000)
