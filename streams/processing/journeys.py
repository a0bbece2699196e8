"""Agent of the customers' side: processes batches by partition and makes them durable before they are committed."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from time import perf_counter

from schemas.codec import Codec
from schemas.errors import FuseBlown
from schemas.events import PaneTally, Wakeup
from schemas.topics import INBOUND, JOURNEYS, PANES, RESPONSES, WAKEUPS
from streams import metrics
from streams.engine.fuse import Fuse
from streams.kafka.ports import Batch, KafkaRecord, Log, Output
from streams.processing.agent import Assignment
from streams.processing.outputs import BatchOutputs
from streams.processing.partition import PartitionProcessor
from streams.state import lineage
from streams.state.lineage import Lineage
from streams.state.recovery import BatchInDoubt, Recovery

QUIET_MS = 2_000
"""Time without old records before wakeups are written: what lies unread may change what is due."""

OLD_MS = 10_000
"""Age by Kafka timestamp from which a record that is read counts as old: history, or a backlog."""

WAKEUPS_PER_S = 2_000
"""Wakeups a second of a worker: 10,000 surveys due at one moment after an outage leave within five seconds."""

MakeProcessor = Callable[[int, int], PartitionProcessor]
"""Makes the blank processor of a partition; the second number is the partition count of nps.panes."""


class AssignedPartition:
    """A partition that this worker owns, with the batch in doubt while that is still to be replayed."""

    def __init__(self, processor: PartitionProcessor, replay: BatchInDoubt | None) -> None:
        self.processor = processor
        self.lock = asyncio.Lock()
        self.replay = replay
        """(topic, version): until `version` is replayed, only this topic of the partition is processed; None after."""


class Journeys:
    """Agent that decides triggers and responses on the journeys of its partitions, and writes wakeups.

    `check_lease` raises when this process may no longer write; `hold_back` gets the topic partitions whose batches must
    not be handed over for now, and replaces those of the call before; `now_ms` is the wall clock.
    """

    topics: tuple[str, ...] = tuple(topic.name for topic in INBOUND)

    def __init__(
        self,
        log: Log,
        codec: Codec,
        fuse: Fuse,
        check_lease: Callable[[], None],
        now_ms: Callable[[], int],
        make_processor: MakeProcessor,
        *,
        hold_back: Callable[[Iterable[tuple[str, int]]], None] = lambda partitions: None,
        wakeups_per_s: int = WAKEUPS_PER_S,
    ) -> None:
        self.log = log
        self.codec = codec
        self.check_lease = check_lease
        self.make_processor = make_processor
        self._fuse = fuse
        self._now_ms = now_ms
        self._hold_back = hold_back
        self._assigned: dict[int, AssignedPartition] = {}
        self._old_batches = 0
        self._wakeups_from_ms = 0
        self._wakeups_per_s = wakeups_per_s
        self._wakeup_allowance = float(wakeups_per_s)
        self._allowance_at_ms = 0

    def restore(self, assignment: Assignment) -> "JourneysRestore":
        """Begin to read journeys and panes back."""
        return JourneysRestore(self, assignment)

    def assign(
        self, processor: PartitionProcessor, unread: Callable[[str], range], in_doubt: BatchInDoubt | None = None
    ) -> None:
        """Take over a partition whose tables are restored.

        `unread` returns the offsets of a topic that are there and not committed.  `in_doubt` is the batch whose outputs
        were flushed but whose journeys may not have been; without one, responses up to the highest version in the panes
        may be.  Until that version is replayed, as far as its records are still unread, only its topic is processed, so
        that the batch is decided on the same journeys as the first time.  See `replaying`.
        """
        topic, version = in_doubt or (RESPONSES.name, processor.replayed_to)
        if topic == RESPONSES.name:
            version = max(version, processor.replayed_to)
        replay_to = min(version, processor.version(unread(topic).stop - 1))
        is_unread = processor.version(unread(topic).start) <= replay_to
        self._assigned[processor.partition] = AssignedPartition(processor, (topic, replay_to) if is_unread else None)
        self._wakeups_from_ms = self._now_ms() + QUIET_MS
        self._hold_back_others()

    @property
    def replaying(self) -> Mapping[int, str]:
        """Partitions of which only one topic is processed until its batch in doubt is replayed, with that topic."""
        assigned = self._assigned.items()
        return {number: partition.replay[0] for number, partition in assigned if partition.replay is not None}

    @property
    def busy(self) -> bool:
        """True while a batch is in hand."""
        return any(assigned.lock.locked() for assigned in self._assigned.values())

    def revoke(self) -> None:
        """Drop all partitions."""
        self._assigned.clear()

    async def handle(self, batch: Batch) -> None:
        """Process one batch; returns when its effects are durable.  Raises FuseBlown, Undelivered, LeaseLost."""
        is_old = self._now_ms() - batch.records[0].timestamp > OLD_MS
        self._old_batches += is_old
        try:
            await self._process(batch)
        finally:
            self._old_batches -= is_old
            if is_old:
                self._wakeups_from_ms = self._now_ms() + QUIET_MS

    async def _process(self, batch: Batch) -> None:
        assigned = self._assigned[batch.partition]
        if assigned.replay is not None and batch.topic != assigned.replay[0]:
            raise RuntimeError(f"{batch} came before {assigned.replay[0]} of its partition was replayed")
        async with assigned.lock:
            started = perf_counter()
            outputs = assigned.processor.decide(batch.topic, batch.records)
            self._count_bad_records(batch, outputs)
            decided = perf_counter()
            await assigned.processor.make_durable(outputs, self.log, self.check_lease)
            metrics.BATCH_SECONDS.observe(decided - started)
            metrics.FLUSH_SECONDS.observe(perf_counter() - decided)
        if assigned.replay is not None and outputs.last >= assigned.replay[1]:
            assigned.replay = None
            self._hold_back_others()
        self._update_metrics(batch, assigned, outputs)

    def tick(self) -> None:
        """Write a wakeup for each customer who is due, where nothing unread may change what is due.

        At most `wakeups_per_s`, oldest first, an equal share for each partition; customers due in one second go
        together, and the surplus is taken off the next allowance.
        """
        now_ms = self._now_ms()
        if not self.busy:
            metrics.LAST_PROGRESS.set(now_ms / 1000)
        if self._old_batches or now_ms < self._wakeups_from_ms:
            return
        earned = self._wakeups_per_s * (now_ms - self._allowance_at_ms) / 1000
        self._wakeup_allowance = min(self._wakeups_per_s, self._wakeup_allowance + earned)
        self._allowance_at_ms = now_ms
        share = max(1, int(self._wakeup_allowance) // max(1, len(self._assigned)))
        for partition, assigned in self._assigned.items():
            if self._wakeup_allowance < 1:
                return
            for key in assigned.processor.due(now_ms, share):
                self._wakeup_allowance -= 1
                value = self.codec.encode(Wakeup(key.decode(), now_ms))
                headers = assigned.processor.wakeup_headers
                self.log.send_all([Output(WAKEUPS.name, value, key, partition, now_ms, headers)])
                metrics.WAKEUPS.inc()

    def _hold_back_others(self) -> None:
        """Hold back all other topics of the partitions whose batch in doubt is still to be replayed."""
        self._hold_back(
            (other, number) for number, topic in self.replaying.items() for other in self.topics if other != topic
        )

    def _update_metrics(self, batch: Batch, assigned: AssignedPartition, outputs: BatchOutputs) -> None:
        now_ms = self._now_ms()
        age_ms = now_ms - batch.records[-1].timestamp
        metrics.LAG_SECONDS.labels(batch.topic, batch.partition).set(age_ms / 1000)
        metrics.BATCH_RECORDS.observe(len(batch.records))
        metrics.JOURNEYS.labels(batch.partition).set(len(assigned.processor.journeys))
        metrics.LAST_PROGRESS.set(now_ms / 1000)
        for timestamp in outputs.alert_timestamps:
            metrics.ALERT_SECONDS.observe(max(0.0, (now_ms - timestamp) / 1000))
        for (metric, label), count in outputs.tally.items():
            metric.labels(label).inc(count)

    def _count_bad_records(self, batch: Batch, outputs: BatchOutputs) -> None:
        """Count good and bad records in the fuse, before anything of the batch is written.  Raises FuseBlown."""
        last_bad = -1
        for position, reject in outputs.bad:
            self._fuse.good(position - last_bad - 1)
            last_bad = position
            try:
                self._fuse.bad()
            except FuseBlown as error:
                where = f"{batch.topic} partition {batch.partition} offset {batch.records[position].offset}"
                raise FuseBlown(f"{error}; the last is at {where}: {reject.reason}, {reject.detail}") from None
        self._fuse.good(len(batch.records) - last_bad - 1)


class JourneysRestore:
    """Restore of the journeys and panes of an assignment, and of the batch in doubt of each partition."""

    def __init__(self, journeys: Journeys, assignment: Assignment) -> None:
        count = assignment.segment_partitions
        self._journeys = journeys
        self._assignment = assignment
        self._processors = {number: journeys.make_processor(number, count) for number in assignment.partitions}
        tables = {number: processor.journeys for number, processor in self._processors.items()}
        self._recovery = Recovery(journeys.codec, tables)
        self._lineages: dict[int, Lineage] = {}

    def take(self, topic: str, partition: int, record: KafkaRecord, pane: PaneTally | None) -> None:
        """Take a record of nps.journeys or nps.panes into the tables, or one of the last outputs into the recovery."""
        if topic == JOURNEYS:
            if record.key == lineage.KEY:
                self._lineages[partition] = lineage.decode(record.value or b"")
                self._assignment.lineage.follow(self._lineages[partition])
            else:
                self._processors[partition].journeys.restore(record)
        elif topic != PANES.name:
            self._recovery.take(topic, partition, record)
        elif pane is not None and pane.source_partition in self._processors:
            self._processors[pane.source_partition].panes.restore(pane, gone=record.value is None)

    def complete(self) -> None:
        """Set the timers, and the version up to which answers may be counted already."""
        for processor in self._processors.values():
            processor.restored()

    async def put_in_place(self) -> None:
        """Assign the partitions, and write the lineage into the state where it is missing or differs."""
        journeys, (_, _, present, unread) = self._journeys, self._assignment
        journeys.revoke()
        for number, processor in self._processors.items():
            in_doubt = self._recovery.batch_in_doubt(number)
            journeys.assign(processor, partial(_unread_offsets, unread, number), in_doubt)
        outdated = [number for number in self._processors if self._lineages.get(number) != present]
        if outdated and present.topics:
            journeys.check_lease()
            value = lineage.encode(present)
            journeys.log.send_all(Output(JOURNEYS, value, lineage.KEY, number) for number in outdated)
            await journeys.log.flush()


def _unread_offsets(unread: Callable[[str, int], range], partition: int, topic: str) -> range:
    return unread(topic, partition)
