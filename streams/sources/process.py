"""Process of one source: foreign records in, events and letters out, offsets last.

    consume, up to BATCH_RECORDS → map and send events and letters, piece by piece → flush → commit

A crash repeats a batch.  Source and id of an event come from the foreign record alone, so journeys find the repeated
ones to be duplicates.  Letters are repeated too.  A record whose customer is not known yet waits on nps.unlinked, and
is mapped once more when its link is there.
"""

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from confluent_kafka import Consumer, Message, TopicPartition

from schemas.codec import Codec
from schemas.deadletters import Death, wrap
from schemas.errors import FuseBlown
from schemas.topics import DEAD_LETTERS, MAPPED_AT_HEADER, ORIGIN_HEADER, key_of
from streams import metrics
from streams.engine.fuse import Fuse
from streams.kafka.member import GroupMember
from streams.kafka.ports import Headers, KafkaRecord, Log, Output
from streams.kafka.reader import record_of
from streams.sources.links import Links
from streams.sources.mapper import Mapped, Mapper, Unmapped
from streams.sources.waiting import WaitingRecord, WaitingRecords

BATCH_RECORDS = 5_000
PIECE_RECORDS = 250
POLL_S = 0.1
LONGEST_DETAIL = 2_000

log = logging.getLogger("nps.sources")


class SourceWriter:
    """Writer of what foreign records become: events, links, letters.

    Without `waiting` a record whose customer is not known dies at once.
    """

    def __init__(
        self, mapper: Mapper, codec: Codec, links: Links | None = None, waiting: WaitingRecords | None = None
    ) -> None:
        self._mapper = mapper
        self._codec = codec
        self._links = links
        self._waiting = waiting

    def outputs_of(self, record: KafkaRecord, partition: int, now_ms: int) -> tuple[list[Output], Mapped]:
        """Map a record, and make the outputs of it: its events and links, then its letter."""
        mapped = self._mapper.map(record, partition)
        if not mapped.events and mapped.letter is None and not mapped.links:
            return self._end_waiting(record, partition), mapped
        mapping = self._mapper.mapping
        origin = f"{mapping.topic} {partition} {record.offset} {mapping.hash}"
        headers = ((MAPPED_AT_HEADER, str(now_ms).encode()), (ORIGIN_HEADER, origin.encode()))
        at_ms = record.timestamp if record.timestamp > 0 else now_ms
        encode = self._codec.encode
        outputs = [Output(topic, encode(event), key_of(event), -1, at_ms, headers) for topic, event in mapped.events]
        if mapped.links and self._links is not None:
            outputs += self._links.teach(mapped.links, mapping.name, at_ms)
        if mapped.letter is not None and mapped.letter.links and self._waiting is not None:
            death = self._death(record, partition, mapped.letter)
            return [*outputs, *self._waiting.add(WaitingRecord(mapped.letter.links, now_ms, death, record))], mapped
        if mapped.letter is not None:
            outputs.append(_letter(record, self._death(record, partition, mapped.letter)))
        return [*outputs, *self._end_waiting(record, partition)], mapped

    def outputs_of_waiting(self, now_ms: int) -> list[Output]:
        """Map what waits for links that are known by now, and give up what has waited too long."""
        outputs: list[Output] = []
        if self._waiting is None or self._links is None:
            return outputs
        for waiting in self._waiting.linked(self._links):
            outputs += self.outputs_of(waiting.record, waiting.death.partition, now_ms)[0]
        for waiting in self._waiting.given_up(now_ms):
            metrics.EVENTS_DEAD.labels(waiting.death.reason).inc()
            outputs += [_letter(waiting.record, waiting.death), *self._waiting.end(waiting.place)]
        metrics.SOURCE_WAITING.labels(self._mapper.mapping.name).set(len(self._waiting))
        return outputs

    def _death(self, record: KafkaRecord, partition: int, letter: Unmapped) -> Death:
        place = self._mapper.mapping.topic, partition, record.offset
        return Death(letter.reason, letter.detail[:LONGEST_DETAIL], *place, record.timestamp)

    def _end_waiting(self, record: KafkaRecord, partition: int) -> list[Output]:
        return (
            [] if self._waiting is None else self._waiting.end((self._mapper.mapping.topic, partition, record.offset))
        )


def _letter(record: KafkaRecord, death: Death) -> Output:
    headers: Headers = wrap(record.headers, death)
    return Output(DEAD_LETTERS, record.value, record.key, headers=headers)


class SourceLinks(NamedTuple):
    """Parts of a source that its links need: `follow` reads on, and returns the outputs by which links end.

    `read_waiting` reads all of nps.unlinked, at each assignment.
    """

    links: Links
    waiting: WaitingRecords
    follow: Callable[[], list[Output]]
    read_waiting: Callable[[], Iterable[KafkaRecord]]


