"""Places in consumer groups, as the settings have them."""

import logging
from functools import partial

from confluent_kafka import Consumer, KafkaError

from sinks.kafka_health import MANUAL_COMMIT, QUIET, KafkaHealth, log_error
from streams.kafka.member import GroupMember
from streams.settings import Settings


def membership(settings: Settings, role: str) -> dict[str, str]:
    """Make the settings of a consumer in the group of this role."""
    session_ms = settings.session_timeout_ms
    return {
        "bootstrap.servers": settings.brokers,
        **settings.security,
        "group.id": f"{settings.group}-{role}",
        "session.timeout.ms": str(session_ms),
        "heartbeat.interval.ms": str(max(100, session_ms // 4)),  # librdkafka's own 3 s outlives a short session
    }


def member_of(settings: Settings, role: str, health: KafkaHealth, log: logging.Logger) -> GroupMember:
    """Make a member of the group of this role, which reads from the beginning and commits when it is told to.

    Errors in its batches go to `log`.
    """
    place = membership(settings, role)
    consumer = Consumer({
        **place, "auto.offset.reset": "earliest", "fetch.queue.backoff.ms": "10",
        "queued.max.messages.kbytes": "65536", **MANUAL_COMMIT, **QUIET, "error_cb": health.lost,
    })  # fmt: skip

    def joined() -> None:
        health.is_member = True

    def refuse(error: KafkaError, topic: str) -> None:
        log_error(log, error, place["group.id"], topic)

    return GroupMember(consumer, partial(health.check, consumer), refuse, joined)
