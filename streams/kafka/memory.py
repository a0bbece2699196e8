"""A log in memory: the ports of `streams.kafka.ports` without Kafka, for tests and trials."""

import zlib
from collections.abc import Callable, Collection, Iterable

from streams.kafka.ports import KafkaRecord, Output, Records, TopicPartition


class MemoryLog:
    """Topics as lists of records, by topic and partition; a log and a reader in one.

    `partitions` tells how many a topic has: it matters for outputs that let the key choose, which CRC-32 does here.
    `now_ms` stamps outputs without a time of their own.
    """

    def __init__(
        self, partitions: Callable[[str], int] = lambda topic: 1, now_ms: Callable[[], int] = lambda: 0
    ) -> None:
        self.partitions: dict[TopicPartition, list[KafkaRecord]] = {}
        self._count = partitions
        self._now_ms = now_ms

    def send_all(self, outputs: Iterable[Output]) -> None:
        """Append the records."""
        for out in outputs:
            chosen = zlib.crc32(out.key or b"") % self._count(out.topic) if out.partition < 0 else out.partition
            records = self.partitions.setdefault((out.topic, chosen), [])
            stamp_ms = out.timestamp_ms or self._now_ms()
            records.append(KafkaRecord(len(records), stamp_ms, out.key, out.value, tuple(out.headers)))

    async def flush(self) -> None:
        """All is durable that was sent."""

    def read(self, partitions: Collection[TopicPartition]) -> Records:
        """The records of the partitions."""
        for partition in partitions:
            for record in self.partitions.get(partition, ()):
                yield partition, record

    def tail(self, partitions: Collection[TopicPartition], records: int) -> Records:
        """The last so many records of each partition."""
        for partition in partitions:
            for record in self.partitions.get(partition, [])[-records:]:
                yield partition, record
