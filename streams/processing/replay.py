"""Replay of one partition's inbound topics: decided anew by the worker's own merge and processor, and nothing written.

What a worker wrote to the inbound topics itself, wakeups, responses that had waited and confirmed clicks, lies there
and is read as it is: the same program comes to the same outputs.  Another program would have written others: then
what is recorded of wakeups is left out, every customer is woken whenever something is due, and what the step puts back
is taken at once.

Memory: the journeys and panes of one partition, as a worker has them, and a few thousand records of each topic.
"""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice, takewhile
from typing import NamedTuple

from schemas.codec import Codec
from schemas.events import Alert, Answer, Decision, Erasure, PaneTally, SurveyDispatch, Wakeup
from schemas.topics import INBOUND, RESPONSES, WAKEUPS
from streams import metrics
from streams.domain.effects import Confirm, Publication, Requeue, Scheduled
from streams.domain.policy import Program
from streams.kafka.ports import FetchedRecord, KafkaRecord, Reader
from streams.processing.merge import BATCH_RECORDS, Merge, MergedBatch
from streams.processing.outputs import BatchOutputs, Cause, Unpublished, stored_version
from streams.processing.partition import PartitionProcessor
from streams.processing.raw_record import unpack
from streams.state.progress import UNREAD, Progress

WAKEUPS_AT_ONCE = 10_000
"""The most customers who are woken in one batch."""

MOST_TURNS = 20
"""Wakeups of a customer, each when something is due, before one at the time that is reached."""

TOPICS = tuple(topic.name for topic in INBOUND)

Inputs = Mapping[str, Iterator[KafkaRecord]]
"""Records of one partition of each inbound topic, in offset order."""


class ReplayedBatch(NamedTuple):
    """A batch decided anew: what would be published, with its versions, and the panes it changed.

    `records` counts those taken from the topics, `events` those of them that are valid and no wakeups.
    """

    records: int
    events: int
    publications: Sequence[Publication]
    panes: Sequence[PaneTally]


class ReplayTerms(NamedTuple):
    """Terms of a replay; `now_ms` is the wall clock.

    `partitions` is the count of each inbound topic, None where no record lies in a wrong partition.

    `recorded` takes wakeups and what was put back as they lie in the topics, which only the program that wrote them
    may; else everybody is woken in time, and at the end at `now_ms`.
    """

    program: Program
    codec: Codec
    partitions: int | None
    now_ms: int
    recorded: bool
    epoch: int = 0


def inputs_of(readers: Mapping[str, Reader], partition: int, ends: Sequence[int]) -> Inputs:
    """The records of a partition before these offsets, one for each inbound topic; UNREAD for all there are now.

    `readers` holds one reader a topic, which are read side by side.
    """
    return {
        topic: _before(end, readers[topic].read([(topic, partition)])) for topic, end in zip(TOPICS, ends, strict=True)
    }


def _before(end: int, records: Iterable[tuple[object, KafkaRecord]]) -> Iterator[KafkaRecord]:
    found = (record for _, record in records)
    return found if end == UNREAD else takewhile(lambda record: record.offset < end, found)


def replay(terms: ReplayTerms, partition: int, inputs: Inputs) -> Iterator[ReplayedBatch]:
    """Decide all inputs of a partition anew, batch after batch.  Raises RegistryAway, and as the readers do."""
    finished: set[str] = set()
    merge = Merge(
        Progress(terms.epoch), lambda topic: sys.maxsize if topic in finished else -1, terms.program.limits.early_ms
    )
    decider = _Recorded(terms, partition) if terms.recorded else _Awake(terms, partition)
    while True:
        for topic, records in inputs.items():
            while topic not in finished and merge.wants(topic):
                if chunk := list(islice(records, BATCH_RECORDS)):
                    merge.put(topic, chunk, 0)
                else:
                    finished.add(topic)
        batch = merge.take(terms.now_ms)
        if batch is None:
            break
        yield from decider.take(batch)
    yield from decider.end()


class _Collector:
    """Encoder that keeps publications as they are, and what the step puts back."""

    def __init__(self, codec: Codec) -> None:
        self.publications: list[Publication] = []
        self.again: list[KafkaRecord] = []
        self._codec = codec

    def add(self, effect: Publication | Unpublished, cause: Cause, outputs: BatchOutputs) -> None:
        value = effect.decision if isinstance(effect, Scheduled) else effect
        if isinstance(value, (Answer, Decision, SurveyDispatch, Alert, Erasure)):
            self.publications.append(value._replace(version=stored_version(value, cause.version)))
        elif isinstance(effect, Requeue):
            raw = unpack(effect.raw)
            self.again.append(KafkaRecord(0, raw.timestamp, raw.key, raw.value, tuple(raw.headers)))
        elif isinstance(effect, Confirm):
            answer = self._codec.encode(effect.response)
            self.again.append(KafkaRecord(0, effect.at_ms, cause.record.key, answer))

    def move(self, cause: Cause, partition: int, outputs: BatchOutputs) -> None:
        """Drop the record: moved by a worker, it lies in its own partition, too."""


