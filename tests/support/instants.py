"""Instants for tests: from ISO text to milliseconds, and what the clock on the wall shows, by the zones of tzdata."""

from collections.abc import Sequence
from datetime import UTC, datetime

from streams.domain.hours import zone


def ms(text: str) -> int:
    """An ISO instant in milliseconds; UTC where it names no zone."""
    moment = datetime.fromisoformat(text)
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def minute_of_day(at_ms: int, time_zone: str) -> int:
    """What the clock on the wall shows there."""
    local = datetime.fromtimestamp(at_ms // 1000, zone(time_zone))
    return local.hour * 60 + local.minute


def wall(at_ms: int, time_zone: str) -> tuple[int, int]:
    """The day, as a number, and its minute on the wall."""
    local = datetime.fromtimestamp(at_ms // 1000, zone(time_zone))
    return local.toordinal(), local.hour * 60 + local.minute


def is_inside(window: Sequence[int], time_zone: str, at_ms: int) -> bool:
    """True when the wall shows the hours, or has just skipped all of them on this day and their length is not over."""
    today, minute = wall(at_ms, time_zone)
    if window[0] <= minute < window[1]:
        return True
    length = window[1] - window[0]
    since = wall(at_ms - (length + 1) * 60_000, time_zone)
    if today * 1440 + minute == since[0] * 1440 + since[1] + length + 1:
        return False
    for back in range(length):
        now_ms = (at_ms // 60_000 - back) * 60_000
        before, after = wall(now_ms - 60_000, time_zone), wall(now_ms, time_zone)
        if before < (today, window[0]) and (today, window[1]) <= after < (today + 1, 0) and after[1] - before[1] != 1:
            return True
    return False
