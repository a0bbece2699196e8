"""Process of one source: foreign records in, events and letters out, offsets last.

    consume, up to BATCH_RECORDS → map → send events and letters → flush → commit

A crash repeats a batch.  Source and id of an event come from the foreign record alone, so journeys find the repeated
ones to be duplicates.  Letters are repeated too.
"""

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from schemas.codec import Codec
from schemas.deadletters import Death, wrap
from schemas.errors import FuseBlown
from schemas.topics import DEAD_LETTERS, MAPPED_AT_HEADER, ORIGIN_HEADER, key_of
from streams import metrics
from streams.engine.fuse import Fuse
from streams.kafka.ports import Headers, KafkaRecord, Log, Output
from streams.kafka.reader import record_of
from streams.sources.mapper import Mapped, Mapper, Unmapped

BATCH_RECORDS = 5_000
POLL_S = 0.1
LONGEST_DETAIL = 2_000

log = logging.getLogger("nps.sources")


@dataclass(frozen=True, slots=True)
class GroupMember:
    """A source's place in its consumer group: `check` looks after the connection, `refuse` after errors in a batch."""

    consumer: Consumer
    check: Callable[[], None]
    refuse: Callable[[KafkaError, str], None]


class SourceWriter:
    """Writer of what foreign records become.  `batch_outputs` is pure; metrics are counted by `count`."""

    def __init__(self, mapper: Mapper, codec: Codec) -> None:
        self._mapper = mapper
        self._codec = codec

    def outputs_of(self, record: KafkaRecord, partition: int, now_ms: int) -> tuple[list[Output], Mapped]:
        """Map a record, and make the outputs of it: its events, then its letter."""
        mapped = self._mapper.map(record, partition)
        if not mapped.events and mapped.letter is None:
            return [], mapped
        mapping = self._mapper.mapping
        origin = f"{mapping.topic} {partition} {record.offset} {mapping.hash}"
        headers = ((MAPPED_AT_HEADER, str(now_ms).encode()), (ORIGIN_HEADER, origin.encode()))
        at_ms = record.timestamp if record.timestamp > 0 else now_ms
        encode = self._codec.encode
        outputs = [Output(topic, encode(event), key_of(event), -1, at_ms, headers) for topic, event in mapped.events]
        if mapped.letter is not None:
            outputs.append(self._letter(record, partition, mapped.letter))
        return outputs, mapped

    def _letter(self, record: KafkaRecord, partition: int, letter: Unmapped) -> Output:
        place = self._mapper.mapping.topic, partition, record.offset
        death = Death(letter.reason, letter.detail[:LONGEST_DETAIL], *place, record.timestamp)
        headers: Headers = wrap(record.headers, death)
        return Output(DEAD_LETTERS, record.value, record.key, headers=headers)


class SourceProcess:
    """Member of a source's consumer group.  `run` maps until it is told to stop; for one thread."""

    def __init__(
        self, mapper: Mapper, codec: Codec, member: GroupMember, producer: Log, fuse: Fuse, now_ms: Callable[[], int]
    ) -> None:
        self._name, self._topic = mapper.mapping.name, mapper.mapping.topic
        self._writer = SourceWriter(mapper, codec)
        self._member = member
        self._producer = producer
        self._fuse = fuse
        self._now_ms = now_ms

    def run(self, stop: threading.Event, on_assign: Callable[[], None] = lambda: None) -> None:
        """Map until `stop` is set, then leave the group.

        Raises FuseBlown, Undelivered, ServerAway, or KafkaException when the consumer cannot go on.
        """
        consumer = self._member.consumer
        consumer.subscribe([self._topic], on_assign=lambda *_: on_assign())
        try:
            while not stop.is_set():
                self._member.check()
                if messages := consumer.consume(BATCH_RECORDS, POLL_S):
                    self._handle(messages)
        finally:
            consumer.close()

    def _handle(self, messages: Sequence[Message]) -> None:
        """Map a batch, make it durable, then commit it; when the fuse blows, what came before is written first."""
        following: dict[tuple[str, int], int] = {}
        outputs: list[Output] = []
        blown: FuseBlown | None = None
        outcomes = Counter[str]()
        for message in messages:
            if (error := message.error()) is not None:
                self._member.refuse(error, message.topic() or "")
                continue
            record, partition = record_of(message), message.partition() or 0
            made, mapped = self._writer.outputs_of(record, partition, self._now_ms())
            outputs += made
            following[message.topic() or "", partition] = record.offset + 1
            try:
                outcomes[self._judge(mapped)] += 1
            except FuseBlown as error:
                blown = error
                break
        self._producer.send_all(outputs)
        asyncio.run(self._producer.flush())
        self._count(outcomes, outputs)
        if blown is not None:
            raise FuseBlown(f"source {self._name}: {blown}")
        self._commit(following)

    def _judge(self, mapped: Mapped) -> str:
        """Tell the fuse, and name the outcome.  Raises FuseBlown."""
        if mapped.letter is not None:
            metrics.EVENTS_DEAD.labels(mapped.letter.reason).inc()
            self._fuse.bad()
            return "dead"
        self._fuse.good()
        return "mapped" if mapped.events else "ignored"

    def _count(self, outcomes: Counter[str], outputs: Iterable[Output]) -> None:
        for outcome, records in outcomes.items():
            metrics.SOURCE_RECORDS.labels(self._name, outcome).inc(records)
        for topic, records in Counter(output.topic for output in outputs).items():
            metrics.RECORDS_OUT.labels(topic).inc(records)

    def _commit(self, following: dict[tuple[str, int], int]) -> None:
        offsets = [TopicPartition(topic, partition, offset) for (topic, partition), offset in following.items()]
        if not offsets:
            return
        try:
            self._member.consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:  # the group has moved on: its next member repeats the batch
            log.warning("commit_failed source=%s: %s", self._name, error)
