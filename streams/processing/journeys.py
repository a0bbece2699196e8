"""The agent of the customer's side: batches go through their partition's processor and are durable before the ack."""

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
"""Wakeups wait until no old record has come for this long: what lies unread may change what is due."""

OLD_MS = 10_000
"""A record whose Kafka timestamp is older than this when it is read is history, or a backlog."""

WAKEUPS_PER_S = 2_000
"""How fast a backlog of surveys leaves after an outage: 10,000 due at one moment are out within five seconds."""

MakeProcessor = Callable[[int, int], PartitionProcessor]
"""Makes the blank processor of a partition; the second number is how many partitions nps.panes has."""


class AssignedPartition:
    """A partition that this worker owns."""

    def __init__(self, processor: PartitionProcessor, replay: BatchInDoubt | None) -> None:
        self.processor = processor
        self.lock = asyncio.Lock()
        self.replay = replay
        """The topic that alone may be handed over for now, and the version up to which."""


class Journeys:
    """The partitions of the customer's side that this worker owns, and what it does with their batches.

    `check_lease` raises when this process may no longer write; `hold_back` is told which topics and partitions to hand
    over nothing of for now; `now_ms` is the wall clock.
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
        self._old_in_hand = 0
        self._quiet_from_ms = 0
        self._wakeups_per_s = wakeups_per_s
        self._allowance = float(wakeups_per_s)
        self._allowed_ms = 0

    def restore(self, assignment: Assignment) -> "JourneysRestore":
        """Begin to read journeys and panes back."""
        return JourneysRestore(self, assignment)

    def assign(
        self, processor: PartitionProcessor, unread: Callable[[str], range], in_doubt: BatchInDoubt | None = None
    ) -> None:
        """Take over a partition whose tables are restored.

        `unread` are the offsets of a topic that are there and not committed.  A worker that died may have written what
        a batch leads to and not its journeys; until that batch is replayed, as far as it is still there, only its topic
        may be handed over, so that it is decided on the same journeys as the first time.  See `replaying`.  Which one
        it is `in_doubt` says; up to the highest version in the panes, it may be responses.
        """
        topic, version = in_doubt or (RESPONSES.name, processor.replayed_to)
        if topic == RESPONSES.name:
            version = max(version, processor.replayed_to)
        to = min(version, processor.version(unread(topic).stop - 1))
        is_unread = processor.version(unread(topic).start) <= to
        self._assigned[processor.partition] = AssignedPartition(processor, (topic, to) if is_unread else None)
        self._quiet_from_ms = self._now_ms() + QUIET_MS
        self._hold_back_others()

    @property
    def replaying(self) -> Mapping[int, str]:
        """The partitions of which only one topic may be handed over yet, and that topic."""
        return {number: held.replay[0] for number, held in self._assigned.items() if held.replay is not None}

    @property
    def busy(self) -> bool:
        """True while a batch is in hand."""
        return any(assigned.lock.locked() for assigned in self._assigned.values())

    def revoke(self) -> None:
        """Forget all partitions."""
        self._assigned.clear()

    async def handle(self, batch: Batch) -> None:
        """Gather, decide, act: returns when its effects are durable.  Raises FuseBlown, Undelivered, LeaseLost."""
        is_old = self._now_ms() - batch.records[0].timestamp > OLD_MS
        self._old_in_hand += is_old
        try:
            await self._process(batch)
        finally:
            self._old_in_hand -= is_old
            if is_old:
                self._quiet_from_ms = self._now_ms() + QUIET_MS

    async def _process(self, batch: Batch) -> None:
        assigned = self._assigned[batch.partition]
        if assigned.replay is not None and batch.topic != assigned.replay[0]:
            raise RuntimeError(f"{batch} came before {assigned.replay[0]} of its partition was replayed")
        async with assigned.lock:
            started = perf_counter()
            outputs = assigned.processor.decide(batch.topic, batch.records)
            self._trip(batch, outputs)
            decided = perf_counter()
            await assigned.processor.make_durable(outputs, self.log, self.check_lease)
            metrics.BATCH_SECONDS.observe(decided - started)
            metrics.FLUSH_SECONDS.observe(perf_counter() - decided)
        if assigned.replay is not None and outputs.last >= assigned.replay[1]:
            assigned.replay = None
            self._hold_back_others()
        self._note(batch, assigned, outputs)

    def tick(self) -> None:
        """Write a wakeup for each customer who is due, where nothing unread may change what is due.

        At most `wakeups_per_s`, oldest first, each partition its share; customers due in one second go together, and
        what that is too many is waited for afterwards.
        """
        now_ms = self._now_ms()
        if not self.busy:
            metrics.LAST_PROGRESS.set(now_ms / 1000)
        if self._old_in_hand or now_ms < self._quiet_from_ms:
            return
        earned = self._wakeups_per_s * (now_ms - self._allowed_ms) / 1000
        self._allowance, self._allowed_ms = min(self._wakeups_per_s, self._allowance + earned), now_ms
        share = max(1, int(self._allowance) // max(1, len(self._assigned)))
        for partition, assigned in self._assigned.items():
            if self._allowance < 1:
                return
            for key in assigned.processor.due(now_ms, share):
                self._allowance -= 1
                value = self.codec.encode(Wakeup(key.decode(), now_ms))
                headers = assigned.processor.written_under
                self.log.send_all([Output(WAKEUPS.name, value, key, partition, now_ms, headers)])
                metrics.WAKEUPS.inc()

    def _hold_back_others(self) -> None:
        """Let only one topic in where it is still being replayed."""
        self._hold_back(
            (name, number) for number, first in self.replaying.items() for name in self.topics if name != first
        )

    def _note(self, batch: Batch, assigned: AssignedPartition, outputs: BatchOutputs) -> None:
        now_ms = self._now_ms()
        age_ms = now_ms - batch.records[-1].timestamp
        metrics.LAG_SECONDS.labels(batch.topic, batch.partition).set(age_ms / 1000)
        metrics.BATCH_RECORDS.observe(len(batch.records))
        metrics.JOURNEYS.labels(batch.partition).set(len(assigned.processor.journeys))
        metrics.LAST_PROGRESS.set(now_ms / 1000)
        for timestamp in outputs.alert_timestamps:
            metrics.ALERT_SECONDS.observe(max(0.0, (now_ms - timestamp) / 1000))
        for (kind, label), count in outputs.tally.items():
            metrics.TALLIES[kind].labels(label).inc(count)

    def _trip(self, batch: Batch, outputs: BatchOutputs) -> None:
        """Count bad records against the fuse; raises FuseBlown before anything of the batch is written."""
        before = -1
        for position, reject in outputs.bad:
            self._fuse.good(position - before - 1)
            before = position
            try:
                self._fuse.bad()
            except FuseBlown as blown:
                where = f"{batch.topic} partition {batch.partition} offset {batch.records[position].offset}"
                raise FuseBlown(f"{blown}; the last is at {where}: {reject.reason}, {reject.detail}") from None
        self._fuse.good(len(batch.records) - before - 1)


class JourneysRestore:
    """Journeys and panes of an assignment as their topics hold them, and the batch in doubt of each partition."""

    def __init__(self, journeys: Journeys, assignment: Assignment) -> None:
        count = assignment.segment_partitions
        self._journeys = journeys
        self._assignment = assignment
        self._processors = {number: journeys.make_processor(number, count) for number in assignment.partitions}
        tables = {number: processor.journeys for number, processor in self._processors.items()}
        self._recovery = Recovery(journeys.codec, tables)
        self._made_from: dict[int, Lineage] = {}

    def take(self, topic: str, partition: int, record: KafkaRecord, pane: PaneTally | None) -> None:
        """Take a record of nps.journeys or nps.panes into the tables, or one of the last outputs into the recovery."""
        if topic == JOURNEYS:
            if record.key == lineage.KEY:
                self._made_from[partition] = lineage.decode(record.value or b"")
                self._assignment.lineage.follow(self._made_from[partition])
            else:
                self._processors[partition].journeys.restore(record)
        elif topic != PANES.name:
            self._recovery.take(topic, partition, record)
        elif pane is not None and pane.source_partition in self._processors:
            self._processors[pane.source_partition].panes.restore(pane)

    def complete(self) -> None:
        """Find out who must be woken, and what may have been counted."""
        for processor in self._processors.values():
            processor.restored()

    async def put_in_place(self) -> None:
        """Assign the partitions, and say in the state what it is made from, where it does not say so yet."""
        journeys, (_, _, made_from, unread) = self._journeys, self._assignment
        journeys.revoke()
        for number, processor in self._processors.items():
            in_doubt = self._recovery.batch_in_doubt(number)
            journeys.assign(processor, partial(_unread, unread, number), in_doubt)
        unsigned = [number for number in self._processors if self._made_from.get(number) != made_from]
        if unsigned and made_from.topics:
            journeys.check_lease()
            value = lineage.encode(made_from)
            journeys.log.send_all(Output(JOURNEYS, value, lineage.KEY, number) for number in unsigned)
            await journeys.log.flush()


def _unread(unread: Callable[[str, int], range], partition: int, topic: str) -> range:
    return unread(topic, partition)
