"""The one clock of the shell; the domain has none."""

import time


def wall_ms() -> int:
    """The wall clock, milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000
