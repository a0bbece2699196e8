"""Agent of the customers' side: merges the inbound topics of each partition and makes batch after batch durable."""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from time import monotonic_ns, perf_counter
from typing import TypeVar

from schemas.codec import Codec
from schemas.errors import FuseBlown
from schemas.events import PaneTally, Wakeup
from schemas.topics import COLLECTOR_HEADER, INBOUND, JOURNEYS, LETTER_HEADER, PANES, WAKEUPS
from streams import metrics
from streams.engine.fuse import Fuse
from streams.engine.guard import Stop, guard, stop_at_once
from streams.kafka.foreign import pass_over
from streams.kafka.ports import Batch, KafkaRecord, Log, Output, TopicPartition, has_header
from streams.processing.agent import Assignment, Feed
from streams.processing.behind import SourcesBehind, backlog_ms
from streams.processing.merge import BATCH_RECORDS, Merge, MergedBatch
from streams.processing.outputs import BatchOutputs
from streams.processing.partition import PartitionProcessor
from streams.state import lineage, progress
from streams.state.lineage import Lineage
from streams.state.progress import UNREAD

WAKEUPS_PER_S = 2_000
"""Wakeups a second of a worker: 10,000 surveys due at one moment after an outage leave within five seconds."""

BATCH_S = 0.5
"""Longest time to decide one batch, as far as the batch before can tell: others wait no longer for their turn."""

FEWEST_RECORDS = 50
"""Records that a batch may have however slow the batch before was."""

T = TypeVar("T")

MakeProcessor = Callable[[int, int], PartitionProcessor]
"""Makes the blank processor of a partition; the second number is the partition count of nps.panes."""


class AssignedPartition:
    """A partition that this worker owns: its merge, its processor, and the task that leads from one to the other."""

    def __init__(self, processor: PartitionProcessor, merge: Merge) -> None:
        self.processor = processor
        self.merge = merge
        self.behind = SourcesBehind()
        self.news = asyncio.Event()
        """Set when records came, or when a topic turned out to be caught up."""
        self.at_most = BATCH_RECORDS
        self.busy = False
        self.task: asyncio.Task[None] | None = None


