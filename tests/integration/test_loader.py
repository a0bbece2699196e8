"""The loader between a real broker and a warehouse: nothing lost, nothing stuck, nothing twice."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from prometheus_client import REGISTRY

from schemas.codec import Codec, RegistryAway, Undecodable
from schemas.deadletters import Death, Header, unwrap, wrap
from schemas.errors import FuseBlown
from schemas.events import Answer, Erasure, PaneTally, SurveyResponse
from schemas.memory_registry import MemoryRegistry
from schemas.topics import ALERTS, ANSWERS, BY_NAME, DEAD_LETTERS, ERASURES, PANES, RESPONSES, key_of
from sinks.batch import Backoff, BatchPolicy
from sinks.clickhouse.client import ClickHouse, connect
from sinks.clickhouse.erasures import ClickHouseErasures
from sinks.clickhouse.migrate import migrate
from sinks.erasure.process import ErasureProcess
from sinks.loader import GROUP, Loader
from sinks.memory import Memory
from sinks.rows import TABLES
from sinks.warehouse import Row
from streams.clock import wall_ms
from streams.local.servers import LocalServer, local_clickhouse
from tests.support.commands import BOUND_S
from tests.support.waits import dead_letters, eventually
from tests.support.warehouses import memory_warehouse

CODEC = Codec()
PARTITIONS = 2
SETTLE_MS = 1_000
SESSION_MS = 6_000


@pytest.fixture
def kafka(broker: LocalServer) -> str:
    admin = AdminClient({"bootstrap.servers": broker.address})
    topics = [NewTopic(t.topic.name, t.topic.partitions or PARTITIONS, 1) for t in TABLES.values()]
    for made in admin.create_topics(topics).values():
        made.result(10)
    return broker.address


def answer(number: int, score: int | None = 9) -> bytes:
    return CODEC.encode(
        Answer(f"s{number}", f"c{number}", "post_purchase", "delivered", "o1", "shop", f"r{number}", 1, score,
               "promoter", None, True, None, 0, 60_000, 1_000, ["all"], {"country": "BR"}, "prog", number)
    )  # fmt: skip


def pane(number: int, promoters: int = 1) -> bytes:
    return CODEC.encode(PaneTally("all", "day", number * 86_400_000, 0, promoters, 0, 0, "prog", number))


def send(
    kafka: str, *records: tuple[str, bytes | None], headers: list[Header] | None = None, codec: Codec = CODEC
) -> None:
    """Write records under the keys that they should have; junk and dead letters under `k`."""
    producer = Producer({"bootstrap.servers": kafka})
    for topic, value in records:
        producer.produce(topic, value, key(topic, value, codec), headers=headers)  # type: ignore[arg-type]
    assert producer.flush(BOUND_S) == 0


def key(topic: str, value: bytes | None, codec: Codec) -> bytes:
    cls = BY_NAME[topic].record
    try:
        return key_of(codec.decode(cls, value)) if cls else b"k"
    except Undecodable:
        return b"k"


@contextmanager
def loading(
    kafka: str,
    warehouse: Memory | ClickHouse,
    max_refused: int = 1_000,
    group: str = GROUP,
    codec: Codec = CODEC,
    patience_s: float = 60,
) -> Iterator[list[BaseException]]:
    """A loader at work; ends as SIGTERM would have it end.  Yields what it died of."""
    erasures = warehouse if isinstance(warehouse, Memory) else ClickHouseErasures(warehouse)
    loader = Loader(
        {"bootstrap.servers": kafka, "group.id": group, "session.timeout.ms": str(SESSION_MS),
         "heartbeat.interval.ms": "300"},
        {"bootstrap.servers": kafka},
        warehouse,
        codec,
        BatchPolicy(max_rows=500, max_age_ms=100),
        erasure=ErasureProcess(erasures, warehouse, wall_ms, SETTLE_MS),
        backoff=Backoff(20, 100),
        max_refused=max_refused,
        patience_s=patience_s,
    )  # fmt: skip
    stop, died = threading.Event(), list[BaseException]()

    def run() -> None:
        try:
            loader.run(stop)
        except Exception as error:
            died.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield died
    finally:
        stop.set()
        thread.join(BOUND_S)
        assert not thread.is_alive()


def committed(kafka: str, topic: str, group: str = GROUP) -> int:
    """Records of the topic up to the group's committed offsets."""
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": group})
    try:
        partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        return sum(max(0, found.offset) for found in consumer.committed(partitions, 10))
    finally:
        consumer.close()


def metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_records_become_rows_and_are_committed(kafka: str) -> None:
    """Every record is a row with its lineage, offsets are committed, and a second run reads nothing again."""
    send(kafka, *((ANSWERS.name, answer(number)) for number in range(1_200)), (PANES.name, pane(1)), (PANES.name, None))
    memory = memory_warehouse()
    with loading(kafka, memory) as died:
        eventually(lambda: len(memory.rows("answers")) == 1_200 and len(memory.rows("panes")) == 1)
    assert died == []
    places = {(row["kafka_topic"], row["kafka_partition"], row["kafka_offset"]) for row in memory.rows("answers")}
    assert len(places) == 1_200
    assert committed(kafka, ANSWERS.name) == 1_200
    assert metric("nps_sink_rows_total", table="answers") >= 1_200
    second = memory_warehouse()
    send(kafka, (ANSWERS.name, answer(9_999)))
    with loading(kafka, second):
        eventually(lambda: second.rows("answers"))
    assert [row["survey_id"] for row in second.rows("answers")] == ["s9999"]


def test_an_outage_keeps_the_batch_and_commits_nothing(kafka: str) -> None:
    """While the warehouse is away nothing is committed and memory is bounded; when it is back everything arrives."""
    memory = memory_warehouse()
    memory.away = True
    failed = metric("nps_sink_failures_total", kind="unavailable")
    send(kafka, *((ANSWERS.name, answer(number)) for number in range(800)))
    with loading(kafka, memory) as died:
        eventually(lambda: metric("nps_sink_failures_total", kind="unavailable") > failed + 3)
        send(kafka, *((ANSWERS.name, answer(number)) for number in range(800, 3_000)))
        # longer than the group's session: it must not be lost, or the batch would be read by somebody else
        began = time.monotonic()
        eventually(lambda: time.monotonic() - began > 1.5 * SESSION_MS / 1000)
        assert metric("nps_sink_waiting_rows") <= 800
        assert committed(kafka, ANSWERS.name) == 0
        memory.away = False
        eventually(lambda: len(memory.rows("answers")) == 3_000)
        eventually(lambda: metric("nps_sink_waiting_rows") == 0)
    assert died == []
    assert committed(kafka, ANSWERS.name) == 3_000


def test_refused_and_undecodable_records_become_dead_letters(kafka: str) -> None:
    """The bad ones alone go to dead letters, original bytes and place kept, and from there into their own table."""
    refused, junk = answer(66, score=-1), b"junk"
    good = [(ANSWERS.name, answer(number)) for number in range(60)]
    send(kafka, *good[:30], (ANSWERS.name, refused), *good[30:])
    send(kafka, (ALERTS.name, junk), headers=[("trace", b"\xff\x00")])
    memory = memory_warehouse()
    with loading(kafka, memory) as died:
        eventually(lambda: len(memory.rows("answers")) == 60 and len(memory.rows("dead_letters")) == 2)
    assert died == []
    assert committed(kafka, ANSWERS.name) == 61
    found = {letter.value(): letter for letter in dead_letters(kafka, 2)}
    assert set(found) == {refused, junk}
    original, death = unwrap(found[junk].headers())  # type: ignore[arg-type]  # a list, as produced
    assert (original, death.reason, death.topic, found[junk].key()) == (
        [("trace", b"\xff\x00")],
        "undecodable",
        ALERTS.name,
        b"k",
    )
    rows = {row["reason"]: row for row in memory.rows("dead_letters")}
    assert (rows["refused_by_warehouse"]["value"], rows["undecodable"]["value"]) == (refused, None)
    assert rows["refused_by_warehouse"]["origin_topic"] == ANSWERS.name


