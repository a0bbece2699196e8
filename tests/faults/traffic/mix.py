"""What a history is made of: how much of everything, and the records that come of it."""

from dataclasses import dataclass
from typing import NamedTuple

DAY_MS = 86_400_000


class Sent(NamedTuple):
    """A record to be written, `timestamp_ms` being the one that Kafka shall keep."""

    topic: str
    key: bytes | None
    value: bytes | None
    timestamp_ms: int
    headers: tuple[tuple[str, bytes | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Mix:
    """How much of what.  Ratios are of triggers or of answers, from 0 to 1; `visits` is how many triggers there are.

    `span_ms` is how long the history lasts, `spread_ms` how far answers, corrections and later copies lie apart,
    `jitter_ms` how far a record may be written out of turn, `apart_ms` how far at least from a survey's due time
    somebody objects to it, or asks for another: who watches live cannot tell a second's order.  A history must be
    shorter than what `limits.remember` and the quarantines keep in mind.  `burst` triggers come of one customer at
    once; `types` are those of ordinary ones, each as often as it is named.
    """

    visits: int = 600
    customers: int = 300
    span_ms: int = 10 * DAY_MS
    spread_ms: int = 2 * DAY_MS
    jitter_ms: int = 600_000
    apart_ms: int = 0
    burst: int = 0
    types: tuple[str, ...] = (
        *["order.delivered"] * 8, *["case.solved"] * 5, *["order.collected"] * 3, *["order.toured"] * 2,
        *["order.installed"] * 2, "order.paid", "order.lost",
    )  # fmt: skip
    answered_ratio: float = 0.75
    clicked_ratio: float = 0.3
    scanned_ratio: float = 0.06
    untimed_ratio: float = 0.05
    duplicated_ratio: float = 0.15
    reordered_ratio: float = 0.1
    corrected_ratio: float = 0.25
    voided_ratio: float = 0.06
    overtaking_ratio: float = 0.04
    late_ratio: float = 0.05
    absurd_ratio: float = 0.02
    cancelled_ratio: float = 0.1
    racing_ratio: float = 0.08
    opted_ratio: float = 0.05
    contact_ratio: float = 0.08
    erased_ratio: float = 0.02
    twin_ratio: float = 0.03
    long_ratio: float = 0.02
    faulty_ratio: float = 0.03
    stray_ratio: float = 0.02
    poison_ratio: float = 0.03
    junk_bytes: int = 70_000
    hot_customers: int = 3
    hot_customer_ratio: float = 0.05
    hot_segment_ratio: float = 0.5

    def __post_init__(self) -> None:
        """Raises ValueError for a ratio that is none."""
        for name in self.__slots__:
            if name.endswith("_ratio") and not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be from 0 to 1, not {getattr(self, name)}")


CLEAN = Mix(
    duplicated_ratio=0, reordered_ratio=0, late_ratio=0, absurd_ratio=0, cancelled_ratio=0, racing_ratio=0,
    opted_ratio=0, faulty_ratio=0, stray_ratio=0, poison_ratio=0, voided_ratio=0, corrected_ratio=0, overtaking_ratio=0,
    hot_customer_ratio=0, clicked_ratio=0, scanned_ratio=0, untimed_ratio=0, contact_ratio=0, erased_ratio=0,
    twin_ratio=0, long_ratio=0,
)  # fmt: skip
"""Nothing but triggers and their answers: to be told by `replace` what shall go wrong."""
