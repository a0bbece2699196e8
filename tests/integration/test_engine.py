"""The engine against the local broker, each worker a process of its own."""

import json
import re
import signal
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from streams.kafka.reader import KafkaReader
from streams.local.servers import LocalServer, local_broker
from tests.support.commands import BOUND_S
from tests.support.gate import gate

if TYPE_CHECKING:
    from tests.faults.harness.kafka import KafkaCluster

PARTITIONS = 4
SESSION_MS = 6_000
BATCHES = 40_000
"""Of one record: what an hour of live traffic makes."""


class Workers:
    """Starts workers on one broker, reads what they wrote, and ends them."""

    def __init__(self, address: str, folder: Path) -> None:
        self.address = address
        self.folder = folder
        self.running: list[subprocess.Popen[str]] = []

    def start(self, name: str, topics: list[str], **options: Any) -> subprocess.Popen[str]:
        given = {"brokers": self.address, "group": "g", "log": str(self.folder / name), "topics": topics, **options}
        worker = subprocess.Popen(
            [sys.executable, str(Path(__file__).parents[1] / "support" / "engine_worker.py"), json.dumps(given)],
            stderr=subprocess.PIPE,
            text=True,
        )
        self.running.append(worker)
        return worker

    def events(self, name: str, kind: str | None = None) -> list[dict[str, Any]]:
        path = self.folder / name
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        events = [json.loads(line) for line in lines if line.endswith("\n")]
        return [event for event in events if kind in (None, event["event"])]

    def offsets(self, *names: str) -> dict[tuple[str, int], list[int]]:
        """The offsets handed over, in order, by topic and partition."""
        offsets: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
        for name in names:
            for batch in self.events(name, "block"):
                offsets[batch["topic"], batch["partition"]] += batch["offsets"]
        return offsets

    def count(self, *names: str) -> int:
        return sum(map(len, self.offsets(*names).values()))

    def end(self) -> None:
        for worker in self.running:
            if worker.poll() is None:
                worker.send_signal(signal.SIGCONT)
                worker.kill()
            worker.communicate()


@pytest.fixture
def workers(broker: LocalServer, tmp_path: Path) -> Iterator[Workers]:
    started = Workers(broker.address, tmp_path)
    create(broker.address, "a", "b")
    yield started
    started.end()


def create(address: str, *topics: str, partitions: int = PARTITIONS) -> None:
    client = AdminClient({"bootstrap.servers": address})
    for created in client.create_topics([NewTopic(topic, partitions, 1) for topic in topics]).values():
        created.result(BOUND_S)


def produce(address: str, topic: str, count: int) -> None:
    """So many records, spread evenly, in order within each partition."""
    producer = Producer({"bootstrap.servers": address})
    for number in range(count):
        producer.produce(topic, str(number).encode(), partition=number % PARTITIONS)
    assert producer.flush(BOUND_S) == 0


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + BOUND_S
    while not condition():
        assert time.monotonic() < deadline, "not within the bound"
        time.sleep(0.02)


def stopped(worker: subprocess.Popen[str]) -> int:
    worker.terminate()
    return worker.wait(BOUND_S)


def committed(address: str, topic: str) -> list[int]:
    consumer = Consumer({"bootstrap.servers": address, "group.id": "g"})
    wanted = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
    offsets = [max(found.offset, 0) for found in consumer.committed(wanted, timeout=BOUND_S)]
    consumer.close()
    return offsets


def test_every_record_once_and_in_order(workers: Workers) -> None:
    """Every record of every topic and partition reaches its handler once, in offset order."""
    produce(workers.address, "a", 2_000)
    worker = workers.start("w", ["a", "b"])
    until(lambda: workers.count("w") >= 1_000)
    produce(workers.address, "b", 2_000)
    produce(workers.address, "a", 2_000)
    until(lambda: workers.count("w") >= 6_000)
    assert stopped(worker) == 0
    offsets = workers.offsets("w")
    assert all(offsets["a", partition] == list(range(1_000)) for partition in range(PARTITIONS))
    assert all(offsets["b", partition] == list(range(500)) for partition in range(PARTITIONS))
    assert committed(workers.address, "a") == [1_000] * PARTITIONS


