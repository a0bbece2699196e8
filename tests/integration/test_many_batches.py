"""Partitions of many small batches, as hours of live traffic make them, on the local broker."""

from contextlib import closing

from confluent_kafka import Producer

from streams.kafka.reader import KafkaReader
from tests.integration.test_engine import Workers, stopped, until, workers  # noqa: F401  # the fixture
from tests.support.commands import BOUND_S

BATCHES = 40_000


def produce_batches(address: str, topic: str, partition: int, count: int) -> None:
    """So many batches of one record."""
    producer = Producer({"bootstrap.servers": address, "batch.num.messages": 1, "linger.ms": 0})
    for number in range(count):
        producer.produce(topic, str(number).encode(), partition=partition)
    assert producer.flush(BOUND_S) == 0


def test_a_partition_of_many_batches_is_read_to_its_end(workers: Workers) -> None:  # noqa: F811
    """The local broker looks through all batches of a partition, and gives up after the fetch wait with no error."""
    produce_batches(workers.address, "a", 1, BATCHES)
    worker = workers.start("w", ["a", "b"])
    until(lambda: workers.count("w") >= BATCHES)
    produce_batches(workers.address, "a", 1, 1)
    until(lambda: workers.count("w") > BATCHES)
    assert stopped(worker) == 0
    assert workers.offsets("w")["a", 1] == list(range(BATCHES + 1))


def test_state_of_many_batches_is_restored(workers: Workers) -> None:  # noqa: F811
    """The reader reads a partition of many batches to its end."""
    produce_batches(workers.address, "a", 1, BATCHES)
    with closing(KafkaReader(workers.address, {}, patience_s=20)) as reader:
        assert sum(1 for _ in reader.read([("a", 1)])) == BATCHES
