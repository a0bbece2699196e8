"""Ports to Kafka, `Log` for writing and `Reader` for reading back, with their records, batches and outputs.

The adapters are `producer` and `reader` over librdkafka, and `memory` for tests and rehearsals.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

TopicPartition = tuple[str, int]
Headers = Sequence[tuple[str, bytes | None]]


class FetchedRecord(Protocol):
    """A record as fetched, read-only.  `timestamp` in ms UTC; key and value are None when absent."""

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


def has_header(record: FetchedRecord, header_name: str) -> bool:
    """True for a record that carries a header of this name."""
    return any(name == header_name for name, _ in record.headers or ())


class KafkaRecord(NamedTuple):
    """A record of a topic partition, as `Reader` gives it.  `timestamp` is Kafka's, in milliseconds UTC."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


Records = Iterator[tuple[TopicPartition, KafkaRecord]]
"""Records, each with the topic partition that it lies in."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Records fetched from one partition in one go: at least one, in offset order."""

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


class Output(NamedTuple):
    """A record to be written; a negative partition spreads by key, timestamp 0 means now."""

    topic: str
    value: bytes | None
    key: bytes | None
    partition: int = -1
    timestamp_ms: int = 0
    headers: Headers = ()


class Log(Protocol):
    """Port for writing records.  Nothing is durable until `flush` returns."""

    def send_all(self, outputs: Iterable[Output]) -> None:
        """Hand over records, in order, maybe none.  Raises Undelivered when an earlier one failed."""

    async def flush(self) -> None:
        """Wait until all that was sent is durable.  Raises Undelivered when anything is not."""


class Reader(Protocol):
    """Port for reading records back."""

    def read(self, partitions: Collection[TopicPartition]) -> Records:
        """Every record of the partitions from their beginning to their present end, in order within each."""

    def read_from(self, partition: TopicPartition, offset: int) -> Records:
        """Every record of a partition from this offset, or from the first one after it, to its present end."""

    def tail(self, partitions: Collection[TopicPartition], records: int) -> Records:
        """The last `records` records of each partition, sometimes a few more."""