def test_a_clean_stop_replays_nothing(workers: Workers) -> None:
    """After SIGTERM in the middle of work, the next worker goes on exactly where this one ended."""
    first = workers.start("first", ["a", "b"], block_ms=40)
    until(lambda: bool(workers.events("first", "assigned")))
    for _ in range(10):
        produce(workers.address, "a", 40)
    until(lambda: workers.count("first") >= 40)
    assert stopped(first) == 0
    assert len(workers.events("first", "begin")) == len(workers.events("first", "block"))
    assert workers.events("first")[-1]["event"] == "revoked"
    second = workers.start("second", ["a", "b"])
    until(lambda: workers.count("first", "second") >= 400)
    assert stopped(second) == 0
    assert all(workers.offsets("first", "second")["a", partition] == list(range(100)) for partition in range(4))


def test_a_handler_that_raises_ends_the_process(workers: Workers) -> None:
    """An error exits non-zero, is said in one line, and nothing past its batch is committed."""
    worker = workers.start("w", ["a", "b"], fail_at=["a", 1, 30])
    until(lambda: bool(workers.events("w", "assigned")))
    produce(workers.address, "a", 100)
    until(lambda: workers.count("w") >= 75)
    produce(workers.address, "a", 100)
    _, errors = worker.communicate(timeout=BOUND_S)
    assert worker.returncode == 1
    assert len(errors.splitlines()) == 1, errors
    assert errors.startswith("worker stopped: a[1] offsets 25 to "), errors
    assert "RuntimeError: failed as asked at " in errors
    assert committed(workers.address, "a")[1] <= 25


def test_a_second_worker_takes_partitions_over_without_replay(workers: Workers) -> None:
    """Partitions move when a worker joins and when it leaves; no record is processed twice or left out."""
    producer = Producer({"bootstrap.servers": workers.address})
    sent = 0

    def sending_until(condition: Callable[[], bool]) -> None:
        nonlocal sent

        def sent_and_true() -> bool:
            nonlocal sent
            for topic in ("a", "b"):
                producer.produce(topic, b"x", partition=sent % PARTITIONS)
            sent += 1
            producer.flush(BOUND_S)
            return condition()

        until(sent_and_true)

    first = workers.start("first", ["a", "b"], block_ms=5)
    sending_until(lambda: workers.count("first") > 40)
    second = workers.start("second", ["a", "b"], block_ms=5)
    sending_until(lambda: workers.count("second") > 40)
    alone = len(workers.events("first", "assigned"))
    sending_until(lambda: stopped(second) == 0)
    sending_until(lambda: len(workers.events("first", "assigned")) > alone)
    until(lambda: workers.count("first", "second") >= 2 * sent)
    assert stopped(first) == 0

    everything = set(range(PARTITIONS))
    for name in ("first", "second"):
        held: list[int] = []
        for event in workers.events(name):
            if event["event"] == "assigned":
                assert not held
                held = event["partitions"]
            elif event["event"] == "revoked":
                assert held
                held = []
            else:
                assert event["partition"] in held
    assert workers.events("first", "assigned")[0]["partitions"] == sorted(everything)
    shared = set(workers.events("second", "assigned")[-1]["partitions"])
    assert 0 < len(shared) < PARTITIONS
    for (topic, partition), offsets in workers.offsets("first", "second").items():
        assign = [offset for at, offset in enumerate(sorted(offsets)) if at != offset]
        assert not assign, f"{topic}[{partition}] is not 0, 1, 2, ... but {offsets}"


def test_restoring_may_take_longer_than_the_session(workers: Workers) -> None:
    """While `assigned` runs, heartbeats go on and no batch is handed over."""
    produce(workers.address, "a", 40)
    worker = workers.start("w", ["a", "b"], restore_ms=2 * SESSION_MS)
    until(lambda: workers.count("w") >= 40)
    assert stopped(worker) == 0
    assert workers.events("w")[0]["event"] == "assigned"
    assert len(workers.events("w", "assigned")) == 1


