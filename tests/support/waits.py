"""What tests of sinks wait for: something to hold, and dead letters to lie there."""

from collections.abc import Callable

from confluent_kafka import Consumer, Message, TopicPartition

from schemas.topics import DEAD_LETTERS
from tests.support.commands import BOUND_S, until


def eventually(holds: Callable[[], object], within_s: float = BOUND_S) -> None:
    """Wait until it does."""
    until(lambda: bool(holds()), "it came to hold", within_s)


def dead_letters(kafka: str, count: int, within_s: float = BOUND_S) -> list[Message]:
    """Wait for so many; all that there are."""
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": "reader"})
    consumer.assign([TopicPartition(DEAD_LETTERS, 0, 0)])
    found: list[Message] = []

    def read() -> bool:
        found.extend(consumer.consume(10, 0.1))
        return len(found) >= count

    try:
        eventually(read, within_s)
        return found
    finally:
        consumer.close()
