"""A place in a consumer group, for processes that read by a plain Kafka client."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition


@dataclass(frozen=True, slots=True)
class GroupMember:
    """Member of a consumer group: `check` looks after the connection, `refuse` after errors in a batch.

    `joined` is called whenever the group has given partitions, or none.
    """

    consumer: Consumer
    check: Callable[[], None]
    refuse: Callable[[KafkaError, str], None]
    joined: Callable[[], None]

    def commit(self, following: Mapping[tuple[str, int], int]) -> KafkaException | None:
        """Commit the next offsets, by topic and partition; returns why not when the group has moved on.

        Then its next member repeats the batch.
        """
        offsets = [TopicPartition(topic, partition, offset) for (topic, partition), offset in following.items()]
        if not offsets:
            return None
        try:
            self.consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            return error
        return None
