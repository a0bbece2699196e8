"""The agent of the customer's side: each block goes through its partition's work and is durable before it is acked."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from time import perf_counter

from schemas.codec import Codec
from schemas.errors import FuseBlown
from schemas.events import Wakeup
from schemas.topics import RESPONSES, WAKEUPS
from streams import metrics
from streams.engine.fuse import Fuse
from streams.kafka.batch import Block
from streams.kafka.ports import Log, Output
from streams.processing.outputs import Outcome
from streams.processing.partition import Work
from streams.state.recovery import Doubt

QUIET_MS = 2_000
"""Wakeups wait until no old record has come for this long: what lies unread may change what is due."""

OLD_MS = 10_000
"""A record whose Kafka timestamp is older than this when it is read is history, or a backlog."""

WAKEUPS_PER_S = 2_000
"""How fast a backlog of surveys leaves after an outage: 10,000 due at one moment are out within five seconds."""


class Owned:
    """A partition that this worker owns."""

    def __init__(self, work: Work, replay: Doubt | None) -> None:
        self.work = work
        self.lock = asyncio.Lock()
        self.replay = replay
        """The topic that alone may be handed over for now, and the version up to which."""


class Journeys:
    """The partitions of the customer's side that this worker owns, and what it does with their blocks."""

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
        self._owned: dict[int, Owned] = {}
        self._old_in_hand = 0
        self._quiet_from_ms = 0
        self._wakeups_per_s = wakeups_per_s
        self._allowance = float(wakeups_per_s)
        self._allowed_ms = 0

    def own(self, work: Work, unread: Callable[[str], range], doubt: Doubt | None = None) -> None:
        """Take over a partition whose tables are restored.

        `unread` are the offsets of a topic that are there and not committed.  A worker that died may have written what
        a block leads to and not its journeys; until that block is replayed, as far as it is still there, nothing else
        may touch the partition, so that it is decided on the same journeys as the first time.  See `replaying`.  Which
        one it is `doubt` says; up to the highest version in the panes, it may be responses.
        """
        topic, version = doubt or (RESPONSES.name, work.replayed_to)
        if topic == RESPONSES.name:
            version = max(version, work.replayed_to)
        to = min(version, work.version(unread(topic).stop - 1))
        self._owned[work.partition] = Owned(work, (topic, to) if work.version(unread(topic).start) <= to else None)
        self._quiet_from_ms = self._now_ms() + QUIET_MS

    @property
    def replaying(self) -> Mapping[int, str]:
        """The partitions of which nothing but one topic may be handed over yet, and that topic."""
        return {number: owned.replay[0] for number, owned in self._owned.items() if owned.replay is not None}

    @property
    def busy(self) -> bool:
        """True while a block is in hand."""
        return any(owned.lock.locked() for owned in self._owned.values())

    def disown(self, partitions: Iterable[int]) -> None:
        """Forget partitions that were taken away."""
        for partition in partitions:
            self._owned.pop(partition, None)

    async def handle(self, block: Block) -> None:
        """Gather, decide, act; returns when the block's effects are durable."""
        is_old = self._now_ms() - block.records[0].timestamp > OLD_MS
        self._old_in_hand += is_old
        try:
            await self._through(block)
        finally:
            self._old_in_hand -= is_old
            if is_old:
                self._quiet_from_ms = self._now_ms() + QUIET_MS

    async def _through(self, block: Block) -> None:
        owned = self._owned[block.partition]
        if owned.replay is not None and block.topic != owned.replay[0]:
            raise RuntimeError(f"{block} came before {owned.replay[0]} of its partition was replayed")
        async with owned.lock:
            started = perf_counter()
            outcome = owned.work.through(block.topic, block.records)
            self._trip(block, outcome)
            decided = perf_counter()
            await owned.work.make_durable(outcome, self._log, self._check_lease)
            metrics.BLOCK_SECONDS.observe(decided - started)
            metrics.FLUSH_SECONDS.observe(perf_counter() - decided)
        if owned.replay is not None and outcome.last >= owned.replay[1]:
            owned.replay = None
        self._note(block, owned, outcome)

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

    def _note(self, block: Block, owned: Owned, outcome: Outcome) -> None:
        now_ms = self._now_ms()
        age_ms = now_ms - block.records[-1].timestamp
        metrics.LAG_MS.labels(block.topic, block.partition).set(age_ms)
        metrics.BLOCK_RECORDS.observe(len(block.records))
        metrics.JOURNEYS.labels(block.partition).set(len(owned.work.journeys))
        metrics.LAST_PROGRESS.set(now_ms / 1000)
        for timestamp in outcome.alert_timestamps:
            metrics.ALERT_SECONDS.observe(max(0.0, (now_ms - timestamp) / 1000))
        for (kind, label), count in outcome.tally.items():
            metrics.TALLIES[kind].labels(label).inc(count)

    def _trip(self, block: Block, outcome: Outcome) -> None:
        """Count bad records against the fuse; raises FuseBlown before anything of the block is written."""
        before = -1
        for position, reject in outcome.bad:
            self._fuse.good(position - before - 1)
            before = position
            try:
                self._fuse.bad()
            except FuseBlown as blown:
                where = f"{block.topic} partition {block.partition} offset {block.records[position].offset}"
                raise FuseBlown(f"{blown}; the last is at {where}: {reject.reason}, {reject.detail}") from None
        self._fuse.good(len(block.records) - before - 1)
