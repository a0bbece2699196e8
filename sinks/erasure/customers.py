"""Erased customers, known by the first eight bytes of their digests: 16 bytes each, 16 MB a million."""

from array import array
from bisect import bisect_left
from heapq import merge

MOST_RECENT = 65_536
"""Customers learnt one by one before they are sorted in among the others."""


class ErasedCustomers:
    """Instants in milliseconds until which customers are erased, by digest.

    Eight bytes tell a million customers from any other with a chance of error of 1 in 10^13.
    """

    def __init__(self) -> None:
        self._keys, self._until_ms = array("Q"), array("q")
        self._recent: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._keys) + len(self._recent)

    def get(self, customer: str) -> int | None:
        """The instant until which the customer of this digest is erased; None for one who is not."""
        key = _key(customer)
        recent_ms, at = self._recent.get(key), bisect_left(self._keys, key)
        if at == len(self._keys) or self._keys[at] != key:
            return recent_ms
        return self._until_ms[at] if recent_ms is None else max(recent_ms, self._until_ms[at])

    def learn(self, customer: str, until_ms: int) -> None:
        """Take an erasure of the customer of this digest; of several the latest holds.  Cheapest in their order."""
        key = _key(customer)
        if not self._keys or key > self._keys[-1]:
            self._keys.append(key)
            self._until_ms.append(until_ms)
            return
        self._recent[key] = max(until_ms, self._recent.get(key, until_ms))
        if len(self._recent) >= MOST_RECENT:
            self._sort_in()

    def _sort_in(self) -> None:
        pairs = merge(zip(self._keys, self._until_ms, strict=True), sorted(self._recent.items()))
        self._keys, self._until_ms, self._recent = array("Q"), array("q"), {}
        for key, until_ms in pairs:  # in order of key, and of its instants: the later one holds
            if self._keys and self._keys[-1] == key:
                self._until_ms[-1] = until_ms
            else:
                self._keys.append(key)
                self._until_ms.append(until_ms)


def _key(customer: str) -> int:
    return int(customer[:16], 16)
