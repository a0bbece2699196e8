"""One partition of the customer's side: a block of records goes through the pure step, then becomes durable in order.

    outputs ─flush─► panes (absolute, as_of) ─flush─► journeys (as_of) ─flush─► the block may be committed

Stopped before any single write and replayed, also cut into other blocks, this counts every answer once: an event at
or below its journey's `as_of` is skipped whole; otherwise it is stepped again, and a count at or below its pane's
`as_of` is not applied again.  Only nps.responses counts, so panes need one version.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from schemas.codec import Codec
from schemas.events import Alert, Answer, Decision, Erasure, Inbound, PaneTally, SurveyDispatch
from schemas.topics import (
    ALERTS,
    ANSWERS,
    DECISIONS,
    DISPATCHES,
    EPOCH_HEADER,
    ERASURES,
    HISTORY_HEADER,
    INBOUND,
    INBOUND_RECORDS,
    JOURNEYS,
    PANES,
    RESPONSES,
    WAKEUPS,
    pane_key,
)  # fmt: skip
from streams.domain.effects import Confirm, Count, Effect, Ignore, Publication, Reject, Requeue, Scheduled
from streams.domain.journey import advance, is_blank, step, wake_ms
from streams.domain.nps import Band, Tally
from streams.domain.panes import MINUTE_MS, Pane, panes
from streams.domain.policy import Program
from streams.domain.reasons import FAULTS
from streams.domain.tokens import Keys, mint
from streams.doubt import CAUSES
from streams.engine.blocks import Record
from streams.engine.log import Headers, Log, Output
from streams.engine.tables import Entry, JourneyTable, PaneTable, PaneValue, encode
from streams.engine.wheel import Wheel
from streams.evidence import Evidence, buried, keep, put_back, recall, whole
from streams.intake import accept

EPOCH_SHIFT = 48
_INDEX = {topic.name: index for index, topic in enumerate(INBOUND)}
_BAND: dict[str, int] = {Band.PROMOTER: 0, Band.PASSIVE: 1, Band.DETRACTOR: 2}
_UNPUBLISHED = (Scheduled, Reject, Ignore, Requeue, Confirm)
_PUBLISHED_ON: dict[type[Publication], str] = {
    Decision: DECISIONS.name,
    SurveyDispatch: DISPATCHES.name,
    Answer: ANSWERS.name,
    Alert: ALERTS.name,
    Erasure: ERASURES.name,
}
_PUBLISHED = frozenset(_PUBLISHED_ON.values())
_ANY = 1 << 62

Step = tuple[int, int, Sequence[Effect]]
"""A record's place in its block, its version, and what it leads to."""

Counts = dict[tuple[tuple[str, ...], int, int], list[int]]
"""What a block adds to each band, by segments, minute, and the version if a replay may have counted it already."""


@dataclass(slots=True)
class Outcome:
    """What a block leads to, none of it durable yet."""

    last: int
    outputs: list[Output] = field(default_factory=list)
    panes: dict[Pane, PaneValue] = field(default_factory=dict)
    journeys: dict[bytes, Entry] = field(default_factory=dict)
    tally: Counter[tuple[str, str]] = field(default_factory=Counter)
    alert_timestamps: list[int] = field(default_factory=list)
    bad: list[tuple[int, Reject]] = field(default_factory=list)
    """Which of the block's records were rejected for what they are, by position: what the fuse counts."""
    cause: Headers = ()
    """What its outputs carry, so that their cause is known; see `streams.doubt`."""


