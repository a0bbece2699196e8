"""May this worker still write?  Promised to whoever makes state durable: a worker frozen past its session never does.

The group gives a partition to somebody else once it has not heard from its owner for the session timeout.  The owner
knows when it last spoke to the group, on its own monotonic clock, and counts from when the request LEFT, so its lease
always ends before the group's patience does.
"""

import time
from collections.abc import Callable

from streams.errors import LeaseLost


def monotonic_ms() -> int:
    """The monotonic clock in milliseconds."""
    return time.monotonic_ns() // 1_000_000


class Lease:
    """The time of the last request that the group accepted.  Renewed from the consumer's thread, read from any."""

    __slots__ = ("_clock_ms", "_renewed_ms", "timeout_ms")

    def __init__(self, timeout_ms: int, clock_ms: Callable[[], int] = monotonic_ms) -> None:
        self.timeout_ms = timeout_ms
        self._clock_ms = clock_ms
        self._renewed_ms: int | None = None

    @property
    def held(self) -> bool:
        """True while the group cannot have given our partitions away."""
        renewed_ms = self._renewed_ms
        return renewed_ms is not None and self._clock_ms() - renewed_ms < self.timeout_ms

    def check(self) -> None:
        """Raise LeaseLost when the lease is over: call it right before each durable write."""
        renewed_ms = self._renewed_ms
        if renewed_ms is None:
            raise LeaseLost("the group does not count us as a member")
        age_ms = self._clock_ms() - renewed_ms
        if age_ms >= self.timeout_ms:
            raise LeaseLost(f"last heartbeat accepted {age_ms} ms ago, session timeout {self.timeout_ms} ms")

    def renew(self, sent_ms: int) -> None:
        """The group accepted a request of ours that left at `sent_ms` on this lease's clock."""
        if self._renewed_ms is None or sent_ms > self._renewed_ms:
            self._renewed_ms = sent_ms

    def lose(self) -> None:
        """The group told us that we are not a member any more."""
        self._renewed_ms = None
