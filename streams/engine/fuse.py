"""Fuse: stops the worker when too many records are bad, before it diverts a whole topic into dead letters.

A dead letter is for a rare bad record.  A wrong schema, a wrong topic or a bad deployment makes every record look bad;
draining them all into dead letters would look healthy while the numbers stand still.
"""

from collections import deque
from dataclasses import dataclass

from schemas.errors import FuseBlown


@dataclass(frozen=True, slots=True)
class FuseLimits:
    """Limits of the fuse: `in_a_row` bad records, or a share above `ratio` (0 to 1) of the last `window_records`."""

    in_a_row: int = 1_000
    ratio: float = 0.5
    window_records: int = 10_000

    def __post_init__(self) -> None:
        if self.in_a_row < 1:
            raise ValueError("in_a_row must be 1 or more")
        if not 0 < self.ratio <= 1:
            raise ValueError("ratio must be above 0 and at most 1")
        if self.window_records < 1:
            raise ValueError("window_records must be 1 or more")


class Fuse:
    """Counter of the good and bad records of a process.  The ratio applies once a whole window has been seen.

    The window is kept as runs (records, bad?) with a running sum, so that a batch of good records costs one step.
    """

    __slots__ = ("_bad_in_a_row", "_bad_in_window", "_limits", "_runs", "_seen")

    def __init__(self, limits: FuseLimits | None = None) -> None:
        self._limits = limits or FuseLimits()
        self._runs: deque[tuple[int, bool]] = deque()
        self._seen = 0
        self._bad_in_window = 0
        self._bad_in_a_row = 0

    def good(self, records: int = 1) -> None:
        """Count good records in a row."""
        if records > 0:
            self._bad_in_a_row = 0
            self._count(records, bad=False)

    def bad(self) -> None:
        """Count one bad record.  Raises FuseBlown when a limit is reached."""
        self._bad_in_a_row += 1
        self._count(1, bad=True)
        limits = self._limits
        if self._bad_in_a_row >= limits.in_a_row:
            raise FuseBlown(f"{self._bad_in_a_row} bad records in a row: see the dead letters, fix the cause, restart")
        if self._seen == limits.window_records and self._bad_in_window > limits.ratio * limits.window_records:
            raise FuseBlown(
                f"{self._bad_in_window} of the last {limits.window_records} records are bad: "
                "see the dead letters, fix the cause, restart"
            )

    def _count(self, records: int, *, bad: bool) -> None:
        if self._runs and self._runs[-1][1] is bad:
            records_before, _ = self._runs.pop()
            self._runs.append((records_before + records, bad))
        else:
            self._runs.append((records, bad))
        self._seen += records
        self._bad_in_window += records if bad else 0
        while (excess := self._seen - self._limits.window_records) > 0:
            self._drop_oldest(excess)

    def _drop_oldest(self, records: int) -> None:
        run_records, bad = self._runs.popleft()
        dropped = min(run_records, records)
        if run_records > dropped:
            self._runs.appendleft((run_records - dropped, bad))
        self._seen -= dropped
        self._bad_in_window -= dropped if bad else 0
