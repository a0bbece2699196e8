"""Questions to a Kafka that may be starting, or whose groups have no coordinator for a moment."""

import time
from collections.abc import Callable
from typing import TypeVar

from confluent_kafka import Consumer, KafkaException, TopicPartition

from tests.support.commands import BOUND_S

_T = TypeVar("_T")
Offsets = dict[tuple[str, int], int]


def patiently(ask: Callable[[], _T]) -> _T:
    """What Kafka answers, asked again while it cannot."""
    deadline = time.monotonic() + BOUND_S
    while True:
        try:
            return ask()
        except KafkaException:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


class Group:
    """A consumer group, seen from outside."""

    def __init__(self, brokers: str, name: str) -> None:
        self._settings: dict[str, str | int] = {"bootstrap.servers": brokers, "group.id": name, "log_level": 0}
        self._consumer = Consumer(self._settings)

    def close(self) -> None:
        """Give the connection back."""
        self._consumer.close()

    def committed(self, partitions: list[tuple[str, int]]) -> Offsets:
        """The next offset to process of each partition; negative where nothing was committed."""
        wanted = [TopicPartition(*partition) for partition in partitions]

        def ask() -> list[TopicPartition]:
            try:
                return self._consumer.committed(wanted, timeout=BOUND_S)
            except KafkaException:
                self._consumer.close()
                self._consumer = Consumer(self._settings)  # the old one may ask a former coordinator for long
                raise

        return {(part.topic, part.partition): part.offset for part in patiently(ask)}
