"""The log as the pipeline needs it: two ports, and the adapter that keeps it in memory.

The Kafka adapters are `streams.kafka.producer` and `streams.kafka.reader`; tests of crashes use the one in memory.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

TopicPartition = tuple[str, int]
Headers = Sequence[tuple[str, bytes | None]]


class KafkaRecord(NamedTuple):
    """One record of a topic partition.  `timestamp` is Kafka's, in milliseconds."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


Records = Iterator[tuple[TopicPartition, KafkaRecord]]
"""Records with where they lie."""


class Output(NamedTuple):
    """A record to be written; a negative partition lets the key choose, timestamp 0 means now."""

    topic: str
    value: bytes | None
    key: bytes | None
    partition: int = -1
    timestamp_ms: int = 0
    headers: Headers = ()


class Log(Protocol):
    """Where effects go.  Nothing is durable until `flush` returns."""

    def send_all(self, outputs: Iterable[Output]) -> None:
        """Hand over records, in order."""

    async def flush(self) -> None:
        """Wait until all that was sent is durable.  Raises when anything is not."""


class Reader(Protocol):
    """Where state comes back from."""

    def read(self, partitions: Collection[TopicPartition]) -> Records:
        """The records of partitions from their beginning to their present end, once, in order within each."""


class MemoryLog:
    """A log in memory: partitions are lists.  With `crash_at`, the nth record from now on is lost and raises."""

    def __init__(self) -> None:
        self.partitions: dict[TopicPartition, list[KafkaRecord]] = {}
        self.sent = 0
        self.crash_at: int | None = None

    def send_all(self, outputs: Iterable[Output]) -> None:
        """Append the records, or raise ConnectionError where the crash was asked for."""
        for out in outputs:
            if self.sent == self.crash_at:
                raise ConnectionError("crashed as asked")
            self.sent += 1
            records = self.partitions.setdefault((out.topic, max(out.partition, 0)), [])
            records.append(KafkaRecord(len(records), out.timestamp_ms, out.key, out.value, tuple(out.headers)))

    async def flush(self) -> None:
        """All is durable that was sent, unless the crash was asked for here."""
        if self.sent == self.crash_at:
            raise ConnectionError("crashed as asked")

    def read(self, partitions: Collection[TopicPartition]) -> Records:
        """The partitions' records."""
        for partition in partitions:
            for record in self.partitions.get(partition, ()):
                yield partition, record
