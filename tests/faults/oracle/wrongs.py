"""Ways to spoil outputs that are right, each with the invariant that must object."""

from collections.abc import Callable
from typing import NamedTuple

from schemas.codec import Undecodable
from schemas.events import (
    Alert,
    Answer,
    Decision,
    Erasure,
    PaneTally,
    Record,
    SegmentNps,
    SurveyDispatch,
    SurveyResponse,
)
from tests.faults.harness.reading import Row
from tests.faults.oracle.inputs import BEACON, CODEC, RESPONSES
from tests.faults.oracle.outputs import ALERTS, ANSWERS, DEAD, DECISIONS, DISPATCHES, ERASURES, PANES, ROLLING


class Wrong(NamedTuple):
    """A way to spoil the outputs, and the invariant that must object."""

    invariant: str
    topic: str
    spoil: Callable[[list[Row]], list[Row]]


def first(cls: type[Record], fits: Callable[[Record], bool], change: Callable[[Record], Record]) -> Callable[
    [list[Row]], list[Row]
]:  # fmt: skip
    """Change the first value that fits."""

    def spoil(rows: list[Row]) -> list[Row]:
        at = next(i for i, row in enumerate(rows) if fits(CODEC.decode(cls, row.value)))
        value = CODEC.encode(change(CODEC.decode(cls, rows[at].value)))
        return [*rows[:at], rows[at]._replace(value=value), *rows[at + 1 :]]

    return spoil


def dropped(rows: list[Row]) -> list[Row]:
    """Without the first record."""
    return rows[1:]


def without_a_full_one(rows: list[Row]) -> list[Row]:
    """Without one window that holds answers."""
    at = next(i for i, row in enumerate(rows) if is_full(CODEC.decode(SegmentNps, row.value)))
    return [*rows[:at], *rows[at + 1 :]]


def with_more(cls: type[Record], change: Callable[[Record], Record]) -> Callable[[list[Row]], list[Row]]:
    """With the last record once more, changed."""

    def spoil(rows: list[Row]) -> list[Row]:
        last = rows[-1]
        value = CODEC.encode(change(CODEC.decode(cls, last.value)))
        return [*rows, last._replace(offset=last.offset + 1, value=value)]

    return spoil


def is_any(record: Record) -> bool:
    return True


def is_open(record: Record) -> bool:
    return isinstance(record, Alert) and record.status == "open"


def is_sent(record: Record) -> bool:
    return isinstance(record, Decision) and record.outcome == "sent"


def changed(**fields: object) -> Callable[[Record], Record]:
    """The record with other fields."""
    return lambda record: record._replace(**fields)  # type: ignore[arg-type]


def moved(**by: int) -> Callable[[Record], Record]:
    """The record with numbers moved."""
    return lambda record: record._replace(**{name: getattr(record, name) + step for name, step in by.items()})


def is_scored(record: Record) -> bool:
    return isinstance(record, Answer) and record.score is not None


def is_full(record: Record) -> bool:
    return isinstance(record, SegmentNps) and record.n > 0


def is_pending(record: Record) -> bool:
    return isinstance(record, Decision) and record.outcome == "pending"


def is_reminder(record: Record) -> bool:
    return isinstance(record, SurveyDispatch) and record.reminder > 0


def is_confirmed(record: Record) -> bool:
    return isinstance(record, SurveyResponse) and record.type == "survey.waited"


def without(cls: type[Record], fits: Callable[[Record], bool]) -> Callable[[list[Row]], list[Row]]:
    """Without the last value that fits and was not written by a page."""

    def spoil(rows: list[Row]) -> list[Row]:
        at = max(i for i, row in enumerate(rows) if _fits(cls, fits, row) and BEACON not in dict(row.headers))
        return [*rows[:at], *rows[at + 1 :]]

    return spoil


def _fits(cls: type[Record], fits: Callable[[Record], bool], row: Row) -> bool:
    try:
        return fits(CODEC.decode(cls, row.value))
    except Undecodable:
        return False