def test_a_registry_that_is_away_holds_no_dead_letter_back(kafka: str, caplog: pytest.LogCaptureFixture) -> None:
    """Records wait for it with one line in the log, and are loaded once it is back; dead letters need none."""
    registry, memory = MemoryRegistry(), memory_warehouse()
    ours = Codec(registry)
    value = ours.encode(CODEC.decode(Answer, answer(1)))
    registry.away = True
    send(kafka, (DEAD_LETTERS, value), headers=wrap(None, Death("too_late", "", RESPONSES.name, 0, 1, 1)))
    send(kafka, (ANSWERS.name, value), codec=ours)
    tries = metric("nps_sink_failures_total", kind="unavailable")
    with loading(kafka, memory, codec=Codec(registry, encodes=False)) as died:
        eventually(lambda: memory.rows("dead_letters"))
        eventually(lambda: metric("nps_sink_failures_total", kind="unavailable") > tries + 5)
        assert (memory.rows("answers"), died) == ([], [])
        registry.away = False
        eventually(lambda: memory.rows("answers"))
    assert died == []
    assert [line.getMessage()[:9] for line in caplog.records if line.name == "nps.loader"] == ["sink_away", "sink_back"]


def test_a_registry_that_stays_away_ends_the_loader(kafka: str) -> None:
    """After its patience; the batch is not committed, and comes again."""
    registry = MemoryRegistry()
    ours = Codec(registry)
    value = ours.encode(CODEC.decode(Answer, answer(1)))
    registry.away = True
    send(kafka, (ANSWERS.name, value), codec=ours)
    with loading(kafka, memory_warehouse(), codec=Codec(registry, encodes=False), patience_s=0.3) as died:
        eventually(lambda: died)
    assert isinstance(died[0], RegistryAway)
    assert committed(kafka, ANSWERS.name) == 0


def test_a_refused_dead_letter_does_not_go_round(kafka: str) -> None:
    """It is logged and counted, not dead-lettered again."""
    before = metric("nps_sink_refused_dead_letters_total")
    wild = wrap(None, Death("reason", "detail", "topic", partition=1 << 40, offset=1, timestamp_ms=1))
    send(kafka, (DEAD_LETTERS, b"x"), headers=wild)
    memory = memory_warehouse()
    with loading(kafka, memory) as died:
        eventually(lambda: metric("nps_sink_refused_dead_letters_total") == before + 1)
        send(kafka, (ANSWERS.name, answer(1)))
        eventually(lambda: memory.rows("answers"))
    assert (died, memory.rows("dead_letters")) == ([], [])
    assert len(dead_letters(kafka, 1)) == 1


def test_the_fuse_stops_a_loader_whose_every_row_is_refused(kafka: str) -> None:
    """It ends with an error instead of draining the topic into dead letters, and commits nothing."""
    send(kafka, *((ANSWERS.name, answer(number, score=-1)) for number in range(50)))
    with loading(kafka, memory_warehouse(), max_refused=20) as died:
        eventually(lambda: died)
    assert isinstance(died[0], FuseBlown)
    assert committed(kafka, ANSWERS.name) == 0


def test_a_rebalance_loses_nothing(kafka: str) -> None:
    """A second member joins in the middle of an outage and the first one leaves: every record still becomes a row."""
    memory = memory_warehouse()
    memory.away = True
    send(kafka, *((ANSWERS.name, answer(number)) for number in range(2_000)))
    with loading(kafka, memory) as second_died:
        failed = metric("nps_sink_failures_total", kind="unavailable")
        eventually(lambda: metric("nps_sink_failures_total", kind="unavailable") > failed)
        with loading(kafka, memory) as first_died:
            began = time.monotonic()
            eventually(lambda: time.monotonic() - began > 1.5 * SESSION_MS / 1000)
            memory.away = False
            eventually(lambda: len(memory.rows("answers")) == 2_000)
        send(kafka, *((ANSWERS.name, answer(number)) for number in range(2_000, 4_000)))
        eventually(lambda: len(memory.rows("answers")) == 4_000)
    assert (first_died, second_died) == ([], [])
    assert committed(kafka, ANSWERS.name) == 4_000