class Work:
    """The tables of one partition and the way of a block through them.

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
        self._wheel = Wheel()
        self._program = program
        self._codec = codec
        self._segment_partition = segment_partition
        self._now_ms = now_ms
        self._epoch = epoch << EPOCH_SHIFT
        self._keys = keys
        self.written_under: Headers = ((EPOCH_HEADER, str(epoch).encode()),) if epoch else ()
        """The headers of wakeups."""

    def restored(self) -> None:
        """The tables hold all that their topics held: find out who must be woken, and what may have been counted."""
        self.replayed_to = self.panes.high
        for key, due_ms in self.journeys.wakes():
            self._wheel.push(key, due_ms)

    def version(self, offset: int) -> int:
        """The version of a source record: it rises with the offset, and with the epoch when a topic starts anew."""
        return self._epoch | offset

    def through(self, topic: str, records: Sequence[Record]) -> Outcome:
        """Decide what a block of one topic leads to.  Changes nothing.

        Three passes, each over the whole block, take two thirds of the time of one: each keeps to little code, which
        the processor then has at hand.
        """
        cls, latest_ms, codec = INBOUND_RECORDS[topic], self._now_ms() + self._program.limits.early_ms, self._codec
        outcome = Outcome(self.version(records[-1].offset), cause=CAUSES[topic])
        events = [accept(codec, cls, record, latest_ms) for record in records]
        steps = self._step(topic, records, events, outcome)
        counts: Counts = {}
        for position, version, effects in steps:
            record = records[position]
            for effect in effects:
                if isinstance(effect, Count):
                    self._count(effect, version, counts)
                elif isinstance(effect, _UNPUBLISHED):
                    self._act(effect, topic, record, outcome)
                    if isinstance(effect, Reject) and effect.reason in FAULTS:
                        outcome.bad.append((position, effect))
                else:
                    self._publish(effect, version, record, outcome)
        self._fold(counts, outcome)
        _tally(topic, sum(not isinstance(events[position], Reject) for position, _, _ in steps), outcome)
        return outcome

    def _step(
        self, topic: str, records: Sequence[Record], events: Sequence[Inbound | Reject], outcome: Outcome
    ) -> list[Step]:
        """Take each event into its customer's journey, unless that includes it already."""
        index, epoch, program, changed = _INDEX[topic], self._epoch, self._program, outcome.journeys
        steps: list[Step] = []
        responses = topic == RESPONSES.name
        # A wakeup of an earlier epoch was written when all was read; now all is read anew, and not in step with it.
        recount = self.written_under[0][1] if topic == WAKEUPS.name and self.written_under else b""
        for position, (record, event) in enumerate(zip(records, events, strict=True)):
            version = epoch | record.offset
            key = record.key or b""
            entry = changed.get(key) or self.journeys.get(key)
            if version <= entry.as_of[index]:
                outcome.tally["skipped", topic] += 1
                continue
            if isinstance(event, Reject):
                steps.append((position, version, [event]))
                continue
            evidence = keep(whole(topic, self.partition, record)) if responses else b""
            if recount and _header(record, EPOCH_HEADER) != recount:
                journey, effects = advance(entry.journey, event.customer_id, program, record.timestamp)
            else:
                history = bool(record.headers) and _header(record, HISTORY_HEADER) is not None
                journey, effects = step(entry.journey, event, program, record.timestamp, evidence, history)
            if journey is not entry.journey:
                as_of = (*entry.as_of[:index], version, *entry.as_of[index + 1 :])
                changed[key] = Entry(as_of, entry.wake_ms, journey)
            steps.append((position, version, effects))
        return steps

    async def make_durable(self, outcome: Outcome, log: Log, check_lease: Callable[[], None]) -> None:
        """Write the outcome in the order that replay relies on, then take it into the tables.

        `check_lease` raises when this process may no longer write; it is asked before each stage.
        """
        await self._write(outcome.outputs, log, check_lease)
        await self._write([self._pane_record(pane, value) for pane, value in outcome.panes.items()], log, check_lease)
        values = [(key, entry.wake_ms, *self._journey_value(entry)) for key, entry in outcome.journeys.items()]
        written = [Output(JOURNEYS, value, key, self.partition) for key, _, value, _ in values]
        await self._write(written, log, check_lease)
        for pane, pane_value in outcome.panes.items():
            self.panes.put(pane, pane_value)
        for key, due_before_ms, value, due_ms in values:
            if due_ms is not None and due_ms != due_before_ms:
                self._wheel.push(key, due_ms)
            self.journeys.put(key, value)

    def due(self, now_ms: int, at_most: int) -> list[bytes]:
        """Customers whose time has come, oldest first.  Each is named once until its journey changes."""
        return [key for key in self._wheel.due(now_ms, at_most) if (self.journeys.wake_ms(key) or _ANY) <= now_ms]

    async def _write(self, outputs: Sequence[Output], log: Log, check_lease: Callable[[], None]) -> None:
        if outputs:
            check_lease()
            log.send_all(outputs)
            await log.flush()

    def _publish(self, value: Publication, version: int, record: Record, outcome: Outcome) -> None:
        topic = _PUBLISHED_ON[type(value)]
        if self._keys is not None and isinstance(value, SurveyDispatch):
            value = value._replace(token=mint(self._keys, value.survey_id, value.customer_id, value.expires_ms))
        encoded = self._codec.encode(value, version)
        outcome.outputs.append(Output(topic, encoded, record.key, self.partition, 0, outcome.cause))
        if isinstance(value, Alert):
            outcome.alert_timestamps.append(record.timestamp)
        elif isinstance(value, Decision) and value.reason is not None:
            outcome.tally["suppressed", value.reason] += 1

    def _act(
        self, effect: Scheduled | Reject | Ignore | Requeue | Confirm, topic: str, record: Record, outcome: Outcome
    ) -> None:
        if isinstance(effect, Scheduled):
            self._publish(effect.decision, 0, record, outcome)
        elif isinstance(effect, Reject):
            held = effect.evidence
            evidence = recall(held) if held is not None else Evidence(*whole(topic, self.partition, record))
            outcome.outputs.append(buried(evidence, effect))
            outcome.tally["dead", effect.reason] += 1
        elif isinstance(effect, Ignore):
            outcome.tally["ignored", effect.reason] += 1
        elif isinstance(effect, Confirm):
            answer = self._codec.encode(effect.response)
            outcome.outputs.append(Output(RESPONSES.name, answer, record.key, self.partition, effect.at_ms))
            outcome.tally["confirmed", RESPONSES.name] += 1
        else:
            back = put_back(recall(effect.evidence))
            outcome.outputs.append(back)
            outcome.tally["requeued", back.topic] += 1

    def _count(self, count: Count, version: int, counts: Counts) -> None:
        segments, at_ms, band, sign = count
        cell = segments, at_ms // MINUTE_MS, version if version <= self.replayed_to else _ANY
        bands = counts.get(cell)
        if bands is None:
            bands = counts[cell] = [0, 0, 0]
        bands[_BAND[band]] += sign

    def _fold(self, counts: Counts, outcome: Outcome) -> None:
        for (segments, minute, version), bands in counts.items():
            delta = Tally(*bands)
            for pane in panes(segments, minute * MINUTE_MS):
                durable = self.panes.get(pane)
                if version > durable.as_of:
                    tally = outcome.panes.get(pane, durable).tally.plus(delta)
                    outcome.panes[pane] = PaneValue(outcome.last, tally)

    def _journey_value(self, entry: Entry) -> tuple[bytes | None, int | None]:
        if is_blank(entry.journey):
            return None, None
        due_ms = wake_ms(entry.journey, self._program)
        return encode(Entry(entry.as_of, due_ms, entry.journey)), due_ms

    def _pane_record(self, pane: Pane, value: PaneValue) -> Output:
        row = PaneTally(*pane, self.partition, *value.tally, self._program.hash, value.as_of)
        return Output(PANES.name, self._codec.encode(row), pane_key(row), self._segment_partition(pane.segment))


def _header(record: Record, wanted: str) -> bytes | None:
    """A header's value, empty for one without; None where there is no such header."""
    for name, value in record.headers or ():
        if name == wanted:
            return value or b""
    return None


def _tally(topic: str, stepped: int, outcome: Outcome) -> None:
    outcome.tally["in", topic] = stepped
    for name, count in Counter([out.topic for out in outcome.outputs]).items():
        if name in _PUBLISHED:
            outcome.tally["out", name] = count
