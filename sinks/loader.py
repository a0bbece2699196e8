"""Loader of topics into the warehouse: poll, batch, write, commit, in this order, so that nothing is lost.

Offsets are committed after the rows and the dead letters of a batch are durable.  A crash in between replays the batch,
which changes nothing, because rows replace each other by key and version.

    the warehouse is away      fetching pauses, the batch stays, tries go on for ever with growing waits
    the registry is away       the same for `patience_s`, then the process ends; dead letters are written all the same
    it refuses rows            the bad ones are found by halving and dead-lettered, the others written
    a value does not decode    dead letter; a null value on a compacted topic is passed over
    it refuses every row       the fuse blows: FuseBlown, and the process ends
    nothing can be written     Misconfigured (no such table, no rights), and the process ends
    a customer is erased       rows lose the customer before they are written, and where they are (`sinks.erasure`)
"""

import logging
import random
import threading
import time
from collections.abc import Iterable, Mapping, Sequence

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from schemas.codec import Codec, RegistryAway
from schemas.errors import Undelivered
from schemas.reasons import Reason
from schemas.topics import ANSWERS, DEAD_LETTERS, ERASURES
from sinks import metrics
from sinks.batch import EMPTY, Backoff, BatchPolicy
from sinks.dead_letters import DeadLetters
from sinks.erasure.process import ErasureProcess
from sinks.foreign import count_foreign
from sinks.kafka_health import MANUAL_COMMIT, QUIET, KafkaHealth, log_error
from sinks.rows import TABLES, Part, RejectedMessage, Table, decode
from sinks.warehouse import Unavailable, Warehouse
from sinks.writing import RefusalFuse, write

GROUP = "nps-loader"
CONSUMER = {
    "group.id": GROUP,
    "auto.offset.reset": "earliest",
    "fetch.queue.backoff.ms": "10",
    "queued.max.messages.kbytes": "65536",
    "topic.metadata.refresh.interval.ms": "10000",
}
CHUNK_ROWS = 5_000
POLL_MS = 100
SAMPLES = 100

log = logging.getLogger("nps.loader")


