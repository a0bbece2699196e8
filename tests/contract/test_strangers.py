"""Law 6 of our own topics: no record in them, whoever wrote it, ends a process or changes what ours say.

Every topic of ours, with everything that strangers may write there, before every reader of it.
"""

import asyncio
from collections.abc import Iterable, Sequence

import pytest
from _pytest.mark import ParameterSet
from confluent_kafka import Message

from schemas.events import Link, PaneTally
from schemas.topics import BY_NAME, DEAD, ERASURES, LINKS, PANES, STATE, UNLINKED, Topic, key_of
from sinks.erasure.customers import ErasedCustomers
from sinks.rows import TABLES, decode, digest
from streams import metrics
from streams.commands.letters import letter_of
from streams.domain.nps import Tally
from streams.domain.panes import MINUTE_MS
from streams.engine.fuse import Fuse, FuseLimits
from streams.kafka.memory import MemoryLog
from streams.kafka.ports import Batch, KafkaRecord, Output
from streams.processing.agent import Assignment, Restore, read_back
from streams.processing.journeys import Journeys
from streams.processing.partition import PartitionProcessor
from streams.processing.rolling import Rolling, RollingRows
from streams.proof import recount
from streams.proof.reconciliation import _StreamState
from streams.sources.links import Links
from streams.sources.waiting import WaitingRecords
from streams.state import lineage, progress
from streams.state.lineage import Lineage
from streams.state.progress import Progress
from streams.state.tables import BLANK, encode
from tests.support.codecs import CODEC
from tests.support.histories import PROGRAM, START_MS
from tests.support.memory_feed import MemoryFeed
from tests.support.strangers import OURS, Written, ours, strangers


def cases(topics: Iterable[Topic]) -> list[ParameterSet]:
    """Each of these topics with each thing that strangers may write there."""
    return [
        pytest.param(topic, written, id=f"{topic.name}: {name}")
        for topic in topics
        for name, written in strangers(topic)
    ]


LINEAGE = Lineage(0, {})
ASSIGNMENT = Assignment(frozenset([0]), 1, LINEAGE)


def passed_over(topic: str) -> float:
    return float(metrics.FOREIGN.labels(topic)._value.get())


def message(topic: str, written: Written, offset: int = 0) -> Message:
    return Message(topic=topic, partition=0, offset=offset, key=written.key, value=written.value, timestamp=(1, 5))


def log_of(topic: str, *records: Written) -> MemoryLog:
    log = MemoryLog()
    log.send_all(Output(topic, value, key, 0) for key, value in records)
    return log


def agents(log: MemoryLog) -> tuple[Journeys, Rolling]:
    def rows(_: int) -> RollingRows:
        return RollingRows(PROGRAM, CODEC, lambda: 2 * MINUTE_MS, lambda offset: offset)

    def processor(number: int, _: int) -> PartitionProcessor:
        return PartitionProcessor(number, PROGRAM, CODEC, lambda _: 0)

    journeys = Journeys(
        log, CODEC, Fuse(FuseLimits()), feed := MemoryFeed(log), lambda: None, lambda: START_MS, processor
    )
    return journeys, Rolling(log, CODEC, feed, lambda: None, rows)


@pytest.mark.parametrize(("topic", "written"), cases(t for t in OURS if t.name in TABLES))
def test_the_loader(topic: Topic, written: Written) -> None:
    """No row of a stranger's, a reject for its dead letter; a dead letter of whoever is a row."""
    parts, rejects = decode(CODEC, [message(topic.name, written)], 0)
    rows = [row for part in parts.values() for row in part.rows]
    assert (len(rows), len(rejects)) == ((1, 0) if topic is DEAD else (0, 1))


@pytest.mark.parametrize("topic", [topic for topic in OURS if topic.record and topic.name in TABLES])
def test_the_loader_takes_ours(topic: Topic) -> None:
    """Under its own key each record is a row."""
    record = ours(topic)
    parts, rejects = decode(CODEC, [message(topic.name, Written(key_of(record), CODEC.encode(record)))], 0)
    assert (len(parts[topic.name].rows), rejects) == (1, [])


@pytest.mark.parametrize(("topic", "written"), cases([STATE, PANES]))
def test_reading_state_back(topic: Topic, written: Written) -> None:
    """Ours before and after it are all there, and it is counted."""
    before = passed_over(topic.name)
    log = log_of(topic.name, *state(topic), written)
    journeys, rolling = agents(log)
    restores: Sequence[Restore] = [journeys.restore(ASSIGNMENT), rolling.restore(ASSIGNMENT)]
    assert read_back(log, CODEC, ASSIGNMENT, restores) == len(state(topic)) + 1
    for restore in restores:
        asyncio.run(restore.put_in_place())
    assert passed_over(topic.name) == before + 1
    processor = journeys._assigned[0].processor
    if topic is PANES:
        assert tallies(rolling) == {Tally(3, 1, 2)}
        assert len(processor.panes) == 1
    else:
        assert len(processor.journeys) == 2