class Journeys:
    """Agent that decides triggers and responses on the journeys of its partitions, and writes wakeups.

    `check_lease` raises when this process may no longer write; `now_ms` is the wall clock, `early_ms` how far ahead of
    it a Kafka timestamp may be.
    """

    topics: tuple[str, ...] = tuple(topic.name for topic in INBOUND)

    def __init__(
        self,
        log: Log,
        codec: Codec,
        fuse: Fuse,
        feed: Feed,
        check_lease: Callable[[], None],
        now_ms: Callable[[], int],
        make_processor: MakeProcessor,
        *,
        early_ms: int = 0,
        wakeups_per_s: int = WAKEUPS_PER_S,
        stop: Stop = stop_at_once,
    ) -> None:
        self.log = log
        self.codec = codec
        self.check_lease = check_lease
        self.make_processor = make_processor
        self._fuse = fuse
        self._feed = feed
        self._now_ms = now_ms
        self._early_ms = early_ms
        self._stop = stop
        self._assigned: dict[int, AssignedPartition] = {}
        self._finishing = False
        self._wakeups_per_s = wakeups_per_s
        self._wakeup_allowance = float(wakeups_per_s)
        self._allowance_at_ms = 0

    def restore(self, assignment: Assignment) -> "JourneysRestore":
        """Begin to read journeys and panes back."""
        return JourneysRestore(self, assignment)

    def assign(self, processor: PartitionProcessor) -> None:
        """Take over a partition whose tables and progress are restored."""
        number = processor.partition
        caught_up_ns = partial(self._caught_up_ns, number)
        self._finishing = False
        self._assigned[number] = AssignedPartition(processor, Merge(processor.progress, caught_up_ns, self._early_ms))

    def start(self) -> None:
        """Begin to process the assigned partitions, each in a task of its own."""
        for number, assigned in self._assigned.items():
            assigned.task = asyncio.create_task(self._run(number, assigned))

    @property
    def busy(self) -> bool:
        """True while a batch is in hand."""
        return any(assigned.busy for assigned in self._assigned.values())

    def wants(self, topic: str, partition: int) -> bool:
        """True while there is room for more records of this partition."""
        assigned = self._assigned.get(partition)
        return assigned is not None and assigned.merge.wants(topic)

    def receive(self, batch: Batch) -> None:
        """Add a batch to the merge of its partition."""
        assigned = self._assigned[batch.partition]
        assigned.merge.put(batch.topic, batch.records, monotonic_ns())
        assigned.news.set()

    def resume(self) -> None:
        """Look again at every partition: what a topic held up may go on."""
        for assigned in self._assigned.values():
            assigned.news.set()

    async def finish(self) -> None:
        """Finish the batches in hand and begin no more."""
        self._finishing = True
        self.resume()
        if tasks := [assigned.task for assigned in self._assigned.values() if assigned.task is not None]:
            await asyncio.wait(tasks)

    def revoke(self) -> None:
        """Drop all partitions, whose figures are other workers' now."""
        for number, assigned in self._assigned.items():
            if assigned.task is not None:
                assigned.task.cancel()
            for topic in self.topics:
                metrics.LAG_SECONDS.remove(topic, number)
            metrics.JOURNEYS.remove(number)
        self._assigned.clear()

    async def process_next(self, partition: int) -> bool:
        """Process the next batch of a partition until it is durable; False when there is none yet.

        Raises FuseBlown, Undelivered, LeaseLost, BadState, RegistryAway.
        """
        assigned = self._assigned[partition]
        batch = assigned.merge.take(self._now_ms(), assigned.at_most)
        if batch is None:
            return False
        assigned.behind.take(batch.records, self._now_ms())
        assigned.busy = True
        try:
            await self._process(assigned, batch)
        finally:
            assigned.busy = False
        return True

    async def _run(self, number: int, assigned: AssignedPartition) -> None:
        """Process batch after batch until the partition is to be given up."""
        while not self._finishing:
            assigned.news.clear()
            with guard(f"partition {number}", self._stop):
                if await self.process_next(number):
                    continue
                if assigned.merge.waiting:
                    self._feed.tell_when_empty()
            if not self._finishing:
                await assigned.news.wait()

    async def _process(self, assigned: AssignedPartition, batch: MergedBatch) -> None:
        processor, started = assigned.processor, perf_counter()
        processor.take_in_hand(batch, self.log, self.check_lease)
        in_hand = asyncio.ensure_future(self.log.flush())
        await asyncio.sleep(0)  # the flush begins, and goes on while the batch is decided
        for header in self.codec.unread(record.value for _, record in batch.records):
            await asyncio.to_thread(self.codec.learn, header)
        outputs = processor.decide(batch)
        self._count_bad_records(processor.partition, batch, outputs)
        decided = perf_counter()
        await in_hand
        await processor.make_durable(outputs, self.log, self.check_lease)
        durable = perf_counter()
        metrics.BATCH_SECONDS.observe(decided - started)
        metrics.FLUSH_SECONDS.observe(durable - decided)
        if batch.records:
            affordable = int(BATCH_S * len(batch.records) / (decided - started))
            assigned.at_most = max(FEWEST_RECORDS, min(BATCH_RECORDS, affordable))
        for topic, offset in zip(self.topics, outputs.progress.offsets, strict=True):
            if offset != UNREAD:
                self._feed.applied(topic, processor.partition, offset)
        self._update_metrics(assigned, batch, outputs)

    def tick(self) -> None:
        """Write a wakeup for each customer who is due, as far as all that came before is taken.

        That is known up to the moment at which a fetch of every topic was asked that found nothing; with a backlog, up
        to the time that the merge has reached.  At most `wakeups_per_s`, oldest first, an equal share for each
        partition; customers due in one second go together, and the surplus is taken off the next allowance.
        """
        now_ms = self._now_ms()
        if not self.busy:
            metrics.LAST_PROGRESS.set(now_ms / 1000)
        earned = self._wakeups_per_s * max(0, now_ms - self._allowance_at_ms) / 1000  # clocks are set back at times
        self._wakeup_allowance = min(self._wakeups_per_s, self._wakeup_allowance + earned)
        self._allowance_at_ms = now_ms
        share = max(1, int(self._wakeup_allowance) // max(1, len(self._assigned)))
        for partition, assigned in self._assigned.items():
            self._set_lag(partition, assigned.merge, now_ms)
            if self._wakeup_allowance < 1:
                return
            safe_ms = self._safe_ms(assigned, now_ms)
            due = assigned.processor.due(safe_ms, now_ms, share)
            self._wakeup_allowance -= len(due)
            self.log.send_all(
                Output(WAKEUPS.name, self.codec.encode(Wakeup(key.decode(), safe_ms)), key, partition, safe_ms)
                for key in due
            )
            assigned.merge.expect(WAKEUPS.name, len(due))
            metrics.WAKEUPS.inc(len(due))

    def _safe_ms(self, assigned: AssignedPartition, now_ms: int) -> int:
        """Time before which nothing that is not taken yet can have happened, as far as Kafka and sources knew it."""
        merge = assigned.merge
        if (complete_ns := merge.complete_ns()) >= 0:
            complete_ms = now_ms - (monotonic_ns() - complete_ns) // 1_000_000
            return assigned.behind.safe_ms(complete_ms, True, now_ms)
        waiting_ms = [at_ms for record in merge.heads() if (at_ms := backlog_ms(record)) is not None]
        safe_ms = min([merge.merged_ms(now_ms) if merge.is_heard else 0, now_ms, *waiting_ms])
        return assigned.behind.safe_ms(safe_ms, False, now_ms)

    def _caught_up_ns(self, partition: int, topic: str) -> int:
        return self._feed.caught_up_ns(topic, partition)

    def _set_lag(self, partition: int, merge: Merge, now_ms: int) -> None:
        for topic in self.topics:
            oldest_ms = merge.oldest_ms(topic)
            lag_ms = max(0, now_ms - oldest_ms) if oldest_ms is not None else 0
            metrics.LAG_SECONDS.labels(topic, partition).set(lag_ms / 1000)

    def _update_metrics(self, assigned: AssignedPartition, batch: MergedBatch, outputs: BatchOutputs) -> None:
        now_ms = self._now_ms()
        metrics.BATCH_RECORDS.observe(len(batch.records))
        metrics.JOURNEYS.labels(assigned.processor.partition).set(len(assigned.processor.journeys))
        metrics.LAST_PROGRESS.set(now_ms / 1000)
        for timestamp in outputs.alert_timestamps:
            metrics.ALERT_SECONDS.observe(max(0.0, (now_ms - timestamp) / 1000))
        for (metric, label), count in outputs.tally.items():
            metric.labels(label).inc(count)

    def _count_bad_records(self, partition: int, batch: MergedBatch, outputs: BatchOutputs) -> None:
        """Count good and bad records in the fuse, before anything of the batch is written.  Raises FuseBlown.

        What is bad of the collector's counts as neither: strangers sent it, so it tells nothing of any producer.  Nor
        does a dead letter that a person put back and that died again.
        """
        last_bad = -1
        for position, reject in outputs.bad:
            self._fuse.good(position - last_bad - 1)
            last_bad = position
            topic, record = batch.records[position]
            if has_header(record, COLLECTOR_HEADER) or has_header(record, LETTER_HEADER):
                continue
            try:
                self._fuse.bad()
            except FuseBlown as error:
                where = f"{topic} partition {partition} offset {record.offset}"
                # without its detail, which may name people
                raise FuseBlown(f"{error}; the last is at {where}: {reject.reason}") from None
        self._fuse.good(len(batch.records) - last_bad - 1)


class JourneysRestore:
    """Restore of the journeys, panes and progress of an assignment."""

    def __init__(self, journeys: Journeys, assignment: Assignment) -> None:
        count = assignment.segment_partitions
        self._journeys = journeys
        self._assignment = assignment
        self._processors = {number: journeys.make_processor(number, count) for number in assignment.partitions}
        self._lineages: dict[int, Lineage] = {}

    def take(self, topic: str, partition: int, record: KafkaRecord, pane: PaneTally | None) -> None:
        """Take a record of nps.journeys or nps.panes."""
        if topic == JOURNEYS:
            if record.key == lineage.KEY:
                self._take_lineage(partition, record)
            elif record.key == progress.KEY:
                self._take_progress(partition, record)
            elif not self._processors[partition].journeys.restore(record):
                pass_over(topic, partition, record.offset, "no journey")
        elif topic == PANES.name and pane is not None and pane.source_partition in self._processors:
            self._processors[pane.source_partition].panes.restore(pane, gone=record.value is None)

    def _take_lineage(self, partition: int, record: KafkaRecord) -> None:
        if (found := _decoded(partition, record, lineage.decode)) is not None:
            self._assignment.lineage.follow(found)
            self._lineages[partition] = found

    def _take_progress(self, partition: int, record: KafkaRecord) -> None:
        """Take the progress, unless it is that of topics which were made anew since."""
        processor, found = self._processors[partition], _decoded(partition, record, progress.decode)
        if found is not None and found.epoch == processor.progress.epoch:
            processor.progress = found

    def complete(self) -> None:
        """Set the timers."""
        for processor in self._processors.values():
            processor.restored()

    async def put_in_place(self) -> Mapping[TopicPartition, int]:
        """Assign the partitions, and write the lineage into the state where it is missing or differs."""
        journeys, present = self._journeys, self._assignment.lineage
        journeys.revoke()
        for processor in self._processors.values():
            journeys.assign(processor)
        outdated = [number for number in self._processors if self._lineages.get(number) != present]
        if outdated and present.topics:
            journeys.check_lease()
            value = lineage.encode(present)
            journeys.log.send_all(Output(JOURNEYS, value, lineage.KEY, number) for number in outdated)
            await journeys.log.flush()
        journeys.start()
        return {
            (topic, number): offset
            for number, processor in self._processors.items()
            for topic, offset in zip(journeys.topics, processor.progress.offsets, strict=True)
            if offset != UNREAD
        }


def _decoded(partition: int, record: KafkaRecord, decode: Callable[[bytes], T]) -> T | None:
    """Decode a record under one of our reserved keys; None for one that we did not write, which is passed over."""
    try:
        return decode(record.value or b"")
    except ValueError as error:
        pass_over(JOURNEYS, partition, record.offset, error)
        return None
