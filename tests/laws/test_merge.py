"""Laws of the merge: one order, whatever is fetched first and however batches are cut; nothing before its time."""

from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.topics import CONTACTS, INBOUND, PURCHASES, RESPONSES, SUPPORT, WAKEUPS
from streams.kafka.ports import KafkaRecord
from streams.processing.merge import BATCH_RECORDS, LANE_BYTES, Merge
from streams.state.progress import UNREAD, Progress
from tests.support.laws import examples

TOPICS = [topic.name for topic in INBOUND]
AT_ONCE = [CONTACTS.name, PURCHASES.name, SUPPORT.name, RESPONSES.name, WAKEUPS.name]
"""The order of records of the same time."""

WALL_MS = 1_000
EARLY_MS = 50
LAW = settings(max_examples=examples(1_000))

Topics = dict[str, list[KafkaRecord]]
Taken = list[tuple[str, int]]


@st.composite
def topics(draw: st.DrawFn) -> Topics:
    """A few records in each topic, with times that go back, that are equal, and that claim to come from the future."""
    times = st.lists(st.integers(-1, WALL_MS + 2 * EARLY_MS), max_size=8)
    return {topic: [KafkaRecord(at, ms, b"c", b"v") for at, ms in enumerate(draw(times))] for topic in TOPICS}


def in_order(records: Topics) -> Taken:
    """All of them in order of time: of a topic's timestamps the highest so far, those beyond `early` aside."""
    timed = []
    for topic, own in records.items():
        time_ms = 0
        for record in own:
            time_ms = max([time_ms, *([record.timestamp] if record.timestamp <= WALL_MS + EARLY_MS else [])])
            timed.append((time_ms, AT_ONCE.index(topic), record.offset, topic))
    return [(topic, offset) for _, _, offset, topic in sorted(timed)]


class Fetch(NamedTuple):
    """A fetch of a topic that brings so many records, then perhaps a batch of so many."""

    topic: str
    records: int
    batch: int


FETCHES = st.lists(st.builds(Fetch, st.sampled_from(TOPICS), st.integers(1, 5), st.integers(0, 4)), max_size=60)


class Reading:
    """A merge under which topics are fetched one by one; `now` is the monotonic clock."""

    def __init__(self, records: Topics, progress: Progress | None = None) -> None:
        self.records, self.now = records, 0
        self.empty: dict[str, int] = {}
        progress = progress or Progress()
        self.at = {topic: max(0, offset) for topic, offset in zip(TOPICS, progress.offsets, strict=True)}
        self.merge = Merge(progress, lambda topic: self.empty.get(topic, -1), EARLY_MS)
        self.taken: Taken = []
        self.progress = progress

    def fetch(self, topic: str, count: int) -> None:
        """Ask for records of a topic; note when there are none."""
        self.now += 1
        found = self.records[topic][self.at[topic] : self.at[topic] + count]
        if found:
            self.at[topic] += len(found)
            self.empty.pop(topic, None)
            self.merge.put(topic, found, self.now + 1)
        else:
            self.empty[topic] = self.now
        self.now += 1

    def take(self, at_most: int = BATCH_RECORDS) -> bool:
        """Take a batch."""
        batch = self.merge.take(WALL_MS, at_most)
        if batch is None:
            return False
        assert len(batch.records) <= at_most or self.progress.in_hand
        self.taken += [(topic, record.offset) for topic, record in batch.records]
        self.progress = batch.progress
        return True

    def read_all(self) -> Taken:
        """Fetch and take until nothing is left."""
        for _ in range(200):
            for topic in TOPICS:
                self.fetch(topic, 100)
            while self.take():
                pass
        assert not self.merge.waiting
        return self.taken


@LAW
@given(topics(), FETCHES)
def test_whatever_is_fetched_first_the_order_is_that_of_time(records: Topics, fetches: list[Fetch]) -> None:
    """In the end all was taken once, in the one order of time; and at no moment anything out of it."""
    reading = Reading(records)
    expected = in_order(records)
    for fetch in fetches:
        reading.fetch(fetch.topic, fetch.records)
        if fetch.batch:
            reading.take(fetch.batch)
        assert reading.taken == expected[: len(reading.taken)]
    assert reading.read_all() == expected


@LAW
@given(topics(), topics(), FETCHES, st.integers(1, 9))
def test_a_batch_in_hand_is_taken_again_as_it_was(
    records: Topics, later: Topics, fetches: list[Fetch], size: int
) -> None:
    """After a crash the same records in the same order, though meanwhile older ones have come to other topics."""
    reading = Reading(records)
    for fetch in fetches:
        reading.fetch(fetch.topic, fetch.records)
    before = reading.progress
    if not reading.take(size):
        return
    in_hand = before._replace(in_hand=reading.progress.offsets, wall_ms=WALL_MS)
    more = {
        topic: [*own, *(record._replace(offset=len(own) + at) for at, record in enumerate(later[topic]))]
        for topic, own in records.items()
    }
    again = Reading(more, in_hand)
    for fetch in reversed(fetches):
        again.fetch(fetch.topic, fetch.records)
    while not again.take():
        for topic in TOPICS:
            again.fetch(topic, 3)
    assert (again.taken, again.progress) == (reading.taken, reading.progress)


@LAW
@given(topics(), FETCHES, st.integers(0, 40))
def test_resumed_anywhere_the_order_is_the_same(records: Topics, fetches: list[Fetch], cut: int) -> None:
    """What a worker took and its successor took is the one order, without a record twice."""
    first = Reading(records)
    for fetch in fetches[:cut]:
        first.fetch(fetch.topic, fetch.records)
        first.take(fetch.batch or 1)
    second = Reading(records, first.progress)
    assert first.taken + second.read_all() == in_order(records)


