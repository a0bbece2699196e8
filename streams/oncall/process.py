"""Process of incidents: a member of one group that reads nps.oncall and what it is fed from.

    consume → intake: alerts, actions, erasures and falls become events of nps.oncall
            → fold: events become incidents
    events, notifications, cases ─flush─► incidents with as_of ─flush─► commit

Whoever has the one partition of nps.oncall has the incidents, restored from nps.incidents; other members copy what they
are assigned, and wait.  Due times are events too: they are written when the clock has come to them.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence

from confluent_kafka import Consumer, Message, TopicPartition

from schemas.codec import Codec
from schemas.events import Alert, AlertAction, Case, Erasure, Fall, Incident, OncallEvent, Record
from schemas.oncall import FallPayload, SilencePayload, payload_of
from schemas.ours import decode_ours
from schemas.topics import (
    ALERT_ACTIONS,
    ALERTS,
    CASES,
    ERASURES,
    FALLS,
    INCIDENTS,
    NOTIFICATIONS,
    ONCALL,
    Topic,
    key_of,
)
from streams import metrics
from streams.domain.incidents.rules import OncallRules
from streams.engine.lease import Lease, monotonic_ms
from streams.kafka.foreign import pass_over
from streams.kafka.member import GroupMember
from streams.kafka.ports import KafkaRecord, Log, Output, Reader
from streams.kafka.reader import record_of
from streams.oncall.fold import Fold
from streams.oncall.records import event_of_action, event_of_alert, event_of_erasure, event_of_fall

FED_BY: tuple[Topic, ...] = (ALERTS, ALERT_ACTIONS, ERASURES, FALLS)
"""Topics whose records become events of nps.oncall."""

TOPICS = (ONCALL, INCIDENTS, CASES, NOTIFICATIONS, *FED_BY)
BATCH_RECORDS = 500
POLL_S = 0.05
TIDY_MS = 60_000
"""Time between two looks for incidents that need not be known any more."""

log = logging.getLogger("nps.incidents")


class IncidentsProcess:
    """Member of the group of incidents; `run` works until it is told to stop, for one thread."""

    def __init__(
        self,
        rules: OncallRules,
        codec: Codec,
        member: GroupMember,
        producer: Log,
        reader: Reader,
        lease: Lease,
        now_ms: Callable[[], int],
        epoch: int = 0,
    ) -> None:
        self._rules = rules
        self._codec = codec
        self._member = member
        self._producer = producer
        self._reader = reader
        self._lease = lease
        self._now_ms = now_ms
        self._epoch = epoch
        self._fold: Fold | None = None
        self._tidied_ms = 0

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set, then leave the group.

        Raises Undelivered, LeaseLost, ServerAway, or KafkaException when the consumer cannot go on.
        """
        consumer = self._member.consumer
        names = [ONCALL.name, *(topic.name for topic in FED_BY)]
        consumer.subscribe(names, on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked)
        try:
            while not stop.is_set():
                self._member.check()
                polled_ms = monotonic_ms()
                messages = consumer.consume(BATCH_RECORDS, POLL_S)
                self._lease.renew(polled_ms)
                self.handle(messages)
        finally:
            consumer.close()

    def handle(self, messages: Sequence[Message]) -> None:
        """Take a batch and the due times that have come, make all of it durable, then commit."""
        outputs, following = list[Output](), dict[tuple[str, int], int]()
        for message in messages:
            topic, partition = message.topic() or "", message.partition() or 0
            if (error := message.error()) is not None:
                self._member.refuse(error, topic)
                continue
            record = record_of(message)
            following[topic, partition] = record.offset + 1
            try:
                outputs += self._taken(topic, record)
            except ValueError as error_in_it:
                pass_over(topic, partition, record.offset, error_in_it)
        if self._fold is not None:
            now_ms = self._now_ms()
            outputs += [self._output(ONCALL, event) for event in self._fold.due(now_ms)]
            outputs += [self._output(_topic_of(record), record) for record in self._fold.effects()]
            self._write(outputs)
            self._write([self._output(INCIDENTS, incident) for incident in self._fold.states()])
            self._tell(self._fold, now_ms)
        else:
            self._write(outputs)
        if (failure := self._member.commit(following)) is not None:
            log.warning("commit_failed %s", failure)

    def restored(self, offset: int) -> Fold:
        """Make the fold as of nps.incidents, with the silences that lie in nps.oncall before this offset."""
        fold = Fold(self._rules, self._epoch)
        for (topic, partition), record in self._reader.read([(INCIDENTS.name, 0)]):
            try:
                if record.value is None:
                    fold.forget((record.key or b"").decode(errors="replace"))
                else:
                    fold.restore(decode_ours(self._codec, Incident, record.key, record.value))
            except ValueError as error:
                pass_over(topic, partition, record.offset, error)
        for _, record in self._reader.read([(ONCALL.name, 0)]) if offset > 0 else ():
            if record.offset < offset and (silence := self._silence(record)) is not None:
                fold.silence(silence, record.timestamp)
        return fold

    def _taken(self, topic: str, record: KafkaRecord) -> list[Output]:
        """Take a record: an event into the fold, any other as an event to write.  Raises ValueError for strangers'."""
        if topic == ONCALL.name:
            event = decode_ours(self._codec, OncallEvent, record.key, record.value)
            if self._fold is not None:
                self._fold.take(record.offset, record.timestamp, event)
                metrics.INCIDENT_EVENTS.labels(event.kind).inc()
            return []
        event_or_none = self._event(topic, record)
        return [] if event_or_none is None else [self._output(ONCALL, event_or_none)]

    def _event(self, topic: str, record: KafkaRecord) -> OncallEvent | None:
        decode, key, value = self._codec, record.key, record.value
        if topic == ALERTS.name:
            return event_of_alert(decode_ours(decode, Alert, key, value))
        if topic == ALERT_ACTIONS.name:
            return event_of_action(decode_ours(decode, AlertAction, key, value))
        if topic == ERASURES.name:
            return event_of_erasure(decode_ours(decode, Erasure, key, value))
        event = event_of_fall(decode_ours(decode, Fall, key, value))
        return event if self._concerns(event) else None

    def _concerns(self, event: OncallEvent) -> bool:
        """True for evidence of a fall that may open an incident, or that is about one."""
        payload = payload_of(event)
        if not isinstance(payload, FallPayload) or self._fold is None:
            return True
        reaches = any(one.z is not None and one.threshold and one.z >= one.threshold for one in payload.windows)
        return reaches or self._fold.has_fall(payload.segment)

    def _silence(self, record: KafkaRecord) -> SilencePayload | None:
        try:
            event = decode_ours(self._codec, OncallEvent, record.key, record.value)
            payload = payload_of(event) if event.kind == "silence" else None
        except ValueError:
            return None  # told when it was taken
        return payload if isinstance(payload, SilencePayload) else None

    def _output(self, topic: Topic, record: Record) -> Output:
        return Output(topic.name, self._codec.encode(record), key_of(record))

    def _write(self, outputs: Sequence[Output]) -> None:
        """Write records and wait until they are durable, if we may still write.  Raises LeaseLost, Undelivered."""
        if not outputs:
            return
        self._lease.check()
        self._producer.send_all(outputs)
        asyncio.run(self._producer.flush())
        for output in outputs:
            metrics.RECORDS_OUT.labels(output.topic).inc()

    def _tell(self, fold: Fold, now_ms: int) -> None:
        """Set the metrics, and now and then forget what need not be known."""
        paged, fold.paged = fold.paged, []
        for received_ms in paged:
            metrics.ALERT_TO_PAGE_SECONDS.observe(max(0, self._now_ms() - received_ms) / 1_000)
        if now_ms - self._tidied_ms < TIDY_MS and not paged:
            return
        self._tidied_ms = now_ms
        forgotten = fold.forgettable(now_ms)
        self._write([Output(INCIDENTS.name, None, incident_id.encode()) for incident_id in forgotten])
        for incident_id in forgotten:
            fold.forget(incident_id)
        for state, count in fold.count_by_state():
            metrics.INCIDENTS.labels(state).set(count)
        metrics.CASES_OVERDUE.set(fold.overdue_cases(now_ms))

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        if any(partition.topic == ONCALL.name for partition in partitions):
            (committed,) = consumer.committed([TopicPartition(ONCALL.name, 0)])
            self._fold = self.restored(committed.offset)
            log.info("incidents_restored count=%d", len(self._fold.index.by_id))
        self._member.joined()

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._fold = None


def _topic_of(record: Record) -> Topic:
    return CASES if isinstance(record, Case) else NOTIFICATIONS
