"""What the pipeline published, decoded, with every record of a key beside the others."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from schemas.deadletters import NotADeadLetter, unwrap
from schemas.events import Alert, Answer, Decision, Erasure, PaneTally, Record, SegmentNps, SurveyDispatch
from tests.faults.harness.reading import Row, World
from tests.faults.oracle.inputs import CODEC, Place

DECISIONS, DISPATCHES, ANSWERS, ALERTS, ERASURES, PANES, ROLLING, DEAD = (
    f"nps.{name}"
    for name in ("decisions", "dispatches", "answers", "alerts", "erasures", "panes", "rolling", "dead-letters")
)
TOPICS = (DECISIONS, DISPATCHES, ANSWERS, ALERTS, ERASURES, PANES, ROLLING, DEAD)
OFFSET_BITS = (1 << 48) - 1
"""A version is the topics' epoch above the offset of its cause."""

R = TypeVar("R", bound=Record)


class Told(NamedTuple):
    """A value and where it lies."""

    row: Row
    value: Record


class Buried(NamedTuple):
    """A dead letter: what it was, with its own headers, and where this copy lies."""

    row: Row
    reason: str
    headers: tuple[tuple[str, bytes | None], ...]
    timestamp_ms: int


@dataclass(frozen=True, slots=True)
class Outputs:
    """Everything published.  `deaths` are copies by place and reason; `unlabelled` dead letters say neither."""

    told: Mapping[str, list[Told]]
    deaths: Mapping[Place, Mapping[str, list[Buried]]]
    unlabelled: list[Row]
    answers: Mapping[str, list[Answer]]

    def values(self, topic: str, cls: type[R]) -> list[R]:
        """All values of a topic, in order within each partition."""
        return [one.value for one in self.told[topic] if isinstance(one.value, cls)]

    def decisions(self) -> list[Decision]:
        """What was decided for good; a pending decision only says that there will be one."""
        return [one for one in self.values(DECISIONS, Decision) if one.outcome != "pending"]


_RECORDS: dict[str, type[Record]] = {
    DECISIONS: Decision, DISPATCHES: SurveyDispatch, ANSWERS: Answer, ALERTS: Alert, ERASURES: Erasure,
    PANES: PaneTally, ROLLING: SegmentNps,
}  # fmt: skip


def decode(world: World) -> Outputs:
    """Decode all outputs.  Raises schemas.codec.Undecodable: what the pipeline wrote must be readable."""
    told = {
        topic: [Told(row, CODEC.decode(cls, row.value)) for row in world.topics[topic] if row.value is not None]
        for topic, cls in _RECORDS.items()
    }
    deaths, unlabelled = _deaths(world)
    answers: dict[str, list[Answer]] = {}
    for _, value in told[ANSWERS]:
        if isinstance(value, Answer):
            answers.setdefault(value.survey_id, []).append(value)
    return Outputs(told, deaths, unlabelled, answers)


def _deaths(world: World) -> tuple[dict[Place, dict[str, list[Buried]]], list[Row]]:
    deaths: dict[Place, dict[str, list[Buried]]] = {}
    unlabelled = []
    for row in world.topics[DEAD]:
        try:
            headers, death = unwrap(row.headers)
        except NotADeadLetter:
            unlabelled.append(row)
            continue
        buried = Buried(row, death.reason, tuple(headers), death.timestamp_ms)
        place = (death.topic, death.partition, death.offset)
        deaths.setdefault(place, {}).setdefault(death.reason, []).append(buried)
    return deaths, unlabelled


def comparable(record: R) -> R:
    """The record without program and epoch, its texts and lists as the oracle makes them."""
    changes: dict[str, object] = {"program": "", "version": getattr(record, "version", 0) & OFFSET_BITS}
    if hasattr(record, "segments"):
        changes["segments"] = tuple(record.segments)
    if hasattr(record, "dimensions"):
        changes["dimensions"] = dict(record.dimensions)
    if hasattr(record, "personalisation"):
        changes["personalisation"] = dict(record.personalisation)
    return record._replace(**changes)  # type: ignore[arg-type, return-value]
