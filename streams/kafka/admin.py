"""Checks before a worker joins its group: Kafka answers, and the topics exist with equal partition counts."""

import asyncio
import time
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from typing import Any

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from schemas.acls import REFUSALS, not_allowed
from streams.errors import BadTopics, BrokerAway
from streams.kafka.security import mismatch, silence
from streams.kafka.silence import SILENT

_TRY_S = 1.0
_PAUSE_S = 0.2
_MOST_REASONS = 100


async def wait_for_broker(brokers: str, security: Mapping[str, str], wait_ms: int) -> dict[str, int]:
    """Wait until Kafka answers; the partition count of every topic.  Raises BrokerAway after `wait_ms`."""
    reasons: deque[str] = deque(maxlen=_MOST_REASONS)
    settings: dict[str, Any] = {
        **security, "bootstrap.servers": brokers, "error_cb": lambda error: reasons.append(error.str())
    }  # fmt: skip
    client = AdminClient(settings, logger=SILENT)
    deadline = time.monotonic() + wait_ms / 1000
    while True:
        try:
            metadata = await asyncio.to_thread(client.list_topics, timeout=_TRY_S)
        except KafkaException as error:
            client.poll(0)
            if time.monotonic() < deadline:
                await asyncio.sleep(_PAUSE_S)
                continue
            told = next(filter(mismatch, reasons), reasons[0] if reasons else error.args[0].str())
            remedy = mismatch(told) or silence(brokers, security) or "start it or set NPS_BROKERS"
            raise BrokerAway(f"cannot reach Kafka at {brokers} after {wait_ms // 1000} s: {remedy} ({told})") from error
        return {name: len(topic.partitions) for name, topic in metadata.topics.items()}


async def topic_ids(brokers: str, security: Mapping[str, str], topics: Collection[str]) -> dict[str, str]:
    """Topic ids by name, given by Kafka when a topic was made; empty where the broker does not report them."""
    client = AdminClient({**security, "bootstrap.servers": brokers}, logger=SILENT)
    futures = client.describe_topics(TopicCollection(list(topics)))
    with suppress(KafkaException):
        return {name: str((await asyncio.wrap_future(future)).topic_id) for name, future in futures.items()}
    return {}


async def refuse_hidden(brokers: str, security: Mapping[str, str], topics: Collection[str]) -> None:
    """Check that these topics, which Kafka does not list, are missing, not hidden from us.  Raises NotAllowed."""
    client = AdminClient({**security, "bootstrap.servers": brokers}, logger=SILENT)
    for name, future in client.describe_topics(TopicCollection(list(topics))).items():
        try:
            await asyncio.wrap_future(future)
        except KafkaException as error:
            if error.args[0].code() in REFUSALS:
                raise not_allowed(error.args[0].code(), name, "Describe") from error


def check_topics(topics: Iterable[str], partitions: Mapping[str, int]) -> None:
    """Check that all topics exist with the same number of partitions, as co-partitioning needs.  Raises BadTopics."""
    wanted = sorted(topics)
    if missing := [topic for topic in wanted if not partitions.get(topic)]:
        raise BadTopics(f"topic {', '.join(missing)} does not exist: run nps topics")
    counts = {topic: partitions[topic] for topic in wanted}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{topic} has {count}" for topic, count in counts.items())
        raise BadTopics(f"topics processed together need the same number of partitions: {listed}")
