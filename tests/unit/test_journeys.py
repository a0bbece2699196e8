"""The agent of the customers' side: who is woken when, and what becomes of a batch in hand."""

import asyncio
import random
from collections.abc import Iterable
from contextlib import suppress

import pytest

from schemas.codec import Codec
from schemas.errors import FuseBlown
from schemas.events import ContactUpdate, Decision, SurveyDispatch, SurveyResponse
from schemas.memory_registry import MemoryRegistry
from schemas.topics import (
    COLLECTOR_HEADER,
    CONTACTS,
    DEAD_LETTERS,
    DECISIONS,
    DISPATCHES,
    LETTER_HEADER,
    PURCHASES,
    RESPONSES,
    WAKEUPS,
)
from streams.domain.panes import HOUR_MS
from streams.domain.state import Journey
from streams.engine.fuse import Fuse, FuseLimits
from streams.kafka.ports import Headers, KafkaRecord, Output
from streams.processing.journeys import Journeys
from streams.processing.partition import PartitionProcessor
from streams.program import parse
from streams.state import progress
from streams.state.tables import JourneyEntry, encode
from tests.support import programs
from tests.support.crashing import CrashingLog
from tests.support.histories import PROGRAM, START_MS, purchase
from tests.support.memory_feed import MemoryFeed, World

CODEC = Codec()
PER_S = 100
DUE = 1_000
TICK_MS = 200


def overdue(partition: int, _: int = 1) -> PartitionProcessor:
    """A restored partition whose customers fell due one a second, long ago."""
    processor = PartitionProcessor(partition, PROGRAM, CODEC, lambda _: 0)
    for number in range(DUE):
        due_ms = START_MS - (DUE - number) * 1_000
        value = encode(JourneyEntry((-1,) * 5, due_ms, Journey(clock_ms=due_ms - 1)))
        processor.journeys.restore(KafkaRecord(number, due_ms, f"{partition}-{number:04}".encode(), value))
    processor.restored()
    return processor


def two_overdue(log: CrashingLog, clock: list[int]) -> Journeys:
    """The agent of two partitions whose customers are overdue, at the pace of `PER_S`."""
    feed = MemoryFeed(log)
    journeys = Journeys(
        log, CODEC, Fuse(FuseLimits()), feed, lambda: None, lambda: clock[0], overdue, wakeups_per_s=PER_S
    )  # fmt: skip
    for partition in (0, 1):
        journeys.assign(overdue(partition))
        for topic in journeys.topics:
            feed.fetch(journeys, (topic, partition), 1)
    return journeys


def test_a_backlog_leaves_at_the_pace_and_oldest_first() -> None:
    """After each tick no more is out than the pace allows, in the end all is, and each partition in its order."""
    log, clock = CrashingLog(), [START_MS]
    journeys, began_ms = two_overdue(log, clock), START_MS
    while log.sent < 2 * DUE:
        journeys.tick()
        assert log.sent * 1_000 <= PER_S * (1_000 + clock[0] - began_ms)
        clock[0] += TICK_MS
        assert clock[0] - began_ms < 60_000
    assert clock[0] - began_ms >= (2 * DUE / PER_S - 1) * 1_000
    for partition in (0, 1):
        keys = [record.key or b"" for record in log.partitions[WAKEUPS.name, partition]]
        assert keys == sorted(keys)
        assert len(keys) == DUE


