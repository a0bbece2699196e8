"""What a batch leads to, and the encoder that makes records of effects; a count alone becomes no record."""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from schemas.codec import Codec
from schemas.events import Alert, Answer, Decision, Erasure, SurveyDispatch
from schemas.reasons import FAULTS
from schemas.records import new
from schemas.topics import ALERTS, ANSWERS, DECISIONS, DISPATCHES, ERASURES, RESPONSES
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

Changed = tuple[bytes | None, int | None, int | None]
"""A journey's new value, None for one to forget; when its customer must be woken, and when it was before the batch."""

Counts = dict[tuple[tuple[str, ...], int, int], list[int]]
"""What a batch adds to each band, by segments, minute, and the version if a replay may have counted it already."""


class Cause(NamedTuple):
    """The record that effects come of: its topic, its place in the batch, and its version."""

    topic: str
    position: int
    version: int
    record: FetchedRecord


@dataclass(slots=True)
class BatchOutputs:
    """What a batch leads to, none of it durable yet: records, panes and journeys, and what there is to count.

    `last` is the version of the batch's last record; `headers` go with every record, so that their cause is known (see
    `streams.state.recovery`).
    """

    last: int
    headers: Headers = ()
    records: list[Output] = field(default_factory=list)
    panes: dict[Pane, PaneValue] = field(default_factory=dict)
    journeys: dict[bytes, Changed] = field(default_factory=dict)
    counts: Counts = field(default_factory=dict)
    tally: Counter[tuple[str, str]] = field(default_factory=Counter)
    alert_timestamps: list[int] = field(default_factory=list)
    bad: list[tuple[int, Reject]] = field(default_factory=list)
    """Which of the batch's records were rejected for what they are, by position: what the fuse counts."""

    def count_published(self) -> None:
        """Tally what goes out, by topic."""
        for name, count in Counter([out.topic for out in self.records]).items():
            if name in _PUBLISHED:
                self.tally["out", name] = count


class OutputEncoder:
    """Encodes effects as records of one partition.  `keys` sign the links of surveys; without them there are none."""

    def __init__(self, partition: int, codec: Codec, keys: Keys | None) -> None:
        self._partition = partition
        self._codec = codec
        self._keys = keys

    def add(self, effect: Publication | Unpublished, cause: Cause, outputs: BatchOutputs) -> None:
        """Add the record that an effect leads to, or the figure it changes, to the outputs of its batch."""
        if isinstance(effect, (Answer, Decision, SurveyDispatch, Alert, Erasure)):
            self._publish(effect, cause.version, cause.record, outputs)
            return
        self._act(effect, cause, outputs)
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
            outputs.tally["suppressed", value.reason] += 1

    def _act(self, effect: Unpublished, cause: Cause, outputs: BatchOutputs) -> None:
        if isinstance(effect, Scheduled):
            self._publish(effect.decision, 0, cause.record, outputs)
        elif isinstance(effect, Reject):
            raw = RawRecord(*raw_fields(cause.topic, self._partition, cause.record))
            outputs.records.append(dead_letter(raw if effect.raw is None else unpack(effect.raw), effect))
            outputs.tally["dead", effect.reason] += 1
        elif isinstance(effect, Ignore):
            outputs.tally["ignored", effect.reason] += 1
        elif isinstance(effect, Confirm):
            answer = self._codec.encode(effect.response)
            outputs.records.append(Output(RESPONSES.name, answer, cause.record.key, self._partition, effect.at_ms))
            outputs.tally["confirmed", RESPONSES.name] += 1
        else:
            back = requeued(unpack(effect.raw))
            outputs.records.append(back)
            outputs.tally["requeued", back.topic] += 1
