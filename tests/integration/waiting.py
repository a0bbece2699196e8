"""What tests of sinks wait for: something to hold, and dead letters to lie there."""

import time
from collections.abc import Callable

from confluent_kafka import Consumer, Message, TopicPartition

from schemas.topics import DEAD_LETTERS
from tests.commands import BOUND_S


def eventually(holds: Callable[[], object]) -> None:
    """Wait until it does."""
    deadline = time.monotonic() + BOUND_S
    while not holds():
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.02)


def dead_letters(kafka: str, count: int) -> list[Message]:
    """Wait for so many; all that there are."""
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": "reader"})
    consumer.assign([TopicPartition(DEAD_LETTERS, 0, 0)])
    found: list[Message] = []

    def read() -> bool:
        found.extend(consumer.consume(10, 0.1))
        return len(found) >= count

    try:
        eventually(read)
        return found
    finally:
        consumer.close()
