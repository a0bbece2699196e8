"""Instants for tests: from ISO text to milliseconds, and what the clock on the wall shows."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo


def ms(text: str) -> int:
    """An ISO instant in milliseconds; UTC where it names no zone."""
    moment = datetime.fromisoformat(text)
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def minute_of_day(at_ms: int, time_zone: str) -> int:
    """What the clock on the wall shows there."""
    local = datetime.fromtimestamp(at_ms // 1000, ZoneInfo(time_zone))
    return local.hour * 60 + local.minute
