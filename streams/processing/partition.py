"""Processor of one partition: takes a merged batch through the pure step, then makes it durable in order.

    batch in hand ─► outputs ─► panes (absolute) ─► journeys, progress ─► the batch may be committed

Each arrow is a flush.  After a stop before any single write the same records are decided again as the same batch, at
the same wall clock: `streams.state.progress` says which.  An event at or below its journey's `applied_version` is then
skipped, for its outputs and counts were durable before its journey; every other is stepped again, to the same outputs
under the same ids; and a pane at or below whose `applied_version` the batch ends includes its counts already.

Whether a pane is gone is judged by the topics' times before the batch, which are durable with the batch before: so the
same answer counts under the same name again.  The panes that go with a batch are those that no record of it can change.
"""

from collections.abc import Callable, Sequence

from schemas.codec import Codec
from schemas.events import PaneTally
from schemas.records import new
from schemas.topics import HISTORY_HEADER, INBOUND_RECORDS, JOURNEYS, PANES, RESPONSES, pane_key
from streams import metrics
from streams.domain.effects import Count, Effect, Reject
from streams.domain.erasure import is_only_erased
from streams.domain.journey import is_blank, next_timer_ms, step
from streams.domain.links import Keys
from streams.domain.nps import Band, Tally
from streams.domain.panes import DAY_MS, MINUTE_MS, Pane, Resolution, panes, supplement
from streams.domain.policy import Program
from streams.intake import accept
from streams.kafka.partitioner import partition_of
from streams.kafka.ports import Log, Output, has_header
from streams.processing.merge import MergedBatch
from streams.processing.outputs import BatchOutputs, Cause, Counts, EffectEncoder, OutputEncoder
from streams.processing.raw_record import pack, raw_fields
from streams.state import progress
from streams.state.progress import Progress
from streams.state.tables import (
    BLANK,
    TOPIC_INDEX,
    UNCOUNTED,
    JourneyEntry,
    JourneyTable,
    PaneTable,
    PaneValue,
    decode,
    encode,
)
from streams.state.timers import Timers

EPOCH_SHIFT = 48
"""Bits of a version that hold the offset; the topic epoch stands above them."""

AGAIN_MS = 60_000
"""Time after which a customer who is due is woken again, should nothing have come of the wakeup before."""

CHUNK_RECORDS = 50
"""Records that go through one pass before the next: chunks keep each pass inside the CPU cache, 20 % less an answer."""

EXPIRED_AT_ONCE = 5_000
"""The most panes that go with one batch; the others go with the next."""

_BAND: dict[str, int] = {Band.PROMOTER: 0, Band.PASSIVE: 1, Band.DETRACTOR: 2}
_ABOVE_ALL = 1 << 62
"""A number above every time in ms."""


StoredJourneys = list[tuple[bytes, bytes | None]]
"""Key and value of the records that hold journeys."""

Stepped = tuple[Cause, Sequence[Effect]]
"""A record and the effects of its step."""


