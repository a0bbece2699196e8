"""Strangers' records in topics of ours: dead-lettered, counted, and said once a topic in the log."""

import logging

from confluent_kafka import Message

from sinks import metrics

_told: set[str] = set()

log = logging.getLogger("nps.foreign")


def count_foreign(message: Message, why: str) -> None:
    """Count a record of its topic that we did not write; the first one of a topic is logged."""
    topic = message.topic() or ""
    metrics.FOREIGN.labels(topic).inc()
    if topic not in _told:
        _told.add(topic)
        place = f"{topic}[{message.partition()}] offset={message.offset()}"
        log.warning("foreign_record %s: %s; this and any further one becomes a dead letter", place, why)