def test_rows_reach_clickhouse(kafka: str, tmp_path: Path) -> None:
    """From topic to view on the real engine, restatements and redelivery included, while nothing else comes."""
    with local_clickhouse(tmp_path) as server:
        database, reader = (connect(f"{server.address}/nps") for _ in range(2))
        migrate(database)
        with loading(kafka, database) as died:
            send(kafka, *((ANSWERS.name, answer(number)) for number in range(1_000)), (PANES.name, pane(1, 5)))
            eventually(lambda: reader.query("SELECT count() FROM answers FINAL") == [(1_000,)])
            send(kafka, (ANSWERS.name, answer(7)), (PANES.name, pane(1, 1_000)), (ALERTS.name, b"junk"))
            eventually(lambda: reader.query("SELECT reason, value FROM dead_letters") == [("undecodable", None)])
            assert reader.query("SELECT count() FROM answers FINAL") == [(1_000,)]
            assert reader.query("SELECT segment, promoters, nps FROM nps_by_segment")[0][0] == "all"
        assert died == []


def test_an_erased_customer_stays_gone_when_everything_is_read_again(kafka: str, tmp_path: Path) -> None:
    """Gone within a minute of the erasure, and after redelivery and a second reading from offset 0; no count moves."""
    ada = CODEC.decode(Answer, answer(1_000))._replace(customer_id="Ada", response_id="Ada-r", comment="I am Ada")
    died = SurveyResponse("tool", "r", "answered", 9, "Ada", "s9", 3, None, False, None)
    letter = wrap([], Death("wrong_key", "of Ada", RESPONSES.name, 0, 1, 9))
    erasure = CODEC.encode(Erasure("e1", "Ada", "crm", "u1", 60_000, 61_000, "prog", 3))
    with local_clickhouse(tmp_path) as server:
        database, reader = (connect(f"{server.address}/nps") for _ in range(2))
        migrate(database)

        def rows(table: str) -> list[Row]:
            what = "* EXCEPT (loaded_at, kafka_partition, kafka_offset)"  # which of two deliveries is kept may differ
            return reader.query(f"SELECT {what} FROM {table} FINAL ORDER BY ALL")

        def of_ada() -> list[Row]:
            each = (
                f"SELECT toString(tuple(*)) FROM {t.name} WHERE toString(tuple(*)) LIKE '%Ada%'"
                for t in TABLES.values()
            )
            return [row for sql in each for row in reader.query(sql)]

        def loaded(answers: int) -> None:
            eventually(lambda: len(rows("answers")) == answers)

        with loading(kafka, database) as ended:
            send(kafka, *((ANSWERS.name, answer(number)) for number in range(100)), (ANSWERS.name, CODEC.encode(ada)))
            send(kafka, (PANES.name, pane(1, 5)))
            send(kafka, (DEAD_LETTERS, CODEC.encode(died)), headers=letter)
            loaded(101)
            eventually(lambda: (rows("dead_letters"), rows("nps_by_segment")))
            before, named = rows("audit"), len(of_ada())
            began = time.monotonic()
            send(kafka, (ERASURES.name, erasure))
            eventually(lambda: [row[6] for row in rows("erasures")] == [2])
            assert (named, of_ada(), rows("audit")) == (2, [], before)
            assert time.monotonic() - began < BOUND_S, "a minute is promised, of a machine that nobody else uses"
            send(kafka, (ANSWERS.name, CODEC.encode(ada)), (ERASURES.name, erasure), (ANSWERS.name, answer(200)))
            loaded(102)
        once = {table.name: rows(table.name) for table in TABLES.values()}
        with loading(kafka, database, group="again") as ended_again:
            send(kafka, (ANSWERS.name, answer(300)))
            loaded(103)
            eventually(lambda: committed(kafka, ANSWERS.name, "again") == committed(kafka, ANSWERS.name) + 1)
        twice = {table.name: rows(table.name) for table in TABLES.values()}
        assert [row[0] for row in twice["answers"] if row not in once["answers"]] == ["s300"]
        assert {**twice, "answers": []} == {**once, "answers": []}
        assert (of_ada(), ended, ended_again) == ([], [], [])
