"""Foreign records that wait for a link, on nps.unlinked until they wait no more: bounded in number, bytes and time.

They belong to whoever holds their foreign partition in the source's group, who reads them back at each assignment.
"""

from collections.abc import Collection, Container, Iterable
from typing import NamedTuple

from schemas.deadletters import Death, NotADeadLetter, unwrap, wrap
from schemas.topics import UNLINKED
from streams.kafka.ports import KafkaRecord, Output, TopicPartition

MOST_RECORDS = 10_000
"""The most records of one source that wait in one process."""

MOST_BYTES = 67_108_864
"""The most bytes of them."""

KEY_HEADER = "nps.unlinked.key"
"""Last header of the foreign record on nps.unlinked: its key, or nothing where it has none."""

RecordPlace = tuple[str, int, int]
"""Foreign topic, partition and offset."""


class WaitingRecord(NamedTuple):
    """A foreign record that waits for any of these links since `since_ms` on the wall clock, or dies this death.

    Without links it was read back, and is to be mapped again to find out for which.
    """

    links: tuple[str, ...]
    since_ms: int
    death: Death
    record: KafkaRecord

    @property
    def place(self) -> RecordPlace:
        """Topic, partition and offset at which it lies."""
        return self.death.topic, self.death.partition, self.death.offset


class WaitingRecords:
    """Records of one source that wait, oldest first, for `longest_ms` at most."""

    def __init__(
        self, source: str, longest_ms: int, most_records: int = MOST_RECORDS, most_bytes: int = MOST_BYTES
    ) -> None:
        self._source, self._longest_ms = source, longest_ms
        self._most_records, self._most_bytes = most_records, most_bytes
        self._waiting: dict[RecordPlace, WaitingRecord] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, waiting: WaitingRecord) -> list[Output]:
        """Have a record wait, or wait on for other links; the output of it where it is new."""
        before = self._waiting.get(waiting.place)
        if before is not None:
            self._waiting[waiting.place] = waiting._replace(since_ms=before.since_ms)
            return []
        self._put(waiting)
        headers = wrap([*waiting.record.headers, (KEY_HEADER, waiting.record.key)], waiting.death)
        return [Output(UNLINKED.name, waiting.record.value, self._key(waiting), -1, waiting.since_ms, headers)]

    def end(self, place: RecordPlace) -> list[Output]:
        """Have a record wait no more; the output that says so, if it waited."""
        waiting = self._waiting.pop(place, None)
        if waiting is None:
            return []
        self._bytes -= len(waiting.record.value or b"")
        return [Output(UNLINKED.name, None, self._key(waiting))]

    def linked(self, known: Container[str]) -> list[WaitingRecord]:
        """Records of which a link is known, and those read back."""
        return [
            waiting
            for waiting in self._waiting.values()
            if not waiting.links or any(link in known for link in waiting.links)
        ]

    def given_up(self, now_ms: int) -> list[WaitingRecord]:
        """Records that have waited too long by the wall clock, and the oldest of those that are too many."""
        found, records, size = [], len(self._waiting), self._bytes
        for waiting in self._waiting.values():
            is_over = records > self._most_records or size > self._most_bytes
            if is_over or now_ms - waiting.since_ms > self._longest_ms:
                found.append(waiting)
                records -= 1
                size -= len(waiting.record.value or b"")
        return found

    def restore(self, partitions: Collection[TopicPartition], records: Iterable[KafkaRecord]) -> None:
        """Read back what waits of these foreign partitions, of all records of nps.unlinked; forget all else."""
        self._waiting, self._bytes = {}, 0
        found: dict[bytes, WaitingRecord] = {}
        for record in records:
            key = record.key or b""
            found.pop(key, None)
            waiting = self._opened(record)
            if waiting is not None and waiting.place[:2] in partitions:
                found[key] = waiting
        for waiting in sorted(found.values(), key=lambda one: one.since_ms):
            self._put(waiting)

    def _put(self, waiting: WaitingRecord) -> None:
        self._waiting[waiting.place] = waiting
        self._bytes += len(waiting.record.value or b"")

    def _key(self, waiting: WaitingRecord) -> bytes:
        return "|".join([self._source, *map(str, waiting.place)]).encode()

    def _opened(self, record: KafkaRecord) -> WaitingRecord | None:
        """Open a record of nps.unlinked; None for one of another source, and for one that waits no more."""
        if record.value is None or (record.key or b"").partition(b"|")[0] != self._source.encode():
            return None
        try:
            headers, death = unwrap(record.headers)
        except NotADeadLetter:
            return None
        if not headers or headers[-1][0] != KEY_HEADER:
            return None
        *others, (_, key) = headers
        foreign = KafkaRecord(death.offset, death.timestamp_ms, key, record.value, tuple(others))
        return WaitingRecord((), record.timestamp, death, foreign)
