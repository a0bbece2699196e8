"""Bounds of a batch, its fill, and the back-off after failures: pure values, with time as an argument."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BatchPolicy:
    """Bounds of a batch, of which the first one reached makes it due.  Raises ValueError for a bound below 1."""

    max_rows: int = 50_000
    max_bytes: int = 16 << 20
    max_age_ms: int = 1_000

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, not {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class Fill:
    """Rows and bytes of a batch; `since_ms` is the arrival of its first row, on the clock of each `now_ms` below."""

    rows: int = 0
    size_bytes: int = 0
    since_ms: int = 0

    def plus(self, rows: int, size_bytes: int, now_ms: int) -> "Fill":
        """Add rows that came at `now_ms`."""
        if not rows:
            return self
        return Fill(self.rows + rows, self.size_bytes + size_bytes, self.since_ms if self.rows else now_ms)

    def is_due(self, policy: BatchPolicy, now_ms: int) -> bool:
        """True when the batch should be written now; never for an empty one."""
        return self.rows > 0 and (
            self.rows >= policy.max_rows
            or self.size_bytes >= policy.max_bytes
            or now_ms - self.since_ms >= policy.max_age_ms
        )

    def left_ms(self, policy: BatchPolicy, now_ms: int) -> int:
        """Milliseconds until age alone makes the batch due, 0 or more; the whole `max_age_ms` for an empty one."""
        return max(0, self.since_ms + policy.max_age_ms - now_ms) if self.rows else policy.max_age_ms


EMPTY = Fill()


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential back-off with jitter: waits double from `first_ms` to `cap_ms`, each cut by up to half at random.

    Raises ValueError unless 0 < first_ms <= cap_ms.
    """

    first_ms: int = 500
    cap_ms: int = 30_000

    def __post_init__(self) -> None:
        if not 0 < self.first_ms <= self.cap_ms:
            raise ValueError(f"need 0 < first_ms <= cap_ms, not {self.first_ms} and {self.cap_ms}")

    def wait_ms(self, failures: int, chance: float) -> int:
        """Wait in milliseconds after so many failures in a row, 1 or more; `chance` is drawn from [0, 1)."""
        longest_ms = min(self.cap_ms, self.first_ms << min(failures - 1, 32))
        return int(longest_ms * (1 - chance / 2))
