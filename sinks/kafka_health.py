"""Health of a consumer's connection to Kafka: logs its loss and its return once, and ends a wait that is too long.

librdkafka by itself logs each of its tries, twenty lines a second, and tries for ever: a process that is up and does
nothing.
"""

import logging
import time
from collections.abc import Callable

from confluent_kafka import Consumer, KafkaError, KafkaException

from schemas.acls import GROUP_REFUSED, REFUSALS, not_allowed
from schemas.errors import ServerAway

QUIET = {"log_level": "2"}
"""Client setting that silences librdkafka's own log below `critical`: what matters of it is logged here."""

MANUAL_COMMIT = {"enable.auto.commit": "false", "enable.auto.offset.store": "false"}
"""Consumer settings that leave every commit to us: after the effect, never before."""

_CONNECTION_ERRORS = (KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT)
_CHECK_EVERY_S = 5.0
_METADATA_WAIT_S = 1.0

log = logging.getLogger("nps.kafka")


class KafkaHealth:
    """Health of one consumer's connection: `lost` is its `error_cb`; call `check` at each poll.

    `patience_s` is the time in seconds that Kafka may be away.
    """

    def __init__(self, patience_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._patience_s = patience_s
        self._clock = clock
        self._lost_s: float | None = None
        self._check_s = 0.0
        self._is_away = False
        self._checked_s = clock()
        self.is_member = False
        """True once the group has given partitions, or none, to the consumer."""

    def unready(self) -> str:
        """Say why the consumer makes no progress, as far as Kafka is to blame; empty for no reason."""
        if not self.is_member:
            return "it has no partitions yet"
        if self._is_away:
            return "no answer from Kafka"
        still_s = self._clock() - self._checked_s
        return f"it has stood still for {still_s:.0f} s" if still_s > self._patience_s else ""

    def lost(self, error: KafkaError) -> None:
        """Note that a connection failed, so that `check` sees soon whether all did."""
        if self._lost_s is None and error.code() in _CONNECTION_ERRORS:
            self._lost_s = self._clock()
            self._check_s = self._lost_s + _CHECK_EVERY_S

    def check(self, consumer: Consumer) -> None:
        """Ask a lost Kafka for an answer, every 5 s.  Raises ServerAway when there was none for `patience_s`."""
        self._checked_s = self._clock()
        if self._lost_s is None or self._clock() < self._check_s:
            return
        is_away = not _is_reachable(consumer)
        silent_s = self._clock() - self._lost_s
        if is_away and silent_s > self._patience_s:
            raise ServerAway(f"no answer from Kafka for {silent_s:.0f} s: see if it runs")
        if is_away != self._is_away:
            log.warning("%s seconds=%.0f", "kafka_away" if is_away else "kafka_back", silent_s)
        self._is_away = is_away
        self._check_s = self._clock() + min(_CHECK_EVERY_S, self._patience_s / 4)
        if not is_away:
            self._lost_s = None


def log_error(log: logging.Logger, error: KafkaError, group: str, topic: str) -> None:
    """Log an error that a consumer of a group returned in place of a record, of this topic where it is about one.

    Raises NotAllowed for one that an ACL is missing for, KafkaException for a fatal one.
    """
    if error.code() in REFUSALS:
        raise not_allowed(error.code(), group if error.code() == GROUP_REFUSED else topic, "Read")
    if error.fatal():
        raise KafkaException(error)
    log.warning("kafka_error %s", error.str())


def _is_reachable(consumer: Consumer) -> bool:
    try:
        consumer.list_topics(timeout=_METADATA_WAIT_S)
    except KafkaException:
        return False
    return True
