"""What came of which record, as pairs of places: what I7 holds commits against.

The first copy counts: what a replay writes again was there before.
"""

from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple

from schemas.events import Alert, Answer, Decision, PaneTally, SurveyDispatch
from tests.faults.oracle.expected import Expected
from tests.faults.oracle.inputs import RESPONSES
from tests.faults.oracle.outputs import ALERTS, ANSWERS, DEAD, DECISIONS, DISPATCHES, OFFSET_BITS, PANES, Outputs, Told
from tests.faults.oracle.terms import LENGTHS_MS

DAY_MS = LENGTHS_MS["day"]
Part = tuple[str, int]
"""Topic and partition."""


class Effect(NamedTuple):
    """The record at `offset` of `cause` led to the record at `at` of `output`."""

    cause: Part
    offset: int
    output: Part
    at: int


def effects_of(expected: Expected, outputs: Outputs) -> list[Effect]:
    """Every effect whose cause the outputs name, or the oracle knows."""
    return [*_published(outputs), *_buried(expected, outputs), *_counted(expected, outputs)]


def _published(outputs: Outputs) -> Iterator[Effect]:
    """Decisions, dispatches, answers, alerts: the version names the cause's offset, a header its topic."""
    for topic in (DECISIONS, DISPATCHES, ANSWERS, ALERTS):
        first: dict[object, Effect] = {}
        for told in outputs.told[topic]:
            value = told.value
            if isinstance(value, Decision) and value.outcome == "pending":
                continue
            assert isinstance(value, Decision | SurveyDispatch | Answer | Alert)
            effect = Effect((_cause(told), told.row.partition), value.version & OFFSET_BITS,
                            (topic, told.row.partition), told.row.offset)  # fmt: skip
            first.setdefault(_name(value), effect)
        yield from first.values()


def _cause(told: Told) -> str:
    return next((value.decode() for name, value in told.row.headers if name == "nps-cause" and value), RESPONSES)


def _name(value: Decision | SurveyDispatch | Answer | Alert) -> object:
    if isinstance(value, Decision):
        return value.decision_id
    return (value.survey_id, value.reminder) if isinstance(value, SurveyDispatch) else (value[0], value.version)


def _buried(expected: Expected, outputs: Outputs) -> Iterator[Effect]:
    """Dead letters of what could be seen to be wrong at once; what was held back dies later than it is committed."""
    for (topic, partition, offset), reason in expected.outcome.dead.items():
        copies = outputs.deaths.get((topic, partition, offset), {}).get(reason)
        if copies and reason != "unknown_survey":
            row = min((one.row for one in copies), key=lambda row: row.offset)
            yield Effect((topic, partition), offset, (DEAD, row.partition), row.offset)


def _counted(expected: Expected, outputs: Outputs) -> Iterator[Effect]:
    """Panes of whole days over all segments: the first record of each that includes a response."""
    panes: dict[tuple[int, int], list[tuple[int, Part, int]]] = {}
    for row, value in outputs.told[PANES]:
        if isinstance(value, PaneTally) and (value.segment, value.resolution) == ("all", "day"):
            told = (value.version & OFFSET_BITS, (PANES, row.partition), row.offset)
            panes.setdefault((value.start_ms, value.source_partition), []).append(told)
    for revisions in expected.outcome.revisions().values():
        before: Answer | None = None
        for (_, partition, offset), answer in revisions:
            for start_ms in _days(before, answer):
                records = panes.get((start_ms, partition), [])
                if including := records[bisect_left(records, offset, key=lambda told: told[0]) :][:1]:
                    yield Effect((RESPONSES, partition), offset, *including[0][1:])
            before = answer


def _days(before: Answer | None, after: Answer) -> set[int]:
    """The days whose panes the revision changes."""
    held = {_vote(one) for one in (before, after) if one is not None}
    votes = {vote for vote in held if vote is not None}
    return {at_ms - at_ms % DAY_MS for at_ms, _ in votes} if len(held) > 1 or before is None else set()


def _vote(answer: Answer) -> tuple[int, str | None] | None:
    return (answer.answered_ms, answer.band) if answer.counted else None
