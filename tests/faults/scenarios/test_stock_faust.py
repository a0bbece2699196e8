"""The hazards of stock Faust that the engine exists for, each shown on real Kafka, and ours on the same input without.

The first half of a test fails on the day that stock Faust has mended its hazard: then that part of the engine may go.
"""

import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from schemas.topics import JOURNEYS, LARGEST_RECORD_BYTES
from streams.errors import ExitCode
from tests.faults.harness.kafka import KafkaCluster
from tests.faults.harness.stock import OURS, PARTITIONS, STOCK, Input, Shop, Worker
from tests.support.commands import BOUND_S, until

pytestmark = pytest.mark.kafka

PATIENCE_S = 12.0
"""Stock Faust looks every 5 s whether its recovery has ended."""

STARTS, IDLE_S = 3, 90.0


@pytest.fixture
def given(kafka: KafkaCluster, tmp_path: Path) -> Input:
    return Input(kafka.bootstrap, tmp_path)


def texts(values: Iterable[int]) -> list[str]:
    return [str(value) for value in values]


def test_an_event_whose_agent_raised_is_lost(given: Input) -> None:
    """Stock Faust commits past an event whose agent raised and never brings it again; ours ends and brings it again."""
    given.put(range(10))
    with given.start(STOCK, fail_on="3") as stock, given.start(OURS, fail_on="3") as ours:
        until(lambda: given.committed(STOCK) == 10, "stock Faust committed past the event that failed")
        assert stock.is_running(), stock.said()
        assert stock.stop() == 0
        assert ours.ended() == ExitCode.UNEXPECTED
        assert given.committed(OURS) <= 3
    given.put([10])
    with given.start(STOCK) as stock, given.start(OURS) as ours:
        until(lambda: "10" in stock.values() and "10" in ours.values(), "both came to the last record")
        assert stock.values("begun") == ["10"]
        assert ours.values()[-8:] == texts(range(3, 11))


def test_an_agent_that_always_fails_drains_the_topic(given: Input) -> None:
    """Stock Faust stays up, commits event after event and has done none; ours ends at the first and commits nothing."""
    given.put(range(3))
    with given.start(STOCK, fail_on="all") as stock, given.start(OURS, fail_on="all") as ours:
        until(lambda: given.committed(STOCK) == 3, "stock Faust committed what it had not done")
        assert stock.values() == []
        assert stock.is_running(), stock.said()
        assert ours.ended() == ExitCode.UNEXPECTED
        assert ours.values() == []
        assert given.committed(OURS) == 0


def test_what_is_still_in_work_is_committed_past(given: Input) -> None:
    """With the first event in work and later ones done, stock Faust commits past it: a crash loses it; ours waits."""
    given.put([0])
    with given.start(STOCK, hold_on="0", hands=2) as stock, given.start(OURS, hold_on="0") as ours:
        until(lambda: stock.values("begun") == ours.values("begun") == ["0"], "both are at work on the first")
        given.put(range(1, 10))
        until(lambda: {*stock.values()} >= {*texts(range(1, 10))}, "stock Faust has done the later ones")
        until(lambda: given.committed(STOCK) == 10, "stock Faust committed past the first")
        given.put(range(100, 105), partition=1)
        until(lambda: given.committed(OURS, 1) == 5, "ours went on in the other partition and committed there")
        assert ours.values() == texts(range(100, 105))
        assert given.committed(OURS) == 0
        stock.kill()
        ours.kill()
    given.put([10])
    with given.start(STOCK) as stock, given.start(OURS) as ours:
        until(lambda: "10" in stock.values() and "10" in ours.values(), "both came to the last record")
        assert "0" not in stock.values()
        assert [value for value in ours.values() if len(value) < 3] == texts(range(11))


