"""The answer to one survey, worked out anew from everything that was said whenever something more is.

What holds is what would hold had all come in order of time: the first score opens the answer and may be corrected until
`limits.edit` after it; a withdrawal until then takes score and comment back, and the next score opens it anew; what is
said later than that is closed.  Of scores and of comments the last holds, and the answer counts in the minute in which
it was opened.  Of what was said at one time the higher hash of source and id is the later, and a withdrawal the last.
One source and id says one thing, however often: that of its earliest copy.
"""

from dataclasses import dataclass, field
from hashlib import blake2b
from math import inf
from typing import NamedTuple

from schemas.events import Alert, Answer, SurveyResponse
from tests.faults.oracle.clicks import Click, Signs, machine_made
from tests.faults.oracle.ids import alert_of, confirmation_of
from tests.faults.oracle.inputs import Taken
from tests.faults.oracle.outcome import Outcome, Vote
from tests.faults.oracle.sent import Sent
from tests.faults.oracle.terms import Terms

BANDS = (*["detractor"] * 7, *["passive"] * 2, *["promoter"] * 2)


class Part(NamedTuple):
    """One thing that was said; without score and comment a withdrawal."""

    time_ms: int
    is_withdrawal: bool
    mark: int
    score: int | None
    comment: str | None


class Said(NamedTuple):
    """What holds of all that was said: when the answer was opened, its score and comment, the last withdrawal."""

    opened_ms: int | None = None
    score: int | None = None
    comment: str | None = None
    withdrawn_ms: int = -1


class Told(NamedTuple):
    """What somebody who was told of an answer need not be told again."""

    score: int | None = None
    counts: bool = False
    comment: str | None = None


NOTHING_SAID, NOTHING_TOLD = Said(), Told()