@dataclass(slots=True)
class _Batch:
    """Result of a batch while it is mapped: next offsets by partition, outcomes, records written by topic."""

    now_ms: int
    following: dict[tuple[str, int], int] = field(default_factory=dict)
    outcomes: Counter[str] = field(default_factory=Counter)
    written: Counter[str] = field(default_factory=Counter)
    blown: FuseBlown | None = None


class SourceProcess:
    """Member of a source's consumer group.  `run` maps until it is told to stop; for one thread."""

    def __init__(
        self,
        mapper: Mapper,
        codec: Codec,
        member: GroupMember,
        producer: Log,
        fuse: Fuse,
        now_ms: Callable[[], int],
        links: SourceLinks | None = None,
    ) -> None:
        self._name, self._topic = mapper.mapping.name, mapper.mapping.topic
        self._links = links
        self._writer = SourceWriter(mapper, codec, links and links.links, links and links.waiting)
        self._unrestored: set[tuple[str, int]] | None = None
        """Partitions that were assigned, until what waits of them is read back."""
        self._member = member
        self._producer = producer
        self._fuse = fuse
        self._now_ms = now_ms

    def run(self, stop: threading.Event) -> None:
        """Map until `stop` is set, then leave the group.

        Raises FuseBlown, Undelivered, ServerAway, or KafkaException when the consumer cannot go on.
        """
        consumer = self._member.consumer

        def assigned(_: Consumer, partitions: Sequence[TopicPartition]) -> None:
            self._unrestored = {(one.topic, one.partition) for one in partitions}
            self._member.joined()

        def revoked(_: Consumer, partitions: Sequence[TopicPartition]) -> None:
            self._unrestored = set()

        consumer.subscribe([self._topic], on_assign=assigned, on_revoke=revoked)
        try:
            while not stop.is_set():
                self._member.check()
                messages = consumer.consume(BATCH_RECORDS, POLL_S)
                self._read_waiting_back()
                if messages or self._links is not None:
                    self._handle(messages)
        finally:
            consumer.close()

    def _read_waiting_back(self) -> None:
        """Read back what waits of the partitions that were assigned since the last time."""
        if self._links is not None and self._unrestored is not None:
            records = self._links.read_waiting() if self._unrestored else ()
            self._links.waiting.restore(self._unrestored, records)
        self._unrestored = None

    def _handle(self, messages: Sequence[Message]) -> None:
        """Map a batch, make it durable, then commit it; when the fuse blows, what came before is written first.

        It is sent a piece at a time, so that Kafka takes one while the next is mapped.
        """
        batch = _Batch(self._now_ms())
        self._send(batch, [] if self._links is None else self._links.follow())
        for start in range(0, len(messages), PIECE_RECORDS):
            self._send(batch, self._outputs(batch, messages[start : start + PIECE_RECORDS]))
            if batch.blown is not None:
                break
        self._send(batch, self._writer.outputs_of_waiting(batch.now_ms))
        if batch.written:
            asyncio.run(self._producer.flush())
        for outcome, records in batch.outcomes.items():
            metrics.SOURCE_RECORDS.labels(self._name, outcome).inc(records)
        for topic, records in batch.written.items():
            metrics.RECORDS_OUT.labels(topic).inc(records)
        if batch.blown is not None:
            raise FuseBlown(f"source {self._name}: {batch.blown}")
        if (error := self._member.commit(batch.following)) is not None:
            log.warning("commit_failed source=%s: %s", self._name, error)

    def _send(self, batch: "_Batch", outputs: list[Output]) -> None:
        self._producer.send_all(outputs)
        batch.written.update(output.topic for output in outputs)

    def _outputs(self, batch: "_Batch", messages: Sequence[Message]) -> list[Output]:
        """Make the outputs of some messages, until the fuse blows, and note in the batch what became of them."""
        outputs: list[Output] = []
        for message in messages:
            if (error := message.error()) is not None:
                self._member.refuse(error, message.topic() or "")
                continue
            record, partition = record_of(message), message.partition() or 0
            made, mapped = self._writer.outputs_of(record, partition, batch.now_ms)
            outputs += made
            batch.following[self._topic, partition] = record.offset + 1
            try:
                batch.outcomes[self._judge(mapped)] += 1
            except FuseBlown as error:
                batch.blown = error
                break
        return outputs

    def _judge(self, mapped: Mapped) -> str:
        """Tell the fuse, and name the outcome.  Raises FuseBlown."""
        if mapped.letter is not None and mapped.letter.links and self._links is not None:
            return "waiting"
        if mapped.letter is not None:
            metrics.EVENTS_DEAD.labels(mapped.letter.reason).inc()
            self._fuse.bad()
            return "dead"
        self._fuse.good()
        return "mapped" if mapped.events or mapped.links else "ignored"