def test_a_second_worker_makes_the_first_ones_work_come_again(given: Input) -> None:
    """At a rebalance stock Faust forgets what was done since the last commit, and it is done again; ours commits it."""
    for partition in range(PARTITIONS):
        given.put(range(100 * partition, 100 * partition + 50), partition)
    with given.start(STOCK, commit_s=600) as stock, given.start(OURS, commit_s=600) as ours:
        until(lambda: len(stock.values()) == len(ours.values()) == 100, "the first of each kind is through")
        assert given.committed(STOCK) == given.committed(OURS) == 0
        with given.start(STOCK, commit_s=600) as second, given.start(OURS, commit_s=600) as our_second:
            until(lambda: repeated(stock, second) != set(), "stock Faust did again what was done")
            until(lambda: given.committed(OURS) == given.committed(OURS, 1) == 50, "ours committed at the rebalance")
            for partition in range(PARTITIONS):
                given.put(range(100 * partition + 50, 100 * partition + 60), partition)
            until(lambda: len({*ours.values(), *our_second.values()}) == 120, "ours is through")
            assert len(our_second.values()) == 10, "the second took over no partition: this run proves nothing"
            assert repeated(ours, our_second) == set()


def repeated(*workers: Worker) -> set[str]:
    """The values that were done more than once."""
    done = Counter(value for worker in workers for value in worker.values())
    return {value for value, times in done.items() if times > 1}


def test_a_worker_without_a_topic_calls_itself_ready(given: Input) -> None:
    """Where its topic is missing, stock Faust is up, ready and idle for ever; ours ends and names the topic."""
    options = {"topic": "hazard-never-made", "declare": False}
    with given.start(STOCK, **options) as stock, given.start(OURS, **options) as ours:
        until(lambda: "Worker ready" in stock.said(), "stock Faust called itself ready")
        assert "Ignoring missing topic: 'hazard-never-made'" in stock.said()
        assert ours.ended() == ExitCode.BAD_SETTINGS
        assert "hazard-never-made" in ours.said()
        assert stock.is_running()


@pytest.fixture
def shop(given: Input, tmp_path: Path) -> Iterator[Shop]:
    one = Shop(given.brokers, tmp_path)
    one.delete(given.admin)
    one.make()
    yield one
    one.delete(given.admin)


def changelog(given: Input) -> str:
    """The topic in which the stock app's table lives."""
    return f"{given.group(STOCK)}-counts-changelog"


def counted(given: Input, values: Iterable[int], **options: Any) -> list[int]:
    """Let a stock app with a table come to these values; the count at each when it first came, for it may repeat."""
    wanted, counts = texts(values), dict[str, int]()
    for _ in range(STARTS):
        with given.start(STOCK, table=True, **options) as stock:
            if not came_to(stock, wanted):
                continue
            until(lambda: given.committed(STOCK) == int(wanted[-1]) + 1, "it committed them")
            assert stock.stop() == 0
            for note in stock.noted("done"):
                counts.setdefault(note["value"], note["count"])
            break
    assert [*counts] == wanted, f"stock Faust stood idle {STARTS} times"
    return [*counts.values()]


def came_to(stock: Worker, wanted: list[str]) -> bool:
    """Whether it reads at all: in about one start of twenty stock Faust calls itself ready and fetches nothing."""
    deadline = time.monotonic() + IDLE_S
    while {*stock.values()} != {*wanted}:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_a_lost_record_of_state_is_committed_past(given: Input, shop: Shop) -> None:
    """When Kafka refuses a state record, stock Faust commits and forgets by the next start; ours ends, and does not."""
    long = "".join(
        uuid.uuid4().hex for _ in range(8)
    )  # which compression cannot make short; the longest id there may be
    given.make(changelog(given), max_message_bytes="300", cleanup_policy="compact")
    given.put([0], key=long)
    assert counted(given, [0]) == [1]
    given.put([1], key=long)
    assert counted(given, [1]) == [1], "the count survived: nothing was lost"

    given.alter(JOURNEYS, "max.message.bytes", "300")
    shop.order(long)
    with shop.worker() as worker:
        assert worker.ended() == ExitCode.UNDELIVERED
        assert "nps.journeys: Broker: Message size too large" in worker.said()
    assert shop.committed() == 0
    given.alter(JOURNEYS, "max.message.bytes", str(LARGEST_RECORD_BYTES))
    with shop.worker() as worker:
        worker.until(lambda: shop.committed() == 1, "the order was through")
        assert long.encode() in shop.remembered()
        assert worker.stop() == 0


