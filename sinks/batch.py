"""When a batch is due: enough rows, enough bytes, or old enough.  Pure; time is an argument."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BatchPolicy:
    """The bounds of a batch; the first one reached makes it due.  Raises ValueError for a bound below 1."""

    max_rows: int = 50_000
    max_bytes: int = 16 << 20
    max_age_ms: int = 1_000

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, not {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class Fill:
    """How full a batch is: `since_ms` is when its first row came, on the clock that `plus` and `is_due` are given."""

    rows: int = 0
    size_bytes: int = 0
    since_ms: int = 0

    def plus(self, rows: int, size_bytes: int, now_ms: int) -> "Fill":
        """The fill after more rows came."""
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
        """How long until age alone makes it due, 0 at least; the whole age for an empty one."""
        return max(0, self.since_ms + policy.max_age_ms - now_ms) if self.rows else policy.max_age_ms


EMPTY = Fill()


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits between tries: doubling from `first_ms` to `cap_ms`, each cut by up to half at random.

    Raises ValueError unless 0 < first_ms <= cap_ms.
    """

    first_ms: int = 500
    cap_ms: int = 30_000

    def __post_init__(self) -> None:
        if not 0 < self.first_ms <= self.cap_ms:
            raise ValueError(f"need 0 < first_ms <= cap_ms, not {self.first_ms} and {self.cap_ms}")

    def wait_ms(self, failures: int, chance: float) -> int:
        """The wait after the given number of failures in a row, 1 or more; `chance` is drawn from [0, 1)."""
        whole = min(self.cap_ms, self.first_ms << min(failures - 1, 32))
        return int(whole * (1 - chance / 2))