@dataclass(slots=True)
class Sheet:
    """All that was said about one survey; `parts` by the hash of source and id."""

    sent: Sent
    terms: Terms
    parts: dict[int, Part] = field(default_factory=dict)
    clicks: set[Click] = field(default_factory=set)
    traps: set[int] = field(default_factory=set)
    heads: set[int] = field(default_factory=set)
    persons: set[tuple[int, int | None]] = field(default_factory=set)
    said: Said = NOTHING_SAID
    told: Told = NOTHING_TOLD
    revision: int = 0
    severity: str = ""

    @property
    def is_answered(self) -> bool:
        """True when there is a score that was not withdrawn, or a comment."""
        return self.said.score is not None or self.said.comment is not None

    def is_waiting(self, click: Click) -> bool:
        """True while a click is neither a part of the answer nor a machine's."""
        return self._mark(click) not in self.parts and click not in self._machines()

    def take(self, taken: Taken, outcome: Outcome) -> list[Click]:
        """Take a response; the clicks that wait from now on."""
        event = taken.event
        assert isinstance(event, SurveyResponse)
        if event.provisional and (event.voided or event.comment is None):
            waiting = self._click(event)
            self._revise(taken, event, outcome)
            return waiting
        mark = _hash(event.source, event.id)
        was_machine = mark in self._machine_marks()
        self._note_person(event)
        is_known = mark in self.parts and self.parts[mark].time_ms <= event.time and not was_machine
        if mark in self._machine_marks() or is_known:
            return []
        words = (None, None) if event.voided else (event.score, event.comment)
        self.parts[mark] = Part(event.time, event.voided, mark, *words)
        if not event.voided:  # a person shows: every click is one of theirs, unless it is a machine's
            clicked = [Part(click.time_ms, False, self._mark(click), click.score, None) for click in self.clicks]
            self.parts = {part.mark: part for part in clicked} | self.parts
        if event.time > self._closes_ms(self._holds()):
            outcome.dead[taken.place] = "edit_closed"
        self._revise(taken, event, outcome)
        return []

    def _note_person(self, event: SurveyResponse) -> None:
        """A person shows by a look at a page or by an answer; not by a withdrawal, nor when a click's wait is over."""
        if event.type != "survey.waited" and not event.voided:
            self.persons.add((event.time, event.score))

    def _click(self, event: SurveyResponse) -> list[Click]:
        if event.type == "survey.headed":
            self.heads.add(event.time)
            return []
        if event.voided or event.score is None:
            self.traps.add(event.time)
            return []
        click = Click(event.time, event.score)
        is_new = click not in self.clicks
        self.clicks.add(click)
        return [click] if is_new else []

    def _holds(self) -> Said:
        """What holds, going through all that was said in order of time."""
        machines, said = self._machine_marks(), NOTHING_SAID
        for part in sorted(self.parts.values()):
            if part.mark in machines or part.time_ms > self._closes_ms(said):
                continue
            if part.is_withdrawal:
                said = said._replace(opened_ms=None, score=None, comment=None, withdrawn_ms=part.time_ms)
            elif part.score is not None:
                opened_ms = part.time_ms if said.opened_ms is None else said.opened_ms
                said = said._replace(opened_ms=opened_ms, score=part.score)
            if part.comment is not None:
                said = said._replace(comment=part.comment)
        return said

    def _closes_ms(self, said: Said) -> float:
        return inf if said.opened_ms is None else said.opened_ms + self.terms.edit_ms

    def _machines(self) -> set[Click]:
        return machine_made(self.clicks, Signs(self.traps, self.heads, self.persons), self.terms.confirm_ms)

    def _machine_marks(self) -> set[int]:
        return {self._mark(click) for click in self._machines()}

    def _mark(self, click: Click) -> int:
        return _hash("nps.collector", confirmation_of(self.sent.survey_id, click.time_ms, click.score))

    def _revise(self, taken: Taken, event: SurveyResponse, outcome: Outcome) -> None:
        """Publish the answer if anything of it is other than it was."""
        said = self._holds()
        before, told_before, self.said = self.said, self.told, said
        ends_ms = (
            self.sent.expires_ms if self.sent.cancelled_ms < 0 else min(self.sent.cancelled_ms, self.sent.expires_ms)
        )
        told = Told(said.score, said.opened_ms is not None and said.opened_ms < ends_ms, said.comment)
        is_known = self.revision > 0 or said == NOTHING_SAID
        is_same = told == told_before and said.opened_ms == before.opened_ms
        if is_known and is_same and (told.counts or self._flag(said) == self._flag(before)):
            return
        self.told = told
        self._publish(taken, event, outcome)
        severity = self.terms.severity(said.score) if said.score is not None and told.counts else ""
        if told != told_before and (severity or self.severity):
            self._alert(severity, outcome.answers[taken.place], taken, outcome)
        self.severity = severity

    def _publish(self, taken: Taken, event: SurveyResponse, outcome: Outcome) -> None:
        self.revision += 1
        sent, said, counts = self.sent, self.said, self.told.counts
        opened_ms = event.time if said.opened_ms is None else said.opened_ms
        outcome.answers[taken.place] = Answer(
            survey_id=sent.survey_id, customer_id=sent.customer, survey=sent.ask.survey, rule=sent.ask.name,
            correlation_id=sent.about, response_source=event.source, response_id=event.id, revision=self.revision,
            score=said.score, band=None if said.score is None else BANDS[said.score], comment=said.comment,
            counted=counts, flag=None if counts else self._flag(said), sent_ms=sent.due_ms, answered_ms=opened_ms,
            received_ms=taken.now_ms, segments=sent.segments, dimensions=sent.dimensions, program="",
            version=taken.place[2],
        )  # fmt: skip
        outcome.votes.pop(sent.survey_id, None)
        if said.score is not None and counts:
            outcome.votes[sent.survey_id] = Vote(sent.segments, taken.place[1], opened_ms, BANDS[said.score])

    def _flag(self, said: Said) -> str:
        """Why it does not count."""
        if said.score is not None:
            return "cancelled" if 0 <= self.sent.cancelled_ms < self.sent.expires_ms else "expired"
        return "voided" if said.withdrawn_ms >= 0 or self._machines() else "no_score"

    def _alert(self, severity: str, answer: Answer, taken: Taken, outcome: Outcome) -> None:
        id_ = alert_of(answer.survey_id, answer.revision)
        outcome.alerts[id_] = Alert(
            alert_id=id_, dedup_key=answer.survey_id, status="open" if severity else "resolved",
            severity=severity or self.severity, customer_id=answer.customer_id, survey=answer.survey, rule=answer.rule,
            correlation_id=answer.correlation_id, score=answer.score, comment=answer.comment, revision=answer.revision,
            answered_ms=taken.now_ms if answer.score is None else answer.answered_ms, received_ms=taken.now_ms,
            segments=answer.segments, program="", version=answer.version,
        )  # fmt: skip


def _hash(source: str, id_: str) -> int:
    text = f"{len(source)}:{source}{len(id_)}:{id_}"
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)