def test_a_frozen_worker_does_not_write(workers: Workers) -> None:
    """A worker stopped until another has its partitions finds its lease lost before it writes, and exits."""
    frozen = workers.start("frozen", ["a", "b"], block_ms=SESSION_MS, freeze_check=True)
    until(lambda: bool(workers.events("frozen", "assigned")))
    produce(workers.address, "a", 1)
    until(lambda: bool(workers.events("frozen", "begin")))
    frozen.send_signal(signal.SIGSTOP)
    other = workers.start("other", ["a", "b"])
    until(lambda: workers.count("other") == 1)
    frozen.send_signal(signal.SIGCONT)
    _, errors = frozen.communicate(timeout=BOUND_S)
    assert frozen.returncode == 4, errors
    assert re.search("session timeout|does not count us as a member", errors), errors
    assert not workers.events("frozen", "block")
    assert stopped(other) == 0


def test_missing_or_uneven_topics_are_refused(workers: Workers) -> None:
    """A topic that is missing or has another number of partitions ends the worker at once, with the reason."""
    create(workers.address, "uneven", partitions=3)
    for topics, reason in ((["a", "nowhere"], "nowhere does not exist"), (["a", "uneven"], "uneven has 3")):
        worker = workers.start("w", topics)
        _, errors = worker.communicate(timeout=BOUND_S)
        assert worker.returncode == 2
        assert reason in errors
        assert len(errors.splitlines()) == 1


@pytest.mark.kafka
def test_a_topic_made_anew_is_refused(kafka: "KafkaCluster", tmp_path: Path) -> None:
    """When a topic has fewer records than were committed, the worker says so instead of skipping or replaying."""
    create(kafka.bootstrap, "anew")
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": "anew"})
    consumer.commit(offsets=[TopicPartition("anew", 0, 1_000)], asynchronous=False)
    consumer.close()
    produce(kafka.bootstrap, "anew", 40)
    worker = Workers(kafka.bootstrap, tmp_path).start("w", ["anew"], group="anew")
    _, errors = worker.communicate(timeout=BOUND_S)
    assert worker.returncode == 2
    assert "fewer records than the 1000 that were committed" in errors
    assert len(errors.splitlines()) == 1


@pytest.mark.kafka
def test_records_deleted_before_they_were_read_are_reported(kafka: "KafkaCluster", tmp_path: Path) -> None:
    """What retention took from a worker that was away too long is counted in the log, and the rest is read."""
    create(kafka.bootstrap, "short")
    produce(kafka.bootstrap, "short", 80)
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": "short"})
    consumer.commit(offsets=[TopicPartition("short", 1, 5)], asynchronous=False)
    consumer.close()
    client = AdminClient({"bootstrap.servers": kafka.bootstrap})
    for deleted in client.delete_records([TopicPartition("short", 1, 12)]).values():
        deleted.result(BOUND_S)
    workers = Workers(kafka.bootstrap, tmp_path)
    worker = workers.start("w", ["short"], group="short")
    until(lambda: workers.count("w") >= 3 * 20 + 8)
    worker.terminate()
    _, errors = worker.communicate(timeout=BOUND_S)
    assert worker.returncode == 0
    assert errors.splitlines() == ["short[1]: 7 records were deleted by retention before they were read"]
    assert workers.offsets("w")["short", 1] == list(range(12, 20))


def test_no_broker_at_start(tmp_path: Path) -> None:
    """Without a broker the worker waits so long, says where it looked, and exits."""
    workers = Workers("127.0.0.1:1", tmp_path)
    worker = workers.start("w", ["a"], broker_wait_ms=1_500)
    _, errors = worker.communicate(timeout=BOUND_S)
    assert worker.returncode == 3
    assert "cannot reach Kafka at 127.0.0.1:1 after 1 s: start it or set NPS_BROKERS (" in errors
    assert "Connection refused" in errors
    assert len(errors.splitlines()) == 1


def test_cut_off_while_it_starts(broker: LocalServer, tmp_path: Path) -> None:
    """A worker whose client loses the broker that answered a moment ago tries again, and says nothing."""
    create(broker.address, "a")
    with gate(broker.address, b"nps", cuts=3) as unwrap:
        workers = Workers(unwrap.address, tmp_path)
        worker = workers.start("w", ["a"])
        until(lambda: bool(workers.events("w", "assigned")))
        worker.terminate()
        _, errors = worker.communicate(timeout=BOUND_S)
        assert (worker.returncode, errors, unwrap.cuts) == (0, "", 0)


