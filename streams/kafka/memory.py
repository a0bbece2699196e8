"""Log and reader in memory: the ports of `streams.kafka.ports` without Kafka, for tests and rehearsals."""

import zlib
from collections.abc import Callable, Collection, Iterable

from streams.kafka.ports import KafkaRecord, Output, Records, TopicPartition


class MemoryLog:
    """Topics as lists of records, by topic and partition; a log and a reader in one.

    `partitions` gives a topic's partition count, for outputs that are spread by key: CRC-32 does it here.
    `now_ms` is the timestamp of outputs without one.
    """

    def __init__(
        self, partitions: Callable[[str], int] = lambda topic: 1, now_ms: Callable[[], int] = lambda: 0
    ) -> None:
        self.partitions: dict[TopicPartition, list[KafkaRecord]] = {}
        self._partition_count = partitions
        self._now_ms = now_ms

    def send_all(self, outputs: Iterable[Output]) -> None:
        """Append the records."""
        for out in outputs:
            by_key = out.partition < 0
            partition = zlib.crc32(out.key or b"") % self._partition_count(out.topic) if by_key else out.partition
            records = self.partitions.setdefault((out.topic, partition), [])
            timestamp_ms = out.timestamp_ms or self._now_ms()
            records.append(KafkaRecord(len(records), timestamp_ms, out.key, out.value, tuple(out.headers)))

    async def flush(self) -> None:
        """Return at once: everything that was sent is in memory."""

    def read(self, partitions: Collection[TopicPartition]) -> Records:
        """Every record of the partitions, in order within each."""
        for partition in partitions:
            for record in self.partitions.get(partition, ()):
                yield partition, record

    def read_from(self, partition: TopicPartition, offset: int) -> Records:
        """Every record of a partition from this offset."""
        for record in self.partitions.get(partition, [])[offset:]:
            yield partition, record

    def tail(self, partitions: Collection[TopicPartition], records: int) -> Records:
        """The last `records` records of each partition."""
        for partition in partitions:
            stored = self.partitions.get(partition, [])
            for record in stored[max(0, len(stored) - records) :]:
                yield partition, record
