"""Outputs of a batch, and the encoder that turns effects into records; counts become panes, not records."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

from schemas.codec import Codec
from schemas.events import Alert, Answer, Decision, Erasure, SurveyDispatch
from schemas.reasons import FAULTS, Reason
from schemas.records import new
from schemas.topics import (
    ALERTS,
    ANSWERS,
    CAUSE_HEADER,
    DECISIONS,
    DISPATCHES,
    ERASURES,
    INBOUND,
    MOVED_HEADER,
    RESPONSES,
)
from streams import metrics
from streams.domain.decisions import PENDING
from streams.domain.effects import Confirm, Ignore, Publication, Reject, Requeue, Scheduled
from streams.domain.links import Keys, mint
from streams.domain.panes import Pane
from streams.kafka.partitioner import warn_of_partitioner
from streams.kafka.ports import FetchedRecord, Headers, Output, has_header
from streams.processing.raw_record import RawRecord, dead_letter, raw_fields, requeued, unpack
from streams.state.progress import Progress
from streams.state.tables import PaneValue

Unpublished = Scheduled | Reject | Ignore | Requeue | Confirm
PUBLISHED_ON: dict[type[Publication], str] = {
    Decision: DECISIONS.name,
    SurveyDispatch: DISPATCHES.name,
    Answer: ANSWERS.name,
    Alert: ALERTS.name,
    Erasure: ERASURES.name,
}
"""Topic of each publication."""

_PENDING_VERSION, _LOWEST_FINAL_VERSION = 0, 1
"""Stores keep the row of the highest version, of two equal ones the last: no final decision may equal a pending one."""

_PUBLISHED = frozenset(PUBLISHED_ON.values())

_HEADERS: dict[str, Headers] = {
    topic.name: () if topic is RESPONSES else ((CAUSE_HEADER, topic.name.encode()),) for topic in INBOUND
}
"""Headers of outputs by the topic of their cause; those of responses, the most frequent, have none."""

JourneyChange = tuple[bytes | None, int | None, int | None]
"""A journey's new value, None to remove it; its timer in ms, and its timer before the batch, None for no timer."""

Counts = dict[tuple[tuple[str, ...], int, int], list[int]]
"""Additions to the three bands, by segments, minute, and supplement of the minute's pane if that is gone."""


@dataclass(slots=True)
class Cause:
    """The record that causes effects: its topic, its position in the batch, and its version.

    `now_ms` is its Kafka timestamp or the wall clock, whichever is earlier.
    """

    topic: str
    position: int
    version: int
    now_ms: int
    record: FetchedRecord


@dataclass(slots=True)
class BatchOutputs:
    """Outputs of a batch, not durable yet: records, panes and journeys, with the figures for metrics.

    `last` is the version of the batch's last response, -1 for none: only responses count.  `progress` says how far the
    partition is applied once they are durable.  `expired` are the panes that go, `erased` the customers of whom only
    the erasure is left.
    """

    progress: Progress
    last: int = -1
    records: list[Output] = field(default_factory=list)
    panes: dict[Pane, PaneValue] = field(default_factory=dict)
    expired: list[Pane] = field(default_factory=list)
    journeys: dict[bytes, JourneyChange] = field(default_factory=dict)
    erased: set[bytes] = field(default_factory=set)
    counts: Counts = field(default_factory=dict)
    tally: Counter[tuple[metrics.Labelled, str]] = field(default_factory=Counter)
    alert_timestamps: list[int] = field(default_factory=list)
    bad: list[tuple[int, Reject]] = field(default_factory=list)
    """Rejects that are faults of the record, with its position in the batch: the fuse counts them."""

    def note_erased(self, key: bytes, is_only_erased: bool) -> None:
        """Note whether only the erasure is left of a customer whose journey changed."""
        (self.erased.add if is_only_erased else self.erased.discard)(key)

    def count_published(self) -> None:
        """Tally the published records by topic."""
        for name, count in Counter([out.topic for out in self.records]).items():
            if name in _PUBLISHED:
                self.tally[metrics.RECORDS_OUT, name] = count


class EffectEncoder(Protocol):
    """Port for what becomes of the effects of a batch: `OutputEncoder` makes records of them."""

    def add(self, effect: Publication | Unpublished, cause: Cause, outputs: BatchOutputs) -> None:
        """Add an effect to the outputs of its batch."""

    def move(self, cause: Cause, partition: int, outputs: BatchOutputs) -> None:
        """Put a record into the partition that its key belongs to."""


def stored_version(value: Publication, version: int) -> int:
    """The version of a publication caused by the record of this version: 0 of a pending decision, else at least 1."""
    if isinstance(value, Decision):
        return max(version, _LOWEST_FINAL_VERSION) if value.outcome != PENDING else _PENDING_VERSION
    return version


class OutputEncoder:
    """Encoder of effects as records of one partition.  `keys` sign the links of surveys; None makes no links."""

    def __init__(self, partition: int, codec: Codec, keys: Keys | None) -> None:
        self._partition = partition
        self._codec = codec
        self._keys = keys

    def add(self, effect: Publication | Unpublished, cause: Cause, outputs: BatchOutputs) -> None:
        """Add the record of an effect, or the figure that it changes, to the outputs of its batch."""
        if isinstance(effect, (Answer, Decision, SurveyDispatch, Alert, Erasure)):
            self._publish(effect, cause.version, cause, outputs)
            return
        self._add_unpublished(effect, cause, outputs)
        if isinstance(effect, Reject) and effect.reason in FAULTS:
            outputs.bad.append((cause.position, effect))

    def move(self, cause: Cause, partition: int, outputs: BatchOutputs) -> None:
        """Put a record into the partition that its key belongs to: once, for one moved before is a dead letter."""
        topic, record = cause.topic, cause.record
        where = f"partition {self._partition}, which its key does not belong to: {partition} is"
        if has_header(record, MOVED_HEADER):
            self.add(Reject(Reason.WRONG_KEY, f"moved, and still in {where}"), cause, outputs)
            return
        warn_of_partitioner(topic, record.offset, where)
        headers = (*(record.headers or ()), (MOVED_HEADER, str(self._partition).encode()))
        outputs.records.append(Output(topic, record.value, record.key, partition, record.timestamp, headers))
        outputs.tally[metrics.EVENTS_MOVED, topic] += 1

    def _publish(self, value: Publication, version: int, cause: Cause, outputs: BatchOutputs) -> None:
        topic = PUBLISHED_ON[type(value)]
        if self._keys is not None and isinstance(value, SurveyDispatch):
            value = value._replace(token=mint(self._keys, value.survey_id, value.customer_id, value.expires_ms))
        version = stored_version(value, version)
        encoded = self._codec.encode(value, version)
        outputs.records.append(
            new(Output, (topic, encoded, cause.record.key, self._partition, 0, _HEADERS[cause.topic]))
        )
        if isinstance(value, Alert):
            outputs.alert_timestamps.append(cause.now_ms)
        elif isinstance(value, Decision) and value.reason is not None:
            outputs.tally[metrics.TRIGGERS_SUPPRESSED, value.reason] += 1

    def _add_unpublished(self, effect: Unpublished, cause: Cause, outputs: BatchOutputs) -> None:
        if isinstance(effect, Scheduled):
            self._publish(effect.decision, cause.version, cause, outputs)
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
