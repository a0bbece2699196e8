"""Strangers' records in topics of ours: passed over, counted, and said once a topic in the log."""

import logging

from streams import metrics

_told: set[str] = set()

log = logging.getLogger("streams.foreign")


def pass_over(topic: str, partition: int, offset: int, why: object) -> None:
    """Count a record of this topic that we did not write; the first one of a topic is logged."""
    metrics.FOREIGN.labels(topic).inc()
    if topic not in _told:
        _told.add(topic)
        log.warning(
            "foreign_record %s[%d] offset=%d: %s; this and any further one is passed over",
            topic,
            partition,
            offset,
            why,
        )
