"""A log in memory that dies in the middle of writing, where it is told to."""

from collections.abc import Callable, Iterable

from streams.kafka.memory import MemoryLog
from streams.kafka.ports import Output


class CrashingLog(MemoryLog):
    """With `crash_at`, the nth record ever sent is lost and raises ConnectionError, and so does flushing there."""

    def __init__(
        self, partitions: Callable[[str], int] = lambda topic: 1, now_ms: Callable[[], int] = lambda: 0
    ) -> None:
        super().__init__(partitions, now_ms)
        self.sent = 0
        self.crash_at: int | None = None

    def crash_after(self, records: int) -> None:
        """Let so many more records through."""
        self.crash_at = self.sent + records

    def send_all(self, outputs: Iterable[Output]) -> None:
        """Append the records up to the crash."""
        for out in outputs:
            self._die_here()
            self.sent += 1
            super().send_all([out])

    async def flush(self) -> None:
        """All is durable that was sent, unless the crash is here."""
        self._die_here()

    def _die_here(self) -> None:
        if self.sent == self.crash_at:
            raise ConnectionError("crashed as asked")
