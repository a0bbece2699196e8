"""The one right outcome, as it is worked out: every record that must be published, without program and version."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import NamedTuple

from schemas.events import Alert, Answer, Decision, Erasure, SurveyDispatch
from tests.faults.harness.reading import Row
from tests.faults.oracle.inputs import Place

Copy = tuple[int, bytes | None, bytes | None, int, tuple[tuple[str, bytes | None], ...]]
"""Partition, key, value, Kafka timestamp and headers: what a record that is put back has in common with itself."""


class Vote(NamedTuple):
    """An answer that counts: in which segments, from which partition, at which instant, in which band."""

    segments: tuple[str, ...]
    partition: int
    at_ms: int
    band: str


class Left(NamedTuple):
    """Something that is still to be done at the end, and the time by which it must be."""

    what: str
    due_ms: int


@dataclass(slots=True)
class Outcome:
    """All that must be there once everything is read; of one customer, or of all of them.

    Answers have the place of their response; like alerts they have its offset for a version.  `put_back` are responses
    that waited for their survey, `confirmed` the clicks that became answers, by the ids of these, with their Kafka
    timestamps.  What else is there counts in no comparison: `votes` in the panes, what is `left` to be done when all is
    read, and `uncaused`, the places of what the pipeline put on a topic without a reason.
    """

    decisions: dict[str, Decision] = field(default_factory=dict)
    pending: dict[str, Decision] = field(default_factory=dict)
    dispatches: dict[tuple[str, int], SurveyDispatch] = field(default_factory=dict)
    answers: dict[Place, Answer] = field(default_factory=dict)
    alerts: dict[str, Alert] = field(default_factory=dict)
    erasures: dict[str, Erasure] = field(default_factory=dict)
    dead: dict[Place, str] = field(default_factory=dict)
    put_back: dict[Copy, bool] = field(default_factory=dict)
    confirmed: dict[str, int] = field(default_factory=dict)
    votes: dict[str, Vote] = field(default_factory=dict, compare=False)
    left: list[Left] = field(default_factory=list, compare=False)
    uncaused: list[Place] = field(default_factory=list, compare=False)

    def add(self, other: "Outcome") -> None:
        """Take in that of another customer."""
        for one in fields(self):
            mine, theirs = getattr(self, one.name), getattr(other, one.name)
            mine.update(theirs) if isinstance(mine, dict) else mine.extend(theirs)

    def is_whole(self, settled_ms: int) -> bool:
        """True when nothing that was due by then is left, and the pipeline put nothing on a topic without a reason."""
        return not self.uncaused and all(left.due_ms > settled_ms for left in self.left)

    def revisions(self) -> Mapping[str, Sequence[tuple[Place, Answer]]]:
        """The answers of each survey, in order."""
        found: dict[str, list[tuple[Place, Answer]]] = {}
        for place, answer in self.answers.items():
            found.setdefault(answer.survey_id, []).append((place, answer))
        return found


def copy_of(row: Row) -> Copy:
    """What a row has in common with the copy of it that is put back."""
    return row.partition, row.key, row.value, row.timestamp_ms, row.headers
