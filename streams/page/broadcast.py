"""Changes sent to everybody who looks at the page, in memory that slow readers and more readers do not grow.

A change is encoded once for a role and the bytes are shared.  Each reader has a queue of at most MOST_WAITING pieces;
one that is slower loses them all and gets the whole state anew, which is smaller than the changes that it missed.
"""

import asyncio
from collections import deque

from streams.page.access import Role

MOST_WAITING = 64
"""The most pieces that wait for one reader: 13 seconds of changes."""


class Subscriber:
    """Queue of one reader; it begins with the need for a snapshot."""

    def __init__(self, role: Role) -> None:
        self.role = role
        self.needs_snapshot = True
        self._waiting: deque[bytes] = deque()
        self._has_news = asyncio.Event()
        self._has_news.set()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, piece: bytes) -> None:
        """Add a piece; where there is no room, all are dropped for a snapshot, which holds them."""
        if self.needs_snapshot:
            return
        self._waiting.append(piece)
        if len(self._waiting) > MOST_WAITING:
            self._waiting.clear()
            self.needs_snapshot = True
        self._has_news.set()

    def take(self) -> bytes:
        """All pieces that wait, as one; empty for none."""
        pieces = b"".join(self._waiting)
        self._waiting.clear()
        self._has_news.clear()
        return pieces

    def begin(self) -> None:
        """Note that a snapshot of now is sent: changes after it are wanted."""
        self._waiting.clear()
        self._has_news.clear()
        self.needs_snapshot = False

    def wake(self) -> None:
        """End the present wait."""
        self._has_news.set()

    async def wait(self, within_s: float) -> bool:
        """Wait for something to send; False after `within_s` seconds without any."""
        try:
            await asyncio.wait_for(self._has_news.wait(), within_s)
        except TimeoutError:
            return False
        return True


class Broadcast:
    """All readers."""

    def __init__(self) -> None:
        self._subscribers: set[Subscriber] = set()
        self.is_closed = False

    def __len__(self) -> int:
        return len(self._subscribers)

    def join(self, role: Role) -> Subscriber:
        """Add a reader."""
        subscriber = Subscriber(role)
        self._subscribers.add(subscriber)
        return subscriber

    def leave(self, subscriber: Subscriber) -> None:
        """Remove a reader."""
        self._subscribers.discard(subscriber)

    def close(self) -> None:
        """Let all readers go."""
        self.is_closed = True
        for subscriber in self._subscribers:
            subscriber.wake()

    def send(self, role: Role, piece: bytes) -> None:
        """Queue a piece for every reader of a role."""
        for subscriber in self._subscribers:
            if subscriber.role is role:
                subscriber.put(piece)