def test_a_marker_at_the_end_of_state_stops_recovery_for_ever(given: Input, shop: Shop) -> None:
    """Where a transaction's end is the last of its state, stock Faust waits for a record behind it; ours goes on."""
    given.put(range(3))
    assert counted(given, range(3)) == [1, 2, 3]
    shop.order("C1")
    with shop.worker() as worker:
        worker.until(lambda: shop.committed() == 1, "the first order was through")
        assert worker.stop() == 0
    in_transaction(given.brokers, (changelog(given), b'"k"', b"3"), (JOURNEYS, b"gone", None))

    given.put([3])
    shop.order("C2")
    with given.start(STOCK, table=True) as stock, shop.worker() as worker:
        until(lambda: "Restoring state from changelog topics" in stock.said(), "stock Faust began to restore")
        began = time.monotonic()
        worker.until(lambda: shop.committed() == 2, "the second order was through")
        assert worker.stop() == 0
        until(lambda: time.monotonic() > began + PATIENCE_S or bool(stock.values("begun")), "stock Faust had its time")
        assert stock.values("begun") == [], "stock Faust went on"
        assert "Worker ready" not in stock.said()
        assert stock.is_running()


def in_transaction(brokers: str, *records: tuple[str, bytes, bytes | None]) -> None:
    """Write topic, key and value of each in one transaction, as a worker in exactly-once mode does."""
    producer = Producer({"bootstrap.servers": brokers, "transactional.id": str(uuid.uuid4()), "log_level": 0})
    producer.init_transactions(BOUND_S)
    producer.begin_transaction()
    for topic, key, value in records:
        producer.produce(topic, value, key, 0)
    producer.commit_transaction(BOUND_S)


def test_unreadable_state_is_passed_over(given: Input, shop: Shop) -> None:
    """Stock Faust passes over state in a format that it cannot read and works on without it; ours refuses to."""
    given.put(range(3))
    assert counted(given, range(3)) == [1, 2, 3]
    given.put([3])
    put_raw(given.brokers, (changelog(given), b'"k"', b"\xff"), (changelog(given), b'"another"', b"1"))
    put_raw(given.brokers, (JOURNEYS, b"C1", b"\x02"))
    assert counted(given, [3]) == [4]
    with shop.worker() as worker:
        assert worker.ended() == ExitCode.UNEXPECTED
        assert "nps.journeys offset 0 has format 02, not 01" in worker.said()


def put_raw(brokers: str, *records: tuple[str, bytes, bytes]) -> None:
    """Write topic, key and value of each as they are."""
    producer = Producer({"bootstrap.servers": brokers, "log_level": 0})
    for topic, key, value in records:
        producer.produce(topic, value, key, 0)
    assert producer.flush(BOUND_S) == 0


def test_emptied_state_goes_unnoticed(given: Input, shop: Shop) -> None:
    """When its state was deleted, stock Faust counts from nothing without a word; ours refuses to."""
    given.put(range(3))
    assert counted(given, range(3)) == [1, 2, 3]
    shop.order("C1", "C2")
    with shop.worker() as worker:
        worker.until(lambda: shop.committed() == 2, "the orders were through")
        assert worker.stop() == 0
    given.empty(changelog(given))
    given.empty(JOURNEYS)
    given.put([3])
    assert counted(given, [3]) == [1]
    with shop.worker() as worker:
        assert worker.ended() == ExitCode.STATE_LOST
        assert "nps.journeys partition 0 held offsets 0 to " in worker.said()
