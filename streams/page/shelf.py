"""Shelf of the page: the newest value under each key, bounded in number, and the keys that changed since then."""

from collections.abc import Iterator
from typing import Generic, TypeVar

V = TypeVar("V")


class Shelf(Generic[V]):
    """Values by key; beyond `most` the one that was put first goes.  `dropped` counts those."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: dict[str, V] = {}
        self._changed: set[str] = set()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[tuple[str, V]]:
        return iter(self._values.items())

    def get(self, key: str) -> V | None:
        """The value under a key; None for none."""
        return self._values.get(key)

    def put(self, key: str, value: V) -> None:
        """Take a value in, in place of the one before it under this key."""
        if key not in self._values and len(self._values) >= self._most:
            self.drop(next(iter(self._values)))
            self.dropped += 1
        self._values[key] = value
        self._changed.add(key)

    def drop(self, key: str) -> None:
        """Take a value out; harmless when it is not there."""
        if self._values.pop(key, None) is not None:
            self._changed.add(key)

    def touch(self, key: str) -> None:
        """Note that a value is shown differently now."""
        if key in self._values:
            self._changed.add(key)

    def take_changes(self) -> list[tuple[str, V | None]]:
        """Values that changed since the last call, None for those that are gone, which are as many as were there."""
        changed, self._changed = self._changed, set()
        return [(key, self._values.get(key)) for key in changed]
