"""One partition of the customer's side: a batch of records goes through the pure step, then becomes durable in order.

    outputs ─flush─► panes (absolute) ─flush─► journeys ─flush─► the batch may be committed

Stopped before any single write and replayed, also cut into other batches, this counts every answer once: an event at
or below its journey's `applied_version` is skipped whole; otherwise it is stepped again, and a count at or below its
pane's `applied_version` is not applied again.  Only nps.responses counts, so panes need one version.
"""

from collections.abc import Callable, Sequence

from schemas.codec import Codec
from schemas.events import Inbound, PaneTally
from schemas.records import new
from schemas.topics import (
    EPOCH_HEADER,
    HISTORY_HEADER,
    INBOUND,
    INBOUND_RECORDS,
    JOURNEYS,
    PANES,
    RESPONSES,
    WAKEUPS,
    pane_key,
)  # fmt: skip
from streams.domain.effects import Count, Effect, Reject
from streams.domain.journey import advance, is_blank, step, wake_ms
from streams.domain.links import Keys
from streams.domain.nps import Band, Tally
from streams.domain.panes import MINUTE_MS, Pane, panes
from streams.domain.policy import Program
from streams.kafka.batch import FetchedRecord
from streams.kafka.ports import Headers, Log, Output
from streams.processing.intake import accept
from streams.processing.outputs import BatchOutputs, OutputEncoder
from streams.processing.raw_record import pack, raw_fields
from streams.state.recovery import CAUSES
from streams.state.tables import JourneyEntry, JourneyTable, PaneTable, PaneValue, decode, encode
from streams.state.timers import Timers

EPOCH_SHIFT = 48

PIECE_RECORDS = 50
"""What goes through one pass before the next: what it makes fits the processor's caches."""

_INDEX = {topic.name: index for index, topic in enumerate(INBOUND)}
_BAND: dict[str, int] = {Band.PROMOTER: 0, Band.PASSIVE: 1, Band.DETRACTOR: 2}
_ANY = 1 << 62

Step = tuple[int, int, Sequence[Effect]]
"""A record's place in its batch, its version, and what it leads to."""

Counts = dict[tuple[tuple[str, ...], int, int], list[int]]
"""What a batch adds to each band, by segments, minute, and the version if a replay may have counted it already."""


