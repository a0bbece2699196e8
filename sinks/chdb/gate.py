"""Gate through which many pass at once, or one alone."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class SharedGate:
    """Lock that requests share, and that whoever opens the engine anew has alone."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._closed = False

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Pass together with others, once nobody is or wants to be alone."""
        with self._changed:
            self._changed.wait_for(lambda: not self._closed)
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self, within_s: float) -> Iterator[None]:
        """Wait for all others to be through, and let nobody in meanwhile.  Raises TimeoutError."""
        with self._changed:
            self._changed.wait_for(lambda: not self._closed)
            self._closed = True
            is_empty = self._changed.wait_for(lambda: self._inside == 0, within_s)
        try:
            if not is_empty:
                raise TimeoutError
            yield
        finally:
            with self._changed:
                self._closed = False
                self._changed.notify_all()