@LAW
@given(topics(), FETCHES)
def test_nothing_comes_before_the_merged_time(records: Topics, fetches: list[Fetch]) -> None:
    """By which due times are found while there is a backlog: every later record has this time or a later one."""
    times = {(topic, offset): at for at, (topic, offset) in enumerate(in_order(records))}
    reading = Reading(records)
    for fetch in fetches:
        reading.fetch(fetch.topic, fetch.records)
        reading.take(fetch.batch or 1)
        merged_ms, taken = reading.merge.merged_ms(WALL_MS), len(reading.taken)
        for topic, own in records.items():
            time_ms = 0
            for record in own:
                if record.timestamp <= WALL_MS + EARLY_MS:
                    time_ms = max(time_ms, record.timestamp)
                if times[topic, record.offset] >= taken and topic not in reading.empty:
                    assert time_ms >= merged_ms


@LAW
@given(topics(), FETCHES)
def test_the_merged_time_never_falls_behind_what_was_taken(records: Topics, fetches: list[Fetch]) -> None:
    """Or a wakeup of that time would lie before what was taken before it."""
    reading = Reading(records)
    for fetch in fetches:
        reading.fetch(fetch.topic, fetch.records)
        if fetch.batch:
            reading.take(fetch.batch)
        taken_ms = max(reading.progress.times_ms)
        if taken_ms <= WALL_MS:
            assert reading.merge.merged_ms(WALL_MS) >= taken_ms


def test_what_this_process_wrote_is_waited_for() -> None:
    """However sure it is that a topic is empty: two wakeups are on their way, and come before the next purchase."""
    empty = dict.fromkeys(TOPICS, 9)
    merge = Merge(Progress(), lambda topic: empty[topic], EARLY_MS)
    merge.put(PURCHASES.name, [KafkaRecord(at, WALL_MS - 100 + 50 * at, b"c", b"v") for at in range(2)], 5)
    assert merge.take(WALL_MS, 1) is not None
    merge.expect(WAKEUPS.name, 2)
    assert merge.take(WALL_MS) is None
    taken = []
    for at in range(2):
        merge.put(WAKEUPS.name, [KafkaRecord(at, WALL_MS - 70, b"c", b"v")], 6)
        batch = merge.take(WALL_MS)
        assert batch is not None
        taken += [topic for topic, _ in batch.records]
    assert taken == [WAKEUPS.name, WAKEUPS.name, PURCHASES.name]


def test_a_topic_that_was_not_heard_of_holds_the_others_up() -> None:
    """Until a fetch, asked after the record had come, found nothing; one that was asked before is not enough."""
    merge, empty = Merge(Progress(), lambda topic: empty[topic], EARLY_MS), dict.fromkeys(TOPICS, 5)
    merge.put(PURCHASES.name, [KafkaRecord(0, 10, b"c", b"v")], 5)
    assert merge.take(WALL_MS) is not None
    merge.put(PURCHASES.name, [KafkaRecord(1, 10, b"c", b"v")], 6)
    assert merge.take(WALL_MS) is None
    empty = dict.fromkeys(TOPICS, 6)
    assert merge.take(WALL_MS) is not None
    assert merge.complete_ns() == 6


@pytest.mark.parametrize(("count", "size"), [(BATCH_RECORDS, 1), (1, LANE_BYTES)])
def test_there_is_room_up_to_a_bound(count: int, size: int) -> None:
    """By records and by bytes, for each topic by itself; taking makes room."""
    merge = Merge(Progress(), lambda topic: 1 << 62, EARLY_MS)
    assert merge.wants(PURCHASES.name)
    merge.put(PURCHASES.name, [KafkaRecord(at, 10, b"c", b"v" * size) for at in range(count)], 0)
    assert not merge.wants(PURCHASES.name)
    assert merge.wants(CONTACTS.name)
    assert merge.take(WALL_MS) is not None
    assert merge.wants(PURCHASES.name)


def test_a_batch_in_hand_whose_records_were_deleted_ends() -> None:
    """What is left of it is taken, even if that is nothing, and the merge goes on."""
    ends = tuple(3 if topic == PURCHASES.name else UNREAD for topic in TOPICS)
    merge = Merge(Progress(in_hand=ends, wall_ms=7), lambda topic: 1, EARLY_MS)
    batch = merge.take(WALL_MS)
    assert batch is not None
    assert (batch.records, batch.wall_ms) == ([], 7)
    merge.put(PURCHASES.name, [KafkaRecord(4, 10, b"c", b"v")], 0)
    assert merge.take(WALL_MS) is not None


def test_a_batch_in_hand_wants_all_its_records() -> None:
    """However many bytes it has: it would never be complete otherwise, and nothing goes on before it."""
    ends = tuple(9 if topic == PURCHASES.name else UNREAD for topic in TOPICS)
    merge = Merge(Progress(in_hand=ends, wall_ms=7), lambda topic: -1, EARLY_MS)
    for offset in range(9):
        assert merge.wants(PURCHASES.name)
        assert merge.take(WALL_MS) is None
        assert merge.waiting
        merge.put(PURCHASES.name, [KafkaRecord(offset, 10, b"c", b"v" * LANE_BYTES)], 0)
    assert not merge.wants(PURCHASES.name)
    batch = merge.take(WALL_MS)
    assert batch is not None
    assert len(batch.records) == 9
    assert not merge.waiting