class PartitionProcessor:
    """The tables of one partition and the way of a batch through them.

    `replayed_to` is the version up to which answers may be in some panes already, -1 for none.
    `segment_partition` spreads segments over the partitions of nps.panes, `now_ms` is the wall clock, used only to
    refuse records that claim to come from the future.  `keys` sign the links of surveys; without them there are none.
    """

    def __init__(
        self,
        partition: int,
        program: Program,
        codec: Codec,
        segment_partition: Callable[[str], int],
        now_ms: Callable[[], int],
        epoch: int = 0,
        keys: Keys | None = None,
    ) -> None:
        self.partition = partition
        self.journeys = JourneyTable()
        self.panes = PaneTable(partition)
        self.replayed_to = -1
        self._timers = Timers()
        self._program = program
        self._codec = codec
        self._segment_partition = segment_partition
        self._now_ms = now_ms
        self._epoch = epoch << EPOCH_SHIFT
        self._encoder = OutputEncoder(partition, codec, keys)
        self.written_under: Headers = ((EPOCH_HEADER, str(epoch).encode()),) if epoch else ()
        """The headers of wakeups."""

    def restored(self) -> None:
        """The tables hold all that their topics held: find out who must be woken, and what may have been counted."""
        self.replayed_to = self.panes.high
        for key, due_ms in self.journeys.wakes():
            self._timers.push(key, due_ms)

    def version(self, offset: int) -> int:
        """The version of a source record: it rises with the offset, and with the epoch when a topic starts anew."""
        return self._epoch | offset

    def decide(self, topic: str, records: Sequence[FetchedRecord]) -> BatchOutputs:
        """Decide what a batch of one topic leads to.  Changes nothing.

        In pieces, and each in four passes: so the processor has at hand what a pass reads, and the code that does.
        """
        outputs = BatchOutputs(self.version(records[-1].offset), cause=CAUSES[topic])
        cls, latest_ms, codec = INBOUND_RECORDS[topic], self._now_ms() + self._program.limits.early_ms, self._codec
        counts: Counts = {}
        for start in range(0, len(records), PIECE_RECORDS):
            piece = records[start : start + PIECE_RECORDS]
            events = [accept(codec, cls, record, latest_ms) for record in piece]
            self._decide_batch(topic, start, piece, events, counts, outputs)
        self._fold(counts, outputs)
        outputs.count_published()
        return outputs

    def _decide_batch(
        self,
        topic: str,
        start: int,
        records: Sequence[FetchedRecord],
        events: Sequence[Inbound | Reject],
        counts: Counts,
        outputs: BatchOutputs,
    ) -> None:
        """Take a piece, which starts at this position of its batch, into the outputs."""
        changed: dict[bytes, JourneyEntry] = {}
        steps = self._step(topic, records, events, changed, outputs)
        for position, version, effects in steps:
            for effect in effects:
                if isinstance(effect, Count):
                    self._count(effect, version, counts)
                else:
                    self._encoder.add(effect, topic, start + position, version, records[position], outputs)
        for key, entry in changed.items():
            value, due_ms = self._journey_value(entry)
            before = outputs.journeys.get(key)
            outputs.journeys[key] = value, due_ms, before[2] if before else entry.wake_ms
        outputs.tally["in", topic] += sum(not isinstance(events[position], Reject) for position, _, _ in steps)

    def _step(
        self,
        topic: str,
        records: Sequence[FetchedRecord],
        events: Sequence[Inbound | Reject],
        changed: dict[bytes, JourneyEntry],
        outputs: BatchOutputs,
    ) -> list[Step]:
        """Take each event into its customer's journey, unless that includes it already."""
        index, epoch, program, earlier = _INDEX[topic], self._epoch, self._program, outputs.journeys
        steps: list[Step] = []
        responses = topic == RESPONSES.name
        # A wakeup of an earlier epoch was written when all was read; now all is read anew, and not in step with it.
        recount = self.written_under[0][1] if topic == WAKEUPS.name and self.written_under else b""
        for position, (record, event) in enumerate(zip(records, events, strict=True)):
            version = epoch | record.offset
            key = record.key or b""
            entry = changed.get(key) or (decode(earlier[key][0]) if key in earlier else self.journeys.get(key))
            if version <= entry.applied_version[index]:
                outputs.tally["skipped", topic] += 1
                continue
            if isinstance(event, Reject):
                steps.append((position, version, [event]))
                continue
            raw = pack(raw_fields(topic, self.partition, record)) if responses else b""
            if recount and _header(record, EPOCH_HEADER) != recount:
                journey, effects = advance(entry.journey, event.customer_id, program, record.timestamp)
            else:
                history = _header(record, HISTORY_HEADER) is not None if record.headers else False
                journey, effects = step(entry.journey, event, program, record.timestamp, raw, history)
            if journey is not entry.journey:
                applied_version = list(entry.applied_version)
                applied_version[index] = version
                changed[key] = new(JourneyEntry, (tuple(applied_version), entry.wake_ms, journey))
            steps.append((position, version, effects))
        return steps

    async def make_durable(self, outputs: BatchOutputs, log: Log, check_lease: Callable[[], None]) -> None:
        """Write the outputs in the order that replay relies on, then take it into the tables.

        `check_lease` raises when this process may no longer write; it is asked before each stage.
        """
        await self._write(outputs.records, log, check_lease)
        await self._write([self._pane_record(pane, value) for pane, value in outputs.panes.items()], log, check_lease)
        journeys, number = outputs.journeys.items(), self.partition
        written = [new(Output, (JOURNEYS, value, key, number, 0, ())) for key, (value, _, _) in journeys]
        await self._write(written, log, check_lease)
        for pane, pane_value in outputs.panes.items():
            self.panes.put(pane, pane_value)
        for key, (value, due_ms, due_before_ms) in journeys:
            if due_ms is not None and due_ms != due_before_ms:
                self._timers.push(key, due_ms)
            self.journeys.put(key, value)

    def due(self, now_ms: int, at_most: int) -> list[bytes]:
        """Customers whose time has come, oldest first.  Each is named once until its journey changes."""
        return [key for key in self._timers.due(now_ms, at_most) if (self.journeys.wake_ms(key) or _ANY) <= now_ms]

    async def _write(self, outputs: Sequence[Output], log: Log, check_lease: Callable[[], None]) -> None:
        if outputs:
            check_lease()
            log.send_all(outputs)
            await log.flush()

    def _count(self, count: Count, version: int, counts: Counts) -> None:
        segments, at_ms, band, sign = count
        cell = segments, at_ms // MINUTE_MS, version if version <= self.replayed_to else _ANY
        bands = counts.get(cell)
        if bands is None:
            bands = counts[cell] = [0, 0, 0]
        bands[_BAND[band]] += sign

    def _fold(self, counts: Counts, outputs: BatchOutputs) -> None:
        for (segments, minute, version), bands in counts.items():
            delta = Tally(*bands)
            for pane in panes(segments, minute * MINUTE_MS):
                durable = self.panes.get(pane)
                if version > durable.applied_version:
                    tally = outputs.panes.get(pane, durable).tally.plus(delta)
                    outputs.panes[pane] = PaneValue(outputs.last, tally)

    def _journey_value(self, entry: JourneyEntry) -> tuple[bytes | None, int | None]:
        if is_blank(entry.journey):
            return None, None
        due_ms = wake_ms(entry.journey, self._program)
        return encode((entry.applied_version, due_ms, entry.journey)), due_ms

    def _pane_record(self, pane: Pane, value: PaneValue) -> Output:
        row = PaneTally(*pane, self.partition, *value.tally, self._program.hash, value.applied_version)
        return Output(PANES.name, self._codec.encode(row), pane_key(row), self._segment_partition(pane.segment))


def _header(record: FetchedRecord, wanted: str) -> bytes | None:
    """A header's value, empty for one without; None where there is no such header."""
    for name, value in record.headers or ():
        if name == wanted:
            return value or b""
    return None
