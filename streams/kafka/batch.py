"""What a handler gets: a batch, all that one fetch brought from one partition, in offset order."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class FetchedRecord(Protocol):
    """One record as fetched, never changed.  `timestamp` in ms UTC; key and value None when absent."""

    @property
    def offset(self) -> int: ...  # noqa: D102
    @property
    def timestamp(self) -> int: ...  # noqa: D102
    @property
    def key(self) -> bytes | None: ...  # noqa: D102
    @property
    def value(self) -> bytes | None: ...  # noqa: D102
    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]: ...  # noqa: D102


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """What one fetch brought from one partition: one record or more, in offset order."""

    topic: str
    partition: int
    records: Sequence[FetchedRecord]

    @property
    def first_offset(self) -> int:
        """The offset of the first record."""
        return self.records[0].offset

    @property
    def last_offset(self) -> int:
        """The offset of the last record."""
        return self.records[-1].offset

    def __len__(self) -> int:
        return len(self.records)

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}] offsets {self.first_offset} to {self.last_offset}"