class _Recorded:
    """Decides the batches of a partition as they lie there.

    Of one customer each record is decided, with what it puts back, before the next is taken; customers do not depend
    on each other.
    """

    def __init__(self, terms: ReplayTerms, partition: int) -> None:
        self._terms, self._own = terms, Codec()
        self._collector = _Collector(self._own)
        self._time_ms, self._last_response = 0, 0
        self._latest_ms = terms.now_ms + terms.program.limits.early_ms
        self._processor = PartitionProcessor(
            partition,
            terms.program,
            terms.codec,
            lambda segment: 0,
            terms.epoch,
            partitions=terms.partitions,
            encoder=self._collector,
            skips_applied=False,
        )

    def take(self, batch: MergedBatch) -> Iterator[ReplayedBatch]:
        """Decide a batch of the merge."""
        one_each: dict[bytes | None, tuple[str, FetchedRecord]] = {}
        for topic, record in filter(self._is_taken, batch.records):
            if self._time_ms < record.timestamp <= self._latest_ms:
                self._time_ms = record.timestamp
            if record.key in one_each or self._is_due(record.key):
                yield from self._decide_all(list(one_each.values()))
                one_each.clear()
                yield from self._wake(record.key or b"")
            one_each[record.key] = topic, record
        yield from self._decide_all(list(one_each.values()))
        self._processor.progress = batch.progress

    def end(self) -> Iterator[ReplayedBatch]:
        """Decide what is due once everything is taken."""
        yield from self._settle(self._terms.now_ms)

    def _is_taken(self, told: tuple[str, FetchedRecord]) -> bool:
        return True

    def _is_due(self, key: bytes | None) -> bool:
        """True when a customer must be woken before the record in hand."""
        return False

    def _wake(self, key: bytes) -> Iterator[ReplayedBatch]:
        """Wake a customer for all that is due before the record in hand."""
        return iter(())

    def _decide_all(self, told: list[tuple[str, FetchedRecord]]) -> Iterator[ReplayedBatch]:
        if told:
            yield self._decide(told, len(told))
        yield from self._settle(self._time_ms - 1)

    def _settle(self, safe_ms: int) -> Iterator[ReplayedBatch]:
        """Decide what the step put back, and what is due at `safe_ms`, until nothing is left."""
        turns = 0
        while records := self._again() or self._due(safe_ms, turns):
            yield self._decide(records, 0)
            turns += 1

    def _again(self) -> list[tuple[str, FetchedRecord]]:
        """Records that the step put back, and whose copies in the topic were taken too early: they waited twice."""
        again, self._collector.again = self._collector.again, []
        twice = [record for record, count in Counter(again).items() if count > 1]
        return [(RESPONSES.name, record._replace(offset=self._last_response)) for record in twice]

    def _due(self, safe_ms: int, turns: int) -> list[tuple[str, FetchedRecord]]:
        """Wakeups that lie in no topic; `turns` is how often somebody was woken for this `safe_ms`."""
        return []

    def _decide(self, told: list[tuple[str, FetchedRecord]], count: int) -> ReplayedBatch:
        codec = self._terms.codec
        for header in codec.unread(record.value for _, record in told):
            codec.learn(header)
        self._last_response = max(
            [self._last_response, *(one.offset for topic, one in told if topic == RESPONSES.name)]
        )
        outputs = self._processor.decide(MergedBatch(told, self._terms.now_ms, self._processor.progress))
        panes = self._processor.pane_rows(outputs)
        self._processor.apply(outputs)
        publications, self._collector.publications = self._collector.publications, []
        accepted = [(topic, number) for (metric, topic), number in outputs.tally.items() if metric is metrics.EVENTS_IN]
        events = sum(number for topic, number in accepted if topic != WAKEUPS.name)
        return ReplayedBatch(count, events, publications, panes)


class _Awake(_Recorded):
    """Decides the batches of a partition as if a worker had lived at every moment, under the program of the replay."""

    def _is_taken(self, told: tuple[str, FetchedRecord]) -> bool:
        return told[0] != WAKEUPS.name

    def _is_due(self, key: bytes | None) -> bool:
        due_ms = self._processor.journeys.timer_ms(key or b"")
        return due_ms is not None and due_ms < self._time_ms

    def _wake(self, key: bytes) -> Iterator[ReplayedBatch]:
        for turns in range(MOST_TURNS + 1):
            if not self._is_due(key):
                return
            yield self._decide([(WAKEUPS.name, self._wakeup(key, self._time_ms - 1, turns))], 0)
            while again := self._again():
                yield self._decide(again, 0)

    def _again(self) -> list[tuple[str, FetchedRecord]]:
        again, self._collector.again = self._collector.again, []
        return [(RESPONSES.name, record._replace(offset=self._last_response)) for record in again]

    def _due(self, safe_ms: int, turns: int) -> list[tuple[str, FetchedRecord]]:
        keys = self._processor.due(safe_ms, safe_ms, WAKEUPS_AT_ONCE)
        return [(WAKEUPS.name, self._wakeup(key, safe_ms, turns)) for key in keys]

    def _wakeup(self, key: bytes, safe_ms: int, turns: int) -> KafkaRecord:
        """A wakeup of a customer when something is due; after many, of what is put off to the same time, at once."""
        due_ms = self._processor.journeys.timer_ms(key)
        at_ms = safe_ms if due_ms is None or turns >= MOST_TURNS else due_ms
        return KafkaRecord(0, at_ms, key, self._own.encode(Wakeup(key.decode(), at_ms)))