def test_a_clock_set_back_stops_no_wakeups() -> None:
    """From the correction on they go at their pace again, not an hour later."""
    log, clock = CrashingLog(), [START_MS + HOUR_MS]
    journeys = two_overdue(log, clock)
    journeys.tick()
    before = log.sent
    clock[0] = START_MS
    for _ in range(1_000 // TICK_MS + 1):
        journeys.tick()
        clock[0] += TICK_MS
    assert log.sent - before >= PER_S // 2


def purchases(*records: tuple[int, str]) -> list[KafkaRecord]:
    """Purchases at these times by these customers."""
    return [
        KafkaRecord(offset, at_ms, name.encode(), CODEC.encode(purchase(f"p{offset}", "order.delivered", at_ms, name)))
        for offset, (at_ms, name) in enumerate(records)
    ]


def owning(log: CrashingLog, now_ms: int, codec: Codec = CODEC) -> tuple[Journeys, MemoryFeed]:
    """The agent of one blank partition."""
    feed = MemoryFeed(log)

    def blank(number: int, _: int = 1) -> PartitionProcessor:
        return PartitionProcessor(number, PROGRAM, CODEC, lambda _: 0)

    journeys = Journeys(log, codec, Fuse(FuseLimits()), feed, lambda: None, lambda: now_ms, blank, early_ms=300_000)
    journeys.assign(blank(0))
    return journeys, feed


def test_nobody_is_woken_while_something_older_may_be_unread() -> None:
    """A due survey waits until every topic was found empty after it was due; old records do not hold it up."""
    log, delay_ms = CrashingLog(), PROGRAM.rules[0].delay_ms
    log.partitions[PURCHASES.name, 0] = purchases((START_MS, "c1"))
    journeys, feed = owning(log, START_MS + delay_ms + 2_000)
    feed.fetch(journeys, (PURCHASES.name, 0), 1)
    assert not asyncio.run(journeys.process_next(0)), "contacts were not heard of"
    for topic in journeys.topics:
        feed.fetch(journeys, (topic, 0), 1)
    assert asyncio.run(journeys.process_next(0))
    log.partitions[CONTACTS.name, 0] = [KafkaRecord(0, START_MS, b"c1", None)]
    feed.fetch(journeys, (CONTACTS.name, 0), 1)
    journeys.tick()
    assert (WAKEUPS.name, 0) not in log.partitions, "a contact update waits"
    for topic in journeys.topics:
        feed.fetch(journeys, (topic, 0), 1)
    assert asyncio.run(journeys.process_next(0))
    journeys.tick()
    assert len(log.partitions[WAKEUPS.name, 0]) == 1


def test_with_a_backlog_the_merged_time_wakes() -> None:
    """Records that never end starve nobody: who is due before the time that the merge has reached is woken at it."""
    log, delay_ms = CrashingLog(), PROGRAM.rules[0].delay_ms
    later_ms = START_MS + delay_ms + HOUR_MS
    log.partitions[PURCHASES.name, 0] = purchases((START_MS, "c1"), *[(later_ms, "c2")] * 200)
    journeys, feed = owning(log, START_MS + 365 * 24 * HOUR_MS)
    feed.fetch(journeys, (PURCHASES.name, 0), 500)
    for topic in journeys.topics:
        if topic != PURCHASES.name:
            feed.fetch(journeys, (topic, 0), 1)
    journeys.tick()
    assert (WAKEUPS.name, 0) not in log.partitions
    assigned = journeys._assigned[0]
    assigned.at_most = 100
    assert asyncio.run(journeys.process_next(0))
    journeys.tick()
    (wakeup,) = log.partitions[WAKEUPS.name, 0]
    assert (wakeup.key, wakeup.timestamp) == (b"c1", later_ms)


class Forgetful(CrashingLog):
    """A log that loses which batch is in hand."""

    def send_all(self, outputs: Iterable[Output]) -> None:
        """Append all but that."""
        super().send_all(
            out for out in outputs if out.key != progress.KEY or not progress.decode(out.value or b"").in_hand
        )


@pytest.mark.parametrize(
    ("kind", "written", "outcomes"), [(CrashingLog, 3, {"sent"}), (Forgetful, 2, {"sent", "suppressed"})]
)
def test_what_was_written_and_not_remembered_is_decided_again_as_it_was(
    kind: type[CrashingLog], written: int, outcomes: set[str]
) -> None:
    """A worker dies after its outputs; an older opt-out has come meanwhile; what was decided stays decided.

    Without the record of the batch in hand the same crash leads to two decisions.
    """
    log = kind()
    program = parse(programs.program({"name": "bought"}, dimensions=(), combinations=()), "test")
    world = World(log, CODEC, lambda number, _: PartitionProcessor(number, program, CODEC, lambda _: 0), [0], 0)
    world.now_ms = START_MS + HOUR_MS
    log.partitions[PURCHASES.name, 0] = purchases((START_MS, "c1"))
    while (DISPATCHES.name, 0) not in log.partitions:
        log.crash_after(written)
        with suppress(ConnectionError):
            asyncio.run(drained(world))
    log.crash_at = None
    out = ContactUpdate("crm", "e", "contact", START_MS - 1, "c1", True, None, None, {})
    log.partitions[CONTACTS.name, 0] = [KafkaRecord(0, START_MS - 1, b"c1", CODEC.encode(out))]
    asyncio.run(drained(world))
    assert {CODEC.decode(Decision, one.value).outcome for one in log.partitions[DECISIONS.name, 0]} == outcomes
    sent = {CODEC.decode(SurveyDispatch, one.value).survey_id for one in log.partitions[DISPATCHES.name, 0]}
    assert len(sent) == 1


async def drained(world: World) -> None:
    """One process over all there is."""
    journeys = await world.started()
    await world.drain(journeys, random.Random(1))


def test_a_registry_that_is_away_does_not_stop_the_loop() -> None:
    """The batch waits until its schema can be asked for; heartbeats and other partitions go on meanwhile."""
    registry = MemoryRegistry()
    value = Codec(registry).encode(purchase("p", "order.delivered", START_MS))
    registry.away = True
    log = CrashingLog()
    log.partitions[PURCHASES.name, 0] = [KafkaRecord(0, START_MS, b"c1", value)]
    journeys, feed = owning(log, START_MS, Codec(registry, encodes=False, patience_s=30))
    for topic in (PURCHASES.name, *journeys.topics):
        feed.fetch(journeys, (topic, 0), 1)

    async def run() -> int:
        task, beats = asyncio.create_task(journeys.process_next(0)), 0
        while not task.done():
            await asyncio.sleep(0.01)
            beats += 1
            registry.away = beats < 20
        assert await task
        return beats

    assert asyncio.run(run()) >= 20


async def processed(journeys: Journeys, feed: MemoryFeed) -> None:
    """All that there is in partition 0."""
    idle_rounds = 0
    while idle_rounds < 3:
        for topic in journeys.topics:
            feed.fetch(journeys, (topic, 0), 500)
        idle_rounds = 0 if await journeys.process_next(0) else idle_rounds + 1


@pytest.mark.parametrize(
    "headers",
    [(), ((COLLECTOR_HEADER, b""),), (("trace", b"1"), (COLLECTOR_HEADER, None)), ((LETTER_HEADER, b"put back"),)],
)
@pytest.mark.parametrize(
    "spoilt", ["too large", "no score", "no Avro", "nothing", "another key", "too long", "seconds"]
)
def test_what_strangers_send_never_blows_the_fuse(headers: Headers, spoilt: str) -> None:
    """Whatever is wrong with what the collector wrote or a person put back, however often; else it stops the worker."""
    good = SurveyResponse("tool", "r", "x", START_MS, "c1", "s", 9, None, False, "email")
    values = {
        "too large": CODEC.encode(good._replace(comment="\ufffd" * 32_000)),
        "no score": CODEC.encode(good._replace(score=11)),
        "no Avro": b"{}",
        "nothing": None,
        "another key": CODEC.encode(good._replace(customer_id="c2")),
        "too long": CODEC.encode(good._replace(id="i" * 1_500)),
        "seconds": CODEC.encode(good._replace(time=START_MS // 1000)),
    }
    log = CrashingLog()
    log.partitions[RESPONSES.name, 0] = [
        KafkaRecord(offset, START_MS, b"c1", values[spoilt], headers) for offset in range(1_200)
    ]
    journeys, feed = owning(log, START_MS)

    if headers:
        asyncio.run(processed(journeys, feed))
        assert sum(len(dead) for (topic, _), dead in log.partitions.items() if topic == DEAD_LETTERS) == 1_200
    else:
        with pytest.raises(FuseBlown, match="1000 bad records in a row"):
            asyncio.run(processed(journeys, feed))


def test_what_strangers_send_hides_no_faulty_producer() -> None:
    """Bad records of the collector between those of a producer are neither good nor bad."""
    log = CrashingLog()
    log.partitions[RESPONSES.name, 0] = [
        KafkaRecord(offset, START_MS, b"c1", b"{}", ((COLLECTOR_HEADER, b""),) if offset % 2 else ())
        for offset in range(2_500)
    ]
    journeys, feed = owning(log, START_MS)

    with pytest.raises(FuseBlown, match="1000 bad records in a row"):
        asyncio.run(processed(journeys, feed))
