"""Sessions of the local ClickHouse: handles that are kept between requests, with their temporary tables and settings.

As on a server one request at a time may use a session, it ends some time after its last request, and no other user can
take it up.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any

from sinks.chdb.request import EngineError, SessionRequest

MAX_SESSIONS = 100
"""Number of sessions that are kept at once."""

MAX_TIMEOUT_S = 3600.0
"""Longest time in seconds for which a session may be kept."""


@dataclass(slots=True)
class KeptHandle:
    """Handle of a session; `ends_s` is when it ends on the monotonic clock, unless it is in use."""

    handle: Any
    ends_s: float
    in_use: bool


class HandleSessions:
    """Sessions by user and name.  Threads may borrow at the same time."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self._kept: dict[tuple[str, str], KeptHandle] = {}
        self._lock = Lock()

    @contextmanager
    def borrowed(self, user: str, session: SessionRequest) -> Iterator[Any]:
        """Lend a session's handle, a new one for a new session.

        Raises EngineError when another request uses it, when it should be there and is not, when too many are in use.
        """
        key = (user, session.name)
        with self._lock:
            self._end_old()
            kept = self._taken(key, session)
        try:
            yield kept.handle
        finally:
            with self._lock:
                kept.in_use = False
                kept.ends_s = time.monotonic() + session.timeout_s

    def close(self) -> None:
        """End every session."""
        with self._lock:
            for kept in self._kept.values():
                kept.handle.close()
            self._kept.clear()

    def _taken(self, key: tuple[str, str], session: SessionRequest) -> KeptHandle:
        kept = self._kept.get(key)
        if kept is None:
            if session.known:
                raise EngineError.of(372, "SESSION_NOT_FOUND", f"Session {session.name} is not found")
            self._make_room()
            kept = self._kept[key] = KeptHandle(self._connect(), 0.0, in_use=False)
        if kept.in_use:
            raise EngineError.of(373, "SESSION_IS_LOCKED", f"Session {session.name} is locked by a concurrent client")
        kept.in_use = True
        return kept

    def _make_room(self) -> None:
        """End the session that would end first, when there are as many as may be: drivers leave theirs behind."""
        if len(self._kept) < MAX_SESSIONS:
            return
        idle = [key for key, kept in self._kept.items() if not kept.in_use]
        if not idle:
            raise EngineError.of(700, "USER_SESSION_LIMIT_EXCEEDED", f"more than {MAX_SESSIONS} sessions in use")
        first = min(idle, key=lambda key: self._kept[key].ends_s)
        self._kept.pop(first).handle.close()

    def _end_old(self) -> None:
        now_s = time.monotonic()
        for key, kept in list(self._kept.items()):
            if not kept.in_use and kept.ends_s <= now_s:
                kept.handle.close()
                del self._kept[key]