class PartitionProcessor:
    """Processor of one partition with its tables: `decide` changes nothing, `make_durable` writes, then updates them.

    `segment_partition` spreads segments over the partitions of nps.panes.  `keys` sign the links of surveys; None makes
    no links.  `partitions` is the count of each inbound topic: records whose key belongs elsewhere are moved there.
    `encoder` takes the effects; None makes records of them.  `skips_applied` leaves out what journeys and panes include
    already, as versions tell; a replay that takes each record once must not.
    """

    def __init__(
        self,
        partition: int,
        program: Program,
        codec: Codec,
        segment_partition: Callable[[str], int],
        epoch: int = 0,
        keys: Keys | None = None,
        partitions: int | None = None,
        encoder: EffectEncoder | None = None,
        skips_applied: bool = True,
    ) -> None:
        self.partition = partition
        self._skips_applied = skips_applied
        self._partitions = partitions
        self.journeys = JourneyTable()
        self.panes = PaneTable(partition)
        self.progress = Progress(epoch)
        self._surely_living_ms = min(program.pane_life_ms.values()) - DAY_MS
        """Age up to which an instant lies in no pane that is gone, whatever the resolution."""
        self._timers = Timers()
        self._announced = Timers()
        self._program = program
        self._codec = codec
        self._segment_partition = segment_partition
        self._epoch = epoch << EPOCH_SHIFT
        self._encoder = encoder or OutputEncoder(partition, codec, keys)

    def restored(self) -> None:
        """Set the timers from the tables, once they hold every record of their topics."""
        for key, due_ms in self.journeys.timers():
            self._timers.push(key, due_ms)

    def decide(self, batch: MergedBatch) -> BatchOutputs:
        """Decide the outputs of a batch.  Changes nothing.  Raises BadState, RegistryAway."""
        outputs = BatchOutputs(batch.progress)
        for start in range(0, len(batch.records), CHUNK_RECORDS):
            self._decide_chunk(batch, start, outputs)
        self._add_counts_to_panes(outputs)
        outputs.expired = self.expired_panes()
        outputs.count_published()
        return outputs

    def _decide_chunk(self, batch: MergedBatch, start: int, outputs: BatchOutputs) -> None:
        """Add the outputs of a chunk: steps first, then their effects, then the journeys they changed."""
        changed: dict[bytes, JourneyEntry] = {}
        living_from_ms = max(self.progress.times_ms) - self._surely_living_ms
        for cause, effects in self._step(batch, start, changed, outputs):
            for effect in effects:
                if isinstance(effect, Count):
                    _count(effect, supplement(cause.version) if effect.at_ms < living_from_ms else 0, outputs.counts)
                else:
                    self._encoder.add(effect, cause, outputs)
        for key, entry in changed.items():
            value, due_ms = self._journey_value(entry)
            if entry.journey.contact is not None:
                outputs.note_erased(key, is_only_erased(entry.journey))
            before = outputs.journeys.get(key)
            outputs.journeys[key] = value, due_ms, before[2] if before else entry.timer_ms

    def _step(
        self, batch: MergedBatch, start: int, changed: dict[bytes, JourneyEntry], outputs: BatchOutputs
    ) -> list[Stepped]:
        """Take each event into its customer's journey, unless that includes it already."""
        chunk, wall_ms = batch.records[start : start + CHUNK_RECORDS], batch.wall_ms
        epoch, program, decided = self._epoch, self._program, outputs.journeys
        codec, latest_ms, is_placeholder = self._codec, wall_ms + program.limits.early_ms, program.is_placeholder
        events = [accept(codec, INBOUND_RECORDS[topic], record, latest_ms, is_placeholder) for topic, record in chunk]
        steps: list[Stepped] = []
        accepted: list[str] = []
        for position, ((topic, record), event) in enumerate(zip(chunk, events, strict=True), start):
            version, index = epoch | record.offset, TOPIC_INDEX[topic]
            if is_response := topic == RESPONSES.name:
                outputs.last = version
            key = record.key or b""
            entry = changed.get(key) or (decode(decided[key][0]) if key in decided else self.journeys.get(key))
            if version <= entry.applied_version[index] and self._skips_applied:
                outputs.tally[metrics.EVENTS_SKIPPED, topic] += 1
                continue
            now_ms = record.timestamp if record.timestamp < wall_ms else wall_ms
            cause = Cause(topic, position, version, now_ms, record)
            if isinstance(event, Reject):
                steps.append((cause, [event]))
                continue
            # whoever is known here belongs here
            if entry is BLANK and self._partitions and (right := partition_of(key, self._partitions)) != self.partition:
                self._encoder.move(cause, right, outputs)
                continue
            accepted.append(topic)
            raw = pack(raw_fields(topic, self.partition, record)) if is_response else b""
            is_history = has_header(record, HISTORY_HEADER) if record.headers else False
            journey, effects = step(entry.journey, event, program, now_ms, raw, is_history)
            if journey is not entry.journey:
                applied_version = list(entry.applied_version)
                applied_version[index] = version
                changed[key] = new(JourneyEntry, (tuple(applied_version), entry.timer_ms, journey))
            steps.append((cause, effects))
        for topic in set(accepted):
            outputs.tally[metrics.EVENTS_IN, topic] += accepted.count(topic)
        return steps

    def take_in_hand(self, batch: MergedBatch, log: Log, check_lease: Callable[[], None]) -> None:
        """Write what the batch is, which must be durable before any of its outputs is written."""
        in_hand = self.progress._replace(in_hand=batch.progress.offsets, wall_ms=batch.wall_ms)
        check_lease()
        log.send_all([self._progress_record(in_hand)])

    async def make_durable(self, outputs: BatchOutputs, log: Log, check_lease: Callable[[], None]) -> None:
        """Write the outputs in the order that replay relies on, then update the tables.

        Call it once `take_in_hand` is durable.  `check_lease` raises when this process may no longer write; it is
        called before each stage.
        """
        await self._write(outputs.records, log, check_lease)
        pane_records = [self._pane_record(pane, value) for pane, value in outputs.panes.items()]
        await self._write([*pane_records, *map(self._tombstone, outputs.expired)], log, check_lease)
        number, stored = self.partition, self._stored(outputs)
        journey_records = [new(Output, (JOURNEYS, value, key, number, 0, ())) for key, value in stored]
        await self._write([*journey_records, self._progress_record(outputs.progress)], log, check_lease)
        self._apply(outputs, stored)

    def apply(self, outputs: BatchOutputs) -> None:
        """Update the tables alone, for a replay of inputs whose outputs nobody keeps."""
        self._apply(outputs, self._stored(outputs))

    def pane_rows(self, outputs: BatchOutputs) -> list[PaneTally]:
        """The panes that a batch changed, as they are after it."""
        return [self._row(pane, value) for pane, value in outputs.panes.items()]

    def _stored(self, outputs: BatchOutputs) -> StoredJourneys:
        return self.journeys.records([(key, value) for key, (value, _, _) in outputs.journeys.items()], outputs.erased)

    def _apply(self, outputs: BatchOutputs, stored: StoredJourneys) -> None:
        self.progress = outputs.progress
        for pane, pane_value in outputs.panes.items():
            self.panes.put(pane, pane_value)
        self.panes.forget(outputs.expired)
        for key, value in stored:
            self.journeys.put(key, value)
        for key, (_, due_ms, due_before_ms) in outputs.journeys.items():
            if due_ms is not None and due_ms != due_before_ms:
                self._timers.push(key, due_ms)

    def expired_panes(self) -> list[Pane]:
        """Panes that no answer after the batches made durable can change: the oldest, at most `EXPIRED_AT_ONCE`."""
        next_response = self.progress.offsets[TOPIC_INDEX[RESPONSES.name]]
        return self.panes.expired(
            self._living_from_ms(), supplement(self._epoch | max(0, next_response)), EXPIRED_AT_ONCE
        )

    def due(self, safe_ms: int, now_ms: int, at_most: int) -> list[bytes]:
        """Keys of customers who are due at `safe_ms`, oldest first.

        Each is returned again `AGAIN_MS` later by `now_ms`, the wall clock, unless something happened to its journey.
        """
        for key in self._announced.due(now_ms, at_most):
            if (due_ms := self.journeys.timer_ms(key)) is not None:
                self._timers.push(key, due_ms)
        due = [
            key for key in self._timers.due(safe_ms, at_most) if (self.journeys.timer_ms(key) or _ABOVE_ALL) <= safe_ms
        ]
        for key in due:
            self._announced.push(key, now_ms + AGAIN_MS)
        return due

    async def _write(self, outputs: Sequence[Output], log: Log, check_lease: Callable[[], None]) -> None:
        if outputs:
            check_lease()
            log.send_all(outputs)
            await log.flush()

    def _add_counts_to_panes(self, outputs: BatchOutputs) -> None:
        """Add the counts of the batch to the panes, except to those that include it already."""
        living_from_ms = self._living_from_ms()
        for (segments, minute, number), bands in outputs.counts.items():
            delta = Tally(*bands)
            for pane in panes(segments, minute * MINUTE_MS):
                if pane.start_ms < living_from_ms[pane.resolution]:
                    pane = pane._replace(supplement=number)
                durable = self.panes.get(pane)
                if durable.applied_version < outputs.last or not self._skips_applied:
                    tally = outputs.panes.get(pane, durable).tally.plus(delta)
                    outputs.panes[pane] = PaneValue(outputs.last, tally)

    def _living_from_ms(self) -> dict[Resolution, int]:
        """Start of the oldest panes that are not gone, of each resolution."""
        time_ms = max(self.progress.times_ms)
        return {resolution: time_ms - life_ms for resolution, life_ms in self._program.pane_life_ms.items()}

    def _journey_value(self, entry: JourneyEntry) -> tuple[bytes | None, int | None]:
        if is_blank(entry.journey):
            return None, None
        due_ms = next_timer_ms(entry.journey, self._program)
        return encode((entry.applied_version, due_ms, entry.journey)), due_ms

    def _progress_record(self, value: Progress) -> Output:
        return Output(JOURNEYS, progress.encode(value), progress.KEY, self.partition)

    def _pane_record(self, pane: Pane, value: PaneValue) -> Output:
        row = self._row(pane, value)
        return Output(PANES.name, self._codec.encode(row), pane_key(row), self._segment_partition(pane.segment))

    def _tombstone(self, pane: Pane) -> Output:
        key = pane_key(self._row(pane, UNCOUNTED))
        return Output(PANES.name, None, key, self._segment_partition(pane.segment))

    def _row(self, pane: Pane, value: PaneValue) -> PaneTally:
        segment, resolution, start_ms, number = pane
        tally, version = value.tally, value.applied_version
        return PaneTally(segment, resolution, start_ms, self.partition, *tally, self._program.hash, version, number)


def _count(count: Count, number: int, counts: Counts) -> None:
    segments, at_ms, band, sign = count
    cell = segments, at_ms // MINUTE_MS, number
    bands = counts.get(cell)
    if bands is None:
        bands = counts[cell] = [0, 0, 0]
    bands[_BAND[band]] += sign
