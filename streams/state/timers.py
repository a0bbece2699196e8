"""Timers: customer keys by the second in which they are due, one bucket a second, so that an entry costs a pointer.

An entry may be outdated: the caller checks it against the journey, which holds the timer that is valid now.
"""

import heapq


class Timers:
    """Keys by the whole second at which they are due.  Entries are never removed early."""

    def __init__(self) -> None:
        self._buckets: dict[int, list[bytes]] = {}
        self._seconds: list[int] = []

    def push(self, key: bytes, due_ms: int) -> None:
        """Add `key`, due at the first whole second not before `due_ms`."""
        second = -(-due_ms // 1000)
        bucket = self._buckets.get(second)
        if bucket is None:
            bucket = self._buckets[second] = []
            heapq.heappush(self._seconds, second)
        bucket.append(key)

    def due(self, now_ms: int, at_most: int) -> list[bytes]:
        """Remove and return keys that are due, oldest first: whole seconds, until there are `at_most` or more."""
        keys: list[bytes] = []
        while self._seconds and self._seconds[0] * 1000 <= now_ms and len(keys) < at_most:
            keys += self._buckets.pop(heapq.heappop(self._seconds))
        return keys
