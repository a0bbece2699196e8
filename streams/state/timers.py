"""Who must be woken when: one bucket a second, so that an entry costs a pointer.

An entry is a hint: whoever takes it checks it against the journey, which alone knows the time that holds now.
"""

import heapq


class Timers:
    """Keys by the second in which they are due.  Entries are never removed early."""

    def __init__(self) -> None:
        self._buckets: dict[int, list[bytes]] = {}
        self._seconds: list[int] = []

    def push(self, key: bytes, due_ms: int) -> None:
        """Remember to look at `key` not before `due_ms`."""
        second = -(-due_ms // 1000)
        bucket = self._buckets.get(second)
        if bucket is None:
            bucket = self._buckets[second] = []
            heapq.heappush(self._seconds, second)
        bucket.append(key)

    def due(self, now_ms: int, at_most: int) -> list[bytes]:
        """Take the keys that are due, oldest first, `at_most` many or the rest of one second more."""
        taken: list[bytes] = []
        while self._seconds and self._seconds[0] * 1000 <= now_ms and len(taken) < at_most:
            taken += self._buckets.pop(heapq.heappop(self._seconds))
        return taken
