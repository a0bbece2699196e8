"""Is Kafka there?  A sink says once that it is away and once that it is back, and ends when it waits in vain too long.

librdkafka itself tells each of its tries, twenty lines a second, and tries for ever: a process that is up and does
nothing.
"""

import logging
import time
from collections.abc import Callable

from confluent_kafka import Consumer, KafkaError, KafkaException

from schemas.errors import ServerAway

QUIET = {"log_level": "2"}
"""For every client: what matters of its log is said here."""

_GONE = (KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT)
_LOOK_EVERY_S = 5.0
_ANSWER_S = 1.0

log = logging.getLogger("nps.kafka")


class KafkaHealth:
    """One consumer's link to Kafka: `lost` is its `error_cb`, and `check` is called again and again beside its polls.

    `patience_s` is how long Kafka may be away.
    """

    def __init__(self, patience_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._patience_s = patience_s
        self._clock = clock
        self._lost_s: float | None = None
        self._look_s = 0.0
        self._said = False

    def lost(self, error: KafkaError) -> None:
        """A connection failed: see soon whether all did."""
        if self._lost_s is None and error.code() in _GONE:
            self._lost_s = self._clock()
            self._look_s = self._lost_s + _LOOK_EVERY_S

    def check(self, consumer: Consumer) -> None:
        """Look whether Kafka is back, where it was lost.  Raises ServerAway."""
        if self._lost_s is None or self._clock() < self._look_s:
            return
        away = not _answers(consumer)
        silent_s = self._clock() - self._lost_s
        if away and silent_s > self._patience_s:
            raise ServerAway(f"no answer from Kafka for {silent_s:.0f} s: see if it runs")
        if away != self._said:
            log.warning("%s seconds=%.0f", "kafka_away" if away else "kafka_back", silent_s)
        self._said = away
        self._look_s = self._clock() + min(_LOOK_EVERY_S, self._patience_s / 4)
        if not away:
            self._lost_s = None


def _answers(consumer: Consumer) -> bool:
    try:
        consumer.list_topics(timeout=_ANSWER_S)
    except KafkaException:
        return False
    return True
