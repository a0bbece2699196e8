"""Outputs of a batch, and the encoder that turns effects into records; counts become panes, not records."""

from collections import Counter
from dataclasses import dataclass, field

from schemas.codec import Codec
from schemas.events import Alert, Answer, Decision, Erasure, SurveyDispatch
from schemas.reasons import FAULTS
from schemas.records import new
from schemas.topics import ALERTS, ANSWERS, DECISIONS, DISPATCHES, ERASURES, RESPONSES
from streams import metrics
from streams.domain.effects import Confirm, Ignore, Publication, Reject, Requeue, Scheduled
from streams.domain.links import Keys, mint
from streams.domain.panes import Pane
from streams.kafka.ports import FetchedRecord, Headers, Output
from streams.processing.raw_record import RawRecord, dead_letter, raw_fields, requeued, unpack
from streams.state.tables import PaneValue

Unpublished = Scheduled | Reject | Ignore | Requeue | Confirm
_PUBLISHED_ON: dict[type[Publication], str] = {
    Decision: DECISIONS.name,
    SurveyDispatch: DISPATCHES.name,
    Answer: ANSWERS.name,
    Alert: ALERTS.name,
    Erasure: ERASURES.name,
}
_PUBLISHED = frozenset(_PUBLISHED_ON.values())

JourneyChange = tuple[bytes | None, int | None, int | None]
"""A journey's new value, None to remove it; its timer in ms, and its timer before the batch, None for no timer."""

Counts = dict[tuple[tuple[str, ...], int, int, int], list[int]]
"""Additions to the three bands, by segments, minute, supplement of the minute's pane if that is gone, and version where
a replay may have counted it already.
"""


@dataclass(slots=True)
class Cause:
    """The record that causes effects: its topic, its position in the batch, and its version."""

    topic: str
    position: int
    version: int
    record: FetchedRecord


@dataclass(slots=True)
class BatchOutputs:
    """Outputs of a batch, not durable yet: records, panes and journeys, with the figures for metrics.

    `last` is the version of the batch's last record; `headers` go on every output record and name the topic that caused
    it (see `streams.state.recovery`).  `expired` are the panes that go.  `time_ms` is the partition's own time after
    the batch, `counted_to` the version up to which all answers are then counted.
    """

    last: int
    headers: Headers = ()
    records: list[Output] = field(default_factory=list)
    panes: dict[Pane, PaneValue] = field(default_factory=dict)
    expired: list[Pane] = field(default_factory=list)
    time_ms: int | None = None
    counted_to: int = -1
    journeys: dict[bytes, JourneyChange] = field(default_factory=dict)
    counts: Counts = field(default_factory=dict)
    tally: Counter[tuple[metrics.Labelled, str]] = field(default_factory=Counter)
    alert_timestamps: list[int] = field(default_factory=list)
    bad: list[tuple[int, Reject]] = field(default_factory=list)
    """Rejects that are faults of the record, with its position in the batch: the fuse counts them."""

    def count_published(self) -> None:
        """Tally the published records by topic."""
        for name, count in Counter([out.topic for out in self.records]).items():
            if name in _PUBLISHED:
                self.tally[metrics.RECORDS_OUT, name] = count


class OutputEncoder:
    """Encoder of effects as records of one partition.  `keys` sign the links of surveys; None makes no links."""

    def __init__(self, partition: int, codec: Codec, keys: Keys | None) -> None:
        self._partition = partition
        self._codec = codec
        self._keys = keys

    def add(self, effect: Publication | Unpublished, cause: Cause, outputs: BatchOutputs) -> None:
        """Add the record of an effect, or the figure that it changes, to the outputs of its batch."""
        if isinstance(effect, (Answer, Decision, SurveyDispatch, Alert, Erasure)):
            self._publish(effect, cause.version, cause.record, outputs)
            return
        self._add_unpublished(effect, cause, outputs)
        if isinstance(effect, Reject) and effect.reason in FAULTS:
            outputs.bad.append((cause.position, effect))

    def _publish(self, value: Publication, version: int, record: FetchedRecord, outputs: BatchOutputs) -> None:
        topic = _PUBLISHED_ON[type(value)]
        if self._keys is not None and isinstance(value, SurveyDispatch):
            value = value._replace(token=mint(self._keys, value.survey_id, value.customer_id, value.expires_ms))
        encoded = self._codec.encode(value, version)
        outputs.records.append(new(Output, (topic, encoded, record.key, self._partition, 0, outputs.headers)))
        if isinstance(value, Alert):
            outputs.alert_timestamps.append(record.timestamp)
        elif isinstance(value, Decision) and value.reason is not None:
            outputs.tally[metrics.TRIGGERS_SUPPRESSED, value.reason] += 1

    def _add_unpublished(self, effect: Unpublished, cause: Cause, outputs: BatchOutputs) -> None:
        if isinstance(effect, Scheduled):
            self._publish(effect.decision, 0, cause.record, outputs)
        elif isinstance(effect, Reject):
            if effect.raw is None:
                raw = RawRecord(*raw_fields(cause.topic, self._partition, cause.record))
            else:
                raw = unpack(effect.raw)
            outputs.records.append(dead_letter(raw, effect))
            outputs.tally[metrics.EVENTS_DEAD, effect.reason] += 1
        elif isinstance(effect, Ignore):
            outputs.tally[metrics.EVENTS_IGNORED, effect.reason] += 1
        elif isinstance(effect, Confirm):
            answer = self._codec.encode(effect.response)
            outputs.records.append(Output(RESPONSES.name, answer, cause.record.key, self._partition, effect.at_ms))
            outputs.tally[metrics.EVENTS_CONFIRMED, RESPONSES.name] += 1
        else:
            again = requeued(unpack(effect.raw))
            outputs.records.append(again)
            outputs.tally[metrics.EVENTS_REQUEUED, again.topic] += 1