def state(topic: Topic) -> list[Written]:
    if topic is PANES:
        pane = ours(topic)
        return [Written(key_of(pane), CODEC.encode(pane))]
    return [
        Written(b"c1", encode(BLANK)), Written(b"c2", encode(BLANK)), Written(lineage.KEY, lineage.encode(LINEAGE)),
        Written(progress.KEY, progress.encode(Progress())),
    ]  # fmt: skip


def tallies(rolling: Rolling) -> set[Tally]:
    return {
        running.tally
        for segments in rolling.rows._partitions.values()
        for segment in segments.values()
        for running in segment.windows.sums
        if running.tally.n
    }


@pytest.mark.parametrize(("topic", "written"), cases([PANES]))
def test_rolling_goes_on(topic: Topic, written: Written) -> None:
    """The panes beside it in its batch count, and it is counted as a stranger's."""
    before = passed_over(topic.name)
    _, rolling = agents(log := MemoryLog())
    (mine,) = state(topic)
    records = [KafkaRecord(at, 5, one.key, one.value) for at, one in enumerate([written, mine, written])]
    rolling.receive(Batch(topic.name, 0, records))
    rolling.tick()
    assert tallies(rolling) == {Tally(3, 1, 2)}
    assert log.partitions
    assert passed_over(topic.name) == before + 2


@pytest.mark.parametrize("counts", [(-1, 0, 0), (0, 2**62, 0), (2**63 - 1, 2**63 - 1, 2**63 - 1)])
def test_a_pane_that_no_answers_make(counts: tuple[int, int, int]) -> None:
    """A record of the right type and key whose numbers cannot be ours is a stranger's too."""
    pane = ours(PANES)
    assert isinstance(pane, PaneTally)
    forged = pane._replace(promoters=counts[0], passives=counts[1], detractors=counts[2], version=9)
    _, rolling = agents(MemoryLog())
    record = KafkaRecord(0, 5, key_of(forged), CODEC.encode(forged))
    rolling.receive(Batch(PANES.name, 0, [record]))
    rolling.tick()
    assert tallies(rolling) == set()


@pytest.mark.parametrize(("topic", "written"), cases(OURS))
def test_the_proof(topic: Topic, written: Written) -> None:
    """The figures of the stream are the same with it as without it."""
    assert proof(log_of(topic.name, *records(topic), written)) == proof(log_of(topic.name, *records(topic)))


def records(topic: Topic) -> list[Written]:
    record = ours(topic) if topic.record else None
    return [Written(key_of(record), CODEC.encode(record))] if record else []


def proof(log: MemoryLog) -> tuple[object, ...]:
    stream = _StreamState(log, 1, CODEC)
    counted = recount.answers(log, 1, CODEC, recount.Rules(1, 1, 1))
    found = stream.ledger
    return stream.panes, stream.rolling, stream.alerts, found.decided, found.dispatched, found.answered, counted


@pytest.mark.parametrize("written", [written for _, written in strangers(DEAD)])
def test_the_list_of_dead_letters(written: Written) -> None:
    """Whatever lies there is listed."""
    assert letter_of(KafkaRecord(3, 5, written.key, written.value)).death.reason == "unlabelled"


@pytest.mark.parametrize(("topic", "written"), cases([LINKS, ERASURES]))
def test_links(topic: Topic, written: Written) -> None:
    """It teaches nothing and ends nothing; a deletion ends the link that it names alone."""
    good = ours(LINKS)
    assert isinstance(good, Link)
    links = Links(CODEC, ErasedCustomers(), digest)
    links.take([((LINKS.name, 0), KafkaRecord(0, 5, key_of(good), CODEC.encode(good)))])
    assert links.take([((topic.name, 0), KafkaRecord(1, 5, written.key, written.value))]) == []
    is_deletion = topic is LINKS and written == Written(key_of(good), None)
    assert links.customer_of(good.link) == (None if is_deletion else good.customer_id)


@pytest.mark.parametrize("written", [written for _, written in strangers(UNLINKED)])
def test_what_waits_for_links(written: Written) -> None:
    """It does not wait."""
    waiting = WaitingRecords("shop", 1)
    keys = (written.key, b"shop|shop.orders|0|1")
    waiting.restore({("shop.orders", 0)}, [KafkaRecord(0, 5, key, written.value) for key in keys])
    assert len(waiting) == 0


def test_the_first_of_a_topic_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """Once, without a word of what it holds."""
    from streams.kafka import foreign

    foreign._told.discard("nps.test")
    for offset in range(3):
        foreign.pass_over("nps.test", 0, offset, "no tally of answers")
    assert [line.getMessage().partition(";")[0] for line in caplog.records] == [
        "foreign_record nps.test[0] offset=0: no tally of answers"
    ]


def test_every_topic_of_ours_is_here() -> None:
    """A new one has its strangers too."""
    inbound = {"nps.purchases", "nps.support", "nps.contacts", "nps.responses", "nps.wakeups"}
    assert {topic.name for topic in OURS} == BY_NAME.keys() - inbound