def put_back(rows: list[Row]) -> list[Row]:
    """A response lies there twice, which nobody put back for its survey's sake."""
    answers = [i for i, row in enumerate(rows) if _fits(SurveyResponse, is_any, row)]
    at = answers[len(answers) // 2]
    last = max(row.offset for row in rows if row.partition == rows[at].partition)
    return [*rows, rows[at]._replace(offset=last + 1)]


def bitten(rows: list[Row]) -> list[Row]:
    """One dead letter lacks its last byte."""
    at = next(i for i, row in enumerate(rows) if row.value)
    return [*rows[:at], rows[at]._replace(value=(rows[at].value or b"")[:-1]), *rows[at + 1 :]]


def untimely(rows: list[Row]) -> list[Row]:
    """One dispatch was in Kafka a second before it was due."""
    due_ms = CODEC.decode(SurveyDispatch, rows[0].value).due_ms
    return [rows[0]._replace(timestamp_ms=due_ms - 1_000), *rows[1:]]


WRONGS = {
    "an answer is missing": Wrong("I1", ANSWERS, dropped),
    "an answer has another score": Wrong("I1", ANSWERS, first(Answer, is_any, changed(score=4, band="detractor"))),
    "an answer has no band": Wrong("I1", ANSWERS, first(Answer, is_scored, changed(band=None))),
    "an answer has another segment": Wrong("I1", ANSWERS, first(Answer, is_any, changed(segments=["all"]))),
    "an answer is told in two ways": Wrong("I9", ANSWERS, with_more(Answer, changed(comment="another"))),
    "a revision is skipped": Wrong("I9", ANSWERS, with_more(Answer, moved(revision=2, version=1))),
    "a pane is missing": Wrong("I2", PANES, lambda rows: rows[:-1]),
    "a pane lies a minute later": Wrong("I2", PANES, first(PaneTally, is_any, moved(start_ms=60_000))),
    "a pane counts one too many": Wrong("I2", PANES, with_more(PaneTally, moved(passives=1, version=1))),
    "a pane is of another partition": Wrong("I2", PANES, first(PaneTally, is_any, moved(source_partition=1))),
    "a pane is written again below": Wrong("I9", PANES, with_more(PaneTally, moved(version=-1))),
    "a pane changes in place": Wrong("I9", PANES, with_more(PaneTally, moved(promoters=1))),
    "a window is one off": Wrong("I3", ROLLING, first(SegmentNps, is_any, moved(detractors=1))),
    "a window is missing": Wrong("I3", ROLLING, without_a_full_one),
    "a window has another interval": Wrong("I3", ROLLING, first(SegmentNps, is_full, moved(low=1))),
    "a window stands still": Wrong(
        "I3", ROLLING, first(SegmentNps, is_full, moved(as_of_ms=-86_400_000, start_ms=-86_400_000))
    ),
    "a window goes back": Wrong("I9", ROLLING, with_more(SegmentNps, moved(as_of_ms=-60_000))),
    "an alert is missing": Wrong("I4", ALERTS, dropped),
    "an alert is doubled": Wrong("I4", ALERTS, with_more(Alert, changed(alert_id="another"))),
    "an alert resolves what is open": Wrong("I4", ALERTS, first(Alert, is_open, changed(status="resolved"))),
    "an alert says two things": Wrong("I4", ALERTS, with_more(Alert, changed(comment="another"))),
    "a decision is missing": Wrong("I5", DECISIONS, lambda rows: rows[:-1]),
    "a decision about nothing": Wrong("I5", DECISIONS, with_more(Decision, changed(decision_id="another"))),
    "a refusal that was none": Wrong(
        "I5", DECISIONS, first(Decision, is_sent, changed(outcome="suppressed", reason="opted_out"))
    ),
    "decided too early": Wrong("I5", DECISIONS, first(Decision, is_sent, moved(decided_ms=-1))),
    "a decision told in two ways": Wrong("I9", DECISIONS, with_more(Decision, changed(cause_id="another"))),
    "a dispatch is missing": Wrong("I5", DISPATCHES, dropped),
    "a dispatch of another survey": Wrong("I5", DISPATCHES, with_more(SurveyDispatch, changed(survey_id="another"))),
    "a dispatch has other dimensions": Wrong("I5", DISPATCHES, first(SurveyDispatch, is_any, changed(dimensions={}))),
    "a pending decision is missing": Wrong("I5", DECISIONS, without(Decision, is_pending)),
    "a reminder is missing": Wrong("I5", DISPATCHES, without(SurveyDispatch, is_reminder)),
    "a reminder too many": Wrong("I5", DISPATCHES, with_more(SurveyDispatch, changed(reminder=9))),
    "a reminder on another channel": Wrong(
        "I5", DISPATCHES, first(SurveyDispatch, is_reminder, changed(channel="web"))
    ),
    "an erasure is missing": Wrong("I5", ERASURES, dropped),
    "an erasure of somebody else": Wrong("I5", ERASURES, with_more(Erasure, changed(erasure_id="another"))),
    "a click is not confirmed": Wrong("I1", RESPONSES, without(SurveyResponse, is_confirmed)),
    "a response is put back for nothing": Wrong("I1", RESPONSES, put_back),
    "a dispatch before its time": Wrong("I5", DISPATCHES, untimely),
    "a dead letter is missing": Wrong("I6", DEAD, dropped),
    "a dead letter lost a byte": Wrong("I6", DEAD, bitten),
    "a dead letter lost its headers": Wrong("I6", DEAD, lambda rows: [rows[0]._replace(headers=()), *rows[1:]]),
}
