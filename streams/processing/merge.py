"""Merge of a partition's inbound topics by Kafka time, so that all that is known of a customer is read in step.

The record with the smallest time goes first; a topic's own order never changes, for its time is the highest timestamp
so far.  At equal times contact updates come first, then purchases, support, responses, wakeups.  A topic of which no
record waits holds the others up until it is known to be caught up: until a fetch asked after the next record had come
found nothing.  Kafka Streams does the same since KIP-695.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from schemas.topics import CONTACTS, INBOUND, PURCHASES, RESPONSES, SUPPORT, WAKEUPS
from streams.kafka.ports import FetchedRecord
from streams.state.progress import UNREAD, Progress

BATCH_RECORDS = 2_500
"""The most records in a batch: what must be finished before a partition can be given up."""

LANE_BYTES = 4 << 20
"""Bytes of one topic that wait, about twice a fetch: beyond that no more is wanted."""

_RANKED = (CONTACTS.name, PURCHASES.name, SUPPORT.name, RESPONSES.name, WAKEUPS.name)
RANK = {topic: rank for rank, topic in enumerate(_RANKED)}
"""Order of the topics at equal times."""

_NEVER = 1 << 62
"""Above every offset and every time."""

_NOTHING = (_NEVER, 0)


class MergedBatch(NamedTuple):
    """Records of one partition, each with its topic, in the order in which they happen.

    `wall_ms` is the wall clock at which they are decided; `progress` says where they end and how far they lead.
    """

    records: list[tuple[str, FetchedRecord]]
    wall_ms: int
    progress: Progress


class _Lane:
    """Records of one topic that wait, in chunks with the time at which each came.

    `next` is the offset after the last one taken, `end` the one after the last that came; nothing is taken from `stop`
    on.  `expected` is how many records this process wrote that did not come back yet.
    """

    __slots__ = (
        "at",
        "bytes",
        "chunks",
        "end",
        "expected",
        "is_heard",
        "next",
        "rank",
        "records",
        "stop",
        "time_ms",
        "topic",
    )

    def __init__(self, topic: str, next_: int, time_ms: int) -> None:
        self.topic, self.rank = topic, RANK[topic]
        self.next, self.end, self.time_ms = next_, next_, time_ms
        self.stop = _NEVER
        self.chunks: deque[tuple[Sequence[FetchedRecord], int, int]] = deque()
        self.at = self.records = self.bytes = self.expected = 0
        self.is_heard = False

    def put(self, records: Sequence[FetchedRecord], now_ns: int) -> None:
        size = sum([len(record.value or b"") for record in records])
        self.chunks.append((records, now_ns, size))
        self.records += len(records)
        self.bytes += size
        self.expected = max(0, self.expected - len(records))
        self.end = records[-1].offset + 1
        self.is_heard = True

    def head(self, latest_ms: int) -> tuple[int, int]:
        """Time and rank of the first record that may be taken; above all when there is none.

        A timestamp beyond `latest_ms` is refused later and moves no time.
        """
        if not self.records:
            return _NOTHING
        record = self.chunks[0][0][self.at]
        if record.offset >= self.stop:
            return _NOTHING
        return (record.timestamp if self.time_ms < record.timestamp <= latest_ms else self.time_ms), self.rank

    def take(self, taken: list[tuple[str, FetchedRecord]], latest_ms: int, until: tuple[int, int], room: int) -> None:
        """Move records of the first chunk to `taken` while they come before `until`, at least one, at most `room`."""
        records, _, size = self.chunks[0]
        topic, rank, time_ms, at, stop = self.topic, self.rank, self.time_ms, self.at, self.stop
        last = min(len(records), at + room)
        while at < last:
            record = records[at]
            if time_ms < record.timestamp <= latest_ms:
                time_ms = record.timestamp
            if (time_ms, rank) > until or record.offset >= stop:
                break
            self.time_ms = time_ms
            taken.append((topic, record))
            at += 1
        self.records -= at - self.at
        self.next = records[at - 1].offset + 1
        self.at = at
        if at == len(records):
            self.chunks.popleft()
            self.bytes -= size
            self.at = 0


class Merge:
    """Records of one partition's inbound topics that wait to be taken in one order.

    `caught_up_ns` returns for a topic the monotonic time at which the last fetch was asked that found nothing behind
    what was put here, -1 for none.  `progress` is how far the partition was applied; the batch in hand that it names is
    taken first, alone and as it was.  `early_ms` is how far ahead of the wall clock a timestamp is taken seriously.
    """

    def __init__(self, progress: Progress, caught_up_ns: Callable[[str], int], early_ms: int) -> None:
        self._caught_up_ns = caught_up_ns
        self._early_ms = early_ms
        self._epoch, self._wall_ms = progress.epoch, progress.wall_ms
        starts = zip(INBOUND, progress.offsets, progress.times_ms, strict=True)
        self._lanes = {topic.name: _Lane(topic.name, offset, time_ms) for topic, offset, time_ms in starts}
        self._in_hand = dict(zip(self._lanes, progress.in_hand, strict=True)) if progress.in_hand else {}

    def put(self, topic: str, records: Sequence[FetchedRecord], now_ns: int) -> None:
        """Add records of a topic that came at `now_ns` on the monotonic clock, in offset order, each once."""
        self._lanes[topic].put(records, now_ns)

    def expect(self, topic: str, records: int) -> None:
        """Hold the other topics up until so many more records of this one came: this process wrote them just now."""
        self._lanes[topic].expected += records

    def wants(self, topic: str) -> bool:
        """True while there is room for more records of this topic, or the batch in hand lacks some."""
        lane = self._lanes[topic]
        return lane.end < self._in_hand.get(topic, UNREAD) or (lane.records < BATCH_RECORDS and lane.bytes < LANE_BYTES)

    def take(self, wall_ms: int, at_most: int = BATCH_RECORDS) -> MergedBatch | None:
        """The next batch; None when nothing waits, or when a topic has to be heard of first."""
        if self._in_hand:
            return self._take_in_hand()
        taken: list[tuple[str, FetchedRecord]] = []
        self._take(taken, wall_ms, at_most, self._is_held_up)
        return self._batch(taken, wall_ms) if taken else None

    @property
    def waiting(self) -> bool:
        """True while records wait, or the batch in hand for its own."""
        return bool(self._in_hand) or any(lane.records for lane in self._lanes.values())

    def complete_ns(self) -> int:
        """Monotonic time up to which all that Kafka had was taken; -1 while some was not."""
        if self.waiting:
            return -1
        return min(self._caught_up_ns(topic) for topic in self._lanes)

    def merged_ms(self, wall_ms: int) -> int:
        """Time that the merge has reached: what was taken lies before it, what waits does not; 0 when unknown.

        It never falls behind a record that was taken, or a wakeup of this time would come before it when all is read
        again in order; a record stamped ahead of the wall clock tells of no time but its own.
        """
        if self._in_hand:
            return 0
        latest_ms, times_ms = wall_ms + self._early_ms, []
        taken_ms = max(lane.time_ms for lane in self._lanes.values())
        for lane in self._lanes.values():
            if lane.records:
                times_ms.append(lane.head(latest_ms)[0])
            elif self._caught_up_ns(lane.topic) < 0:
                times_ms.append(lane.time_ms)
        return max(min(times_ms, default=0), taken_ms if taken_ms <= wall_ms else 0)

    @property
    def is_heard(self) -> bool:
        """True once every topic was heard of: records came, or a fetch found nothing."""
        return all(lane.is_heard or self._caught_up_ns(lane.topic) >= 0 for lane in self._lanes.values())

    def heads(self) -> list[FetchedRecord]:
        """The first waiting record of each topic that has one."""
        return [lane.chunks[0][0][lane.at] for lane in self._lanes.values() if lane.records]

    def oldest_ms(self, topic: str) -> int | None:
        """Timestamp of the first record of a topic that waits; None when none does."""
        lane = self._lanes[topic]
        return lane.chunks[0][0][lane.at].timestamp if lane.records else None

    def _take(
        self, taken: list[tuple[str, FetchedRecord]], wall_ms: int, at_most: int, is_held_up: Callable[[int], bool]
    ) -> None:
        latest_ms = wall_ms + self._early_ms
        while (room := at_most - len(taken)) > 0:
            heads = sorted((lane.head(latest_ms), topic) for topic, lane in self._lanes.items())
            (first, topic), (second, _) = heads[:2]
            lane = self._lanes[topic]
            if first == _NOTHING or is_held_up(lane.chunks[0][1]):
                break
            lane.take(taken, latest_ms, second, room)

    def _is_held_up(self, came_ns: int) -> bool:
        """True while a topic of which no record waits may have one that comes before one that came at `came_ns`."""
        return any(
            not lane.records and (lane.expected or self._caught_up_ns(lane.topic) < came_ns)
            for lane in self._lanes.values()
        )

    def _take_in_hand(self) -> MergedBatch | None:
        """The batch that was in hand when its worker died, once all its records are here again."""
        for topic, end in self._in_hand.items():
            lane = self._lanes[topic]
            if lane.end < end and self._caught_up_ns(topic) < 0:
                return None
            lane.stop = end
        taken: list[tuple[str, FetchedRecord]] = []
        self._take(taken, self._wall_ms, _NEVER, lambda came_ns: False)
        for lane in self._lanes.values():
            lane.stop = _NEVER
        self._in_hand = {}
        return self._batch(taken, self._wall_ms)

    def _batch(self, taken: list[tuple[str, FetchedRecord]], wall_ms: int) -> MergedBatch:
        lanes = self._lanes.values()
        offsets, times_ms = tuple(lane.next for lane in lanes), tuple(lane.time_ms for lane in lanes)
        return MergedBatch(taken, wall_ms, Progress(self._epoch, offsets, times_ms))