def test_the_broker_vanishes(tmp_path: Path) -> None:
    """A worker that Kafka no longer answers ends, instead of idling for ever."""
    with local_broker() as broker:
        create(broker.address, "a")
        workers = Workers(broker.address, tmp_path)
        worker = workers.start("w", ["a"], broker_wait_ms=SESSION_MS + 3_000)
        until(lambda: bool(workers.events("w", "assigned")))
    _, errors = worker.communicate(timeout=BOUND_S)
    assert worker.returncode == 3, errors
    warning, stopped_line = errors.splitlines()
    assert warning.startswith("no answer from Kafka at 127.0.0.1:")
    assert stopped_line.startswith("worker stopped: running: no answer from Kafka at 127.0.0.1:")


def test_an_idle_worker_is_quick(workers: Workers) -> None:
    """A single record reaches its handler in milliseconds, not in a fetch wait of 1.5 s."""
    worker = workers.start("w", ["a", "b"], timed=True)
    until(lambda: bool(workers.events("w", "assigned")))
    producer = Producer({"bootstrap.servers": workers.address, "linger.ms": 0})
    for number in range(60):
        producer.produce("a", str(time.monotonic_ns()).encode(), partition=number % PARTITIONS)
        producer.flush(BOUND_S)
        until(lambda number=number: workers.count("w") > number)  # type: ignore[misc]
    assert stopped(worker) == 0
    lags_ms = [batch["lag_ns"] / 1e6 for batch in workers.events("w", "block")][10:]
    print(f"produce to handler: median {statistics.median(lags_ms):.1f} ms, max {max(lags_ms):.1f} ms")
    assert statistics.median(lags_ms) < 750, "half of the fetch wait"


def produce_batches(address: str, topic: str, partition: int, count: int) -> None:
    """So many batches of one record."""
    producer = Producer({"bootstrap.servers": address, "batch.num.messages": 1, "linger.ms": 0})
    for number in range(count):
        producer.produce(topic, str(number).encode(), partition=partition)
    assert producer.flush(BOUND_S) == 0


def test_a_partition_of_many_batches_is_read_to_its_end(workers: Workers) -> None:
    """The local broker looks through all batches of a partition, and gives up after the fetch wait with no error."""
    produce_batches(workers.address, "a", 1, BATCHES)
    worker = workers.start("w", ["a", "b"])
    until(lambda: workers.count("w") >= BATCHES)
    produce_batches(workers.address, "a", 1, 1)
    until(lambda: workers.count("w") > BATCHES)
    assert stopped(worker) == 0
    assert workers.offsets("w")["a", 1] == list(range(BATCHES + 1))


def test_state_of_many_batches_is_restored(workers: Workers) -> None:
    """The reader reads a partition of many batches to its end."""
    produce_batches(workers.address, "a", 1, BATCHES)
    with closing(KafkaReader(workers.address, {}, patience_s=20)) as reader:
        assert sum(1 for _ in reader.read([("a", 1)])) == BATCHES


def test_where_the_state_ends_reading_goes_on(workers: Workers) -> None:
    """A position that the state knows holds against a group that knows none, and nothing before it is handed over."""
    produce(workers.address, "a", 40)
    worker = workers.start("w", ["a", "b"], positions=[["a", 1, 7]])
    until(lambda: workers.count("w") >= 30 + 3)
    produce(workers.address, "a", 4)
    until(lambda: workers.count("w") >= 33 + 4)
    assert stopped(worker) == 0
    offsets = workers.offsets("w")
    assert offsets["a", 1] == list(range(7, 11))
    assert offsets["a", 0] == list(range(11))


def test_a_partition_that_stands_still_ends_the_process(workers: Workers) -> None:
    """Batches of one partition are taken and never applied: the line names it, and the others were worked on."""
    produce(workers.address, "a", 40)
    worker = workers.start("w", ["a", "b"], stall_ms=6_000, deaf=["a", 2])
    _, errors = worker.communicate(timeout=BOUND_S)
    assert worker.returncode == 8
    standstill = "a partition 2 stands still: 10 records are there and none was applied for 6 s: restart"
    assert errors == f"worker stopped: running: {standstill}\n"
    assert workers.offsets("w")["a", 1] == list(range(10))
