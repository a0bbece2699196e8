"""Wall clock of the shell, the only one; the domain reads no clock."""

import time


def wall_ms() -> int:
    """Time of the wall clock in milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000