class Loader:
    """Member of the loader's consumer group.  `run` loads until it is told to stop."""

    def __init__(
        self,
        consumer_config: Mapping[str, str],
        producer_config: Mapping[str, str],
        warehouse: Warehouse,
        codec: Codec,
        policy: BatchPolicy | None = None,
        *,
        erasure: ErasureProcess,
        backoff: Backoff | None = None,
        max_refused: int = 1_000,
        patience_s: float = 60.0,
    ) -> None:
        self._policy = policy or BatchPolicy()
        self._backoff = backoff or Backoff()
        self._warehouse = warehouse
        self._codec = codec
        self._erasure = erasure
        self._fuse = RefusalFuse(max_refused)
        self._dead_letters = DeadLetters(producer_config)
        self._patience_ms = patience_s * 1_000
        self._registry_away_ms: int | None = None
        self._kafka_health = KafkaHealth(patience_s)
        fixed = {**MANUAL_COMMIT, **QUIET, "error_cb": self._kafka_health.lost}
        config = {**CONSUMER, **consumer_config, **fixed}
        self._group = str(config["group.id"])
        self._consumer = Consumer(config)
        self._messages: list[Message] = []
        self._fill = EMPTY
        self._failures = 0
        self._retry_ms = 0
        self._paused = False

    def run(self, stop: threading.Event) -> None:
        """Load until `stop` is set, then write what is in hand, commit and leave the group.

        Raises Misconfigured, FuseBlown, ServerAway, or KafkaException when the consumer cannot go on.
        """
        self._consumer.subscribe(list(TABLES), on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._drop)
        try:
            while not stop.is_set():
                self._kafka_health.check(self._consumer)
                if self._failures:
                    self._wait_to_retry()
                else:
                    self._consume()
            self._flush()
        finally:
            # a batch that could not be written must not be tried once more while leaving
            self._replace_batch(())
            self._consumer.close()

    def unready(self) -> str:
        """Say why no rows are written; empty while they are, or there are none.  From any thread."""
        away = f"{len(self._messages)} rows wait for a try to write them that works" if self._failures else ""
        return self._kafka_health.unready() or away

    def _consume(self) -> None:
        if self._paused and (assigned := self._consumer.assignment()):
            self._consumer.resume(assigned)
            self._paused = False
        left_ms = min(POLL_MS, self._fill.left_ms(self._policy, _now_ms()))
        self._add(self._consumer.consume(CHUNK_ROWS, left_ms / 1_000))
        if self._fill.is_due(self._policy, _now_ms()):
            self._flush()
        try:
            self._erasure.advance()
        except Unavailable as error:
            metrics.FAILURES.labels("unavailable").inc()
            log.warning("erasing_away: %s", error)

    def _wait_to_retry(self) -> None:
        """Keep the group's session alive, fetch nothing, and try again when it is time."""
        # every time, because a rebalance may have brought partitions that are not paused
        self._consumer.pause(self._consumer.assignment())
        self._paused = True
        message = self._consumer.poll(POLL_MS / 1_000)
        self._add([message] if message else [])
        if _now_ms() >= self._retry_ms:
            self._flush()

    def _add(self, messages: Sequence[Message]) -> None:
        good = [message for message in messages if message.error() is None]
        for message in messages:
            if (error := message.error()) is not None:
                log_error(log, error, self._group, message.topic() or "")
        self._messages += good
        self._fill = self._fill.plus(len(good), _size_bytes(good), _now_ms())

    def _flush(self) -> None:
        """Write and commit the batch in hand, or note the failure and the time of the next try."""
        if not self._messages:
            return
        try:
            self._write()
        except RegistryAway as error:
            now_ms = _now_ms()
            self._registry_away_ms = self._registry_away_ms or now_ms
            if now_ms - self._registry_away_ms > self._patience_ms:
                raise
            self._note_failure(error, is_told=now_ms > self._registry_away_ms)
            return
        except (Unavailable, Undelivered) as error:
            self._note_failure(error)
            return
        self._commit()
        if self._failures:
            log.warning("sink_back rows=%d tries=%d", len(self._messages), self._failures)
        self._replace_batch(())

    def _note_failure(self, error: Exception, is_told: bool = False) -> None:
        """Keep the batch, and set the time of the next try; log it unless that `is_told` already."""
        self._failures += 1
        wait_ms = self._backoff.wait_ms(self._failures, random.random())
        self._retry_ms = _now_ms() + wait_ms
        metrics.FAILURES.labels("unavailable").inc()
        rows = len(self._messages)
        metrics.WAITING_ROWS.set(rows)
        if not is_told:
            log.warning("sink_away rows=%d tries=%d wait_ms=%d: %s", rows, self._failures, wait_ms, error)

    def _write(self) -> None:
        loaded_ms = time.time_ns() // 1_000_000
        self._erasure.look()
        try:
            parts, rejects = decode(self._codec, self._messages, loaded_ms)
        except RegistryAway:
            if self._registry_away_ms is None:
                self._write_dead_letters_alone(loaded_ms)
            raise
        self._registry_away_ms = None
        for reject in rejects:
            count_foreign(reject.message, reject.detail)
        if erasures := parts.pop(ERASURES.name, None):
            # before the rows of their customers, so that no crash in between leaves rows that nobody would empty
            rejects += self._write_table(TABLES[ERASURES.name], erasures)
            self._erasure.take(erasures.rows)
        for topic, part in parts.items():
            rejects += self._write_table(TABLES[topic], part)
        # after all writes, so that a failed write does not repeat dead letters
        for reject in rejects:
            self._write_dead_letter(reject)
        self._dead_letters.flush()
        metrics.BATCH_ROWS.observe(len(self._messages))

    def _write_dead_letters_alone(self, loaded_ms: int) -> None:
        """Write the dead letters of a batch that must wait; once more with the batch, which does no harm."""
        letters = [message for message in self._messages if message.topic() == DEAD_LETTERS]
        parts, _ = decode(self._codec, letters, loaded_ms)
        for topic, part in parts.items():
            self._write_table(TABLES[topic], part)

    def _write_table(self, table: Table, part: Part) -> list[RejectedMessage]:
        if not part.rows:
            return []
        with metrics.WRITE_SECONDS.labels(table.name).time():
            rows = self._erasure.emptied(table.name, part.rows)
            refused = write(self._warehouse, table.name, table.columns, rows, self._fuse)
        metrics.ROWS.labels(table.name).inc(len(part.rows) - len(refused))
        metrics.FAILURES.labels("refused").inc(len(refused))
        _observe_age(table, part)
        return [RejectedMessage(part.messages[row.index], Reason.REFUSED_BY_WAREHOUSE, row.detail) for row in refused]

    def _write_dead_letter(self, reject: RejectedMessage) -> None:
        if reject.message.topic() == DEAD_LETTERS:
            metrics.DROPPED.inc()
            # the warehouse's answer may quote the record, and logs hold no personal data
            log.error("dead_letter_refused offset=%s reason=%s", reject.message.offset(), reject.reason)
        else:
            self._dead_letters.put(reject.message, reject.reason, reject.detail)

    def _commit(self) -> None:
        following = {(m.topic(), m.partition()): (m.offset() or 0) + 1 for m in self._messages}
        offsets = [TopicPartition(topic or "", number or 0, offset) for (topic, number), offset in following.items()]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            # harmless: the rows are there, and a replay changes nothing
            metrics.FAILURES.labels("commit").inc()
            log.warning("commit_failed: %s", error)
            return
        metrics.LAST_COMMIT.set_to_current_time()
        for offset in offsets:
            _, end = self._consumer.get_watermark_offsets(offset, cached=True)
            metrics.LAG_RECORDS.labels(offset.topic, offset.partition).set(max(0, end - offset.offset))

    def _assigned(self, _: Consumer, __: list[TopicPartition]) -> None:
        # a partition that was revoked while paused comes back paused
        self._paused = True
        self._kafka_health.is_member = True
        self._erasure.take_over()

    def _revoked(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self._flush()
        self._drop(self._consumer, partitions)

    def _drop(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        """Drop the uncommitted messages of these partitions; their next owner reads them again."""
        revoked = {(partition.topic, partition.partition) for partition in partitions}
        self._replace_batch([m for m in self._messages if (m.topic(), m.partition()) not in revoked])

    def _replace_batch(self, messages: Sequence[Message]) -> None:
        self._messages = list(messages)
        self._fill = EMPTY.plus(len(messages), _size_bytes(messages), _now_ms())
        if not messages:
            self._failures = 0
            metrics.WAITING_ROWS.set(0)


def _size_bytes(messages: Iterable[Message]) -> int:
    return sum(len(message.value() or b"") for message in messages)


def _observe_age(table: Table, part: Part) -> None:
    """Observe a sample spread evenly over the rows: observing each would cost as much as decoding it."""
    now = time.time()
    received = table.columns.index("received_at") if table.topic is ANSWERS else None
    histogram = metrics.EVENT_TO_ROW_SECONDS.labels(table.name)
    for index in range(0, len(part.rows), len(part.rows) // SAMPLES + 1):
        event_ms = part.messages[index].timestamp()[1] if received is None else part.rows[index][received]
        histogram.observe(max(0.0, now - int(str(event_ms)) / 1_000))


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000
