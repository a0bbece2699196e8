"""Which offset of one partition may be committed, promised to the engine: never past a batch that is unfinished.

handed over:   [0..9] [10..19] [20..29]
finished:       yes      no       yes      ->  10 may be committed, and 30 as soon as [10..19] is done
"""

from collections import deque


class Tracker:
    """The batches of one partition that were handed to a handler, known by their last offset, in order."""

    __slots__ = ("_done", "_handed", "_last", "_next")

    def __init__(self) -> None:
        self._handed: deque[int] = deque()
        self._done: set[int] = set()
        self._last: int | None = None
        self._next: int | None = None

    @property
    def last_handed(self) -> int | None:
        """The last offset handed over so far, finished or not."""
        return self._last

    @property
    def committable(self) -> int | None:
        """The next offset to process once everything before it is finished; None until a batch is."""
        return self._next

    def holds(self, last_offset: int) -> bool:
        """True while the batch that ends at this offset is handed over and not finished."""
        return last_offset in self._handed and last_offset not in self._done

    def hand(self, last_offset: int) -> None:
        """A batch ending at `last_offset` goes to its handler.  ValueError when it is not behind the one before."""
        if self._last is not None and last_offset <= self._last:
            raise ValueError(f"batch ending at {last_offset} handed over after {self._last}")
        self._last = last_offset
        self._handed.append(last_offset)

    def finish(self, last_offset: int) -> None:
        """The effects of that batch are durable.  ValueError when it is not in hand."""
        if not self.holds(last_offset):
            raise ValueError(f"batch ending at {last_offset} is not in hand")
        self._done.add(last_offset)
        while self._handed and self._handed[0] in self._done:
            head = self._handed.popleft()
            self._done.remove(head)
            self._next = head + 1
