"""Lease on the assigned partitions: a worker that was frozen past its session timeout writes nothing more.

The group gives a partition to another worker once its owner was silent for the session timeout.  The owner measures on
its own monotonic clock, from when its last accepted request LEFT, so its lease always ends before the group's timeout.
"""

import time
from collections.abc import Callable

from streams.errors import LeaseLost


def monotonic_ms() -> int:
    """The monotonic clock in milliseconds."""
    return time.monotonic_ns() // 1_000_000


class Lease:
    """Lease by the last request that the group accepted.  Renewed from the client's thread, read from any."""

    __slots__ = ("_clock_ms", "_renewed_ms", "timeout_ms")

    def __init__(self, timeout_ms: int, clock_ms: Callable[[], int] = monotonic_ms) -> None:
        self.timeout_ms = timeout_ms
        self._clock_ms = clock_ms
        self._renewed_ms: int | None = None

    @property
    def held(self) -> bool:
        """True while the group cannot have given the partitions away."""
        renewed_ms = self._renewed_ms
        return renewed_ms is not None and self._clock_ms() - renewed_ms < self.timeout_ms

    def check(self) -> None:
        """Check the lease, right before each durable write.  Raises LeaseLost when it has ended."""
        renewed_ms = self._renewed_ms
        if renewed_ms is None:
            raise LeaseLost("the group does not count us as a member")
        age_ms = self._clock_ms() - renewed_ms
        if age_ms >= self.timeout_ms:
            raise LeaseLost(f"last heartbeat accepted {age_ms} ms ago, session timeout {self.timeout_ms} ms")

    def renew(self, sent_ms: int) -> None:
        """Renew for a request that the group accepted and that left at `sent_ms` on this lease's clock."""
        if self._renewed_ms is None or sent_ms > self._renewed_ms:
            self._renewed_ms = sent_ms

    def lose(self) -> None:
        """End the lease: the group answered that this worker is no longer a member."""
        self._renewed_ms = None
