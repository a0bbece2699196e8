"""A place in a consumer group, for processes that read by a plain Kafka client."""

from collections.abc import Callable
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError


@dataclass(frozen=True, slots=True)
class GroupMember:
    """Member of a consumer group: `check` looks after the connection, `refuse` after errors in a batch.

    `joined` is called whenever the group has given partitions, or none.
    """

    consumer: Consumer
    check: Callable[[], None]
    refuse: Callable[[KafkaError, str], None]
    joined: Callable[[], None] = lambda: None
