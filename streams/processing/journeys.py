"""The agent of the customer's side: each batch goes through its partition's work and is durable before it is acked."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from time import perf_counter

from schemas.codec import Codec
from schemas.errors import FuseBlown
from schemas.events import Wakeup
from schemas.topics import RESPONSES, WAKEUPS
from streams import metrics
from streams.engine.fuse import Fuse
from streams.kafka.batch import Batch
from streams.kafka.ports import Log, Output
from streams.processing.outputs import BatchOutputs
from streams.processing.partition import PartitionProcessor
from streams.state.recovery import BatchInDoubt

QUIET_MS = 2_000
"""Wakeups wait until no old record has come for this long: what lies unread may change what is due."""

OLD_MS = 10_000
"""A record whose Kafka timestamp is older than this when it is read is history, or a backlog."""

WAKEUPS_PER_S = 2_000
"""How fast a backlog of surveys leaves after an outage: 10,000 due at one moment are out within five seconds."""


class AssignedPartition:
    """A partition that this worker owns."""

    def __init__(self, work: PartitionProcessor, replay: BatchInDoubt | None) -> None:
        self.work = work
        self.lock = asyncio.Lock()
        self.replay = replay
        """The topic that alone may be handed over for now, and the version up to which."""


class Journeys:
    """The partitions of the customer's side that this worker owns, and what it does with their batches."""

    def __init__(
        self,
        log: Log,
        codec: Codec,
        fuse: Fuse,
        check_lease: Callable[[], None],
        now_ms: Callable[[], int],
        wakeups_per_s: int = WAKEUPS_PER_S,
    ) -> None:
        self._log = log
        self._codec = codec
        self._fuse = fuse
        self._check_lease = check_lease
        self._now_ms = now_ms
        self._owned: dict[int, AssignedPartition] = {}
        self._old_in_hand = 0
        self._quiet_from_ms = 0
        self._wakeups_per_s = wakeups_per_s
        self._allowance = float(wakeups_per_s)
        self._allowed_ms = 0

    def assign(
        self, work: PartitionProcessor, unread: Callable[[str], range], in_doubt: BatchInDoubt | None = None
    ) -> None:
        """Take over a partition whose tables are restored.

        `unread` are the offsets of a topic that are there and not committed.  A worker that died may have written what
        a batch leads to and not its journeys; until that batch is replayed, as far as it is still there, nothing else
        may touch the partition, so that it is decided on the same journeys as the first time.  See `replaying`.  Which
        one it is `in_doubt` says; up to the highest version in the panes, it may be responses.
        """
        topic, version = in_doubt or (RESPONSES.name, work.replayed_to)
        if topic == RESPONSES.name:
            version = max(version, work.replayed_to)
        to = min(version, work.version(unread(topic).stop - 1))
        self._owned[work.partition] = AssignedPartition(
            work, (topic, to) if work.version(unread(topic).start) <= to else None
        )
        self._quiet_from_ms = self._now_ms() + QUIET_MS

    @property
    def replaying(self) -> Mapping[int, str]:
        """The partitions of which nothing but one topic may be handed over yet, and that topic."""
        return {number: owned.replay[0] for number, owned in self._owned.items() if owned.replay is not None}

    @property
    def busy(self) -> bool:
        """True while a batch is in hand."""
        return any(owned.lock.locked() for owned in self._owned.values())

    def revoke(self, partitions: Iterable[int]) -> None:
        """Forget partitions that were taken away."""
        for partition in partitions:
            self._owned.pop(partition, None)

    async def handle(self, batch: Batch) -> None:
        """Gather, decide, act; returns when the batch's effects are durable."""
        is_old = self._now_ms() - batch.records[0].timestamp > OLD_MS
        self._old_in_hand += is_old
        try:
            await self._decide_batch(batch)
        finally:
            self._old_in_hand -= is_old
            if is_old:
                self._quiet_from_ms = self._now_ms() + QUIET_MS

    async def _decide_batch(self, batch: Batch) -> None:
        owned = self._owned[batch.partition]
        if owned.replay is not None and batch.topic != owned.replay[0]:
            raise RuntimeError(f"{batch} came before {owned.replay[0]} of its partition was replayed")
        async with owned.lock:
            started = perf_counter()
            outputs = owned.work.decide(batch.topic, batch.records)
            self._trip(batch, outputs)
            decided = perf_counter()
            await owned.work.make_durable(outputs, self._log, self._check_lease)
            metrics.BATCH_SECONDS.observe(decided - started)
            metrics.FLUSH_SECONDS.observe(perf_counter() - decided)
        if owned.replay is not None and outputs.last >= owned.replay[1]:
            owned.replay = None
        self._note(batch, owned, outputs)

    def wake(self) -> None:
        """Write a wakeup for each customer who is due, where nothing unread may change what is due.

        At most `wakeups_per_s`, oldest first, each partition its share; customers due in one second go together, and
        what that is too many is waited for afterwards.
        """
        now_ms = self._now_ms()
        if self._old_in_hand or now_ms < self._quiet_from_ms:
            return
        earned = self._wakeups_per_s * (now_ms - self._allowed_ms) / 1000
        self._allowance, self._allowed_ms = min(self._wakeups_per_s, self._allowance + earned), now_ms
        share = max(1, int(self._allowance) // max(1, len(self._owned)))
        for partition, owned in self._owned.items():
            if self._allowance < 1:
                return
            for key in owned.work.due(now_ms, share):
                self._allowance -= 1
                value = self._codec.encode(Wakeup(key.decode(), now_ms))
                self._log.send_all([Output(WAKEUPS.name, value, key, partition, now_ms, owned.work.written_under)])
                metrics.WAKEUPS.inc()

    def _note(self, batch: Batch, owned: AssignedPartition, outputs: BatchOutputs) -> None:
        now_ms = self._now_ms()
        age_ms = now_ms - batch.records[-1].timestamp
        metrics.LAG_MS.labels(batch.topic, batch.partition).set(age_ms)
        metrics.BATCH_RECORDS.observe(len(batch.records))
        metrics.JOURNEYS.labels(batch.partition).set(len(owned.work.journeys))
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
