"""The answer to one survey, worked out anew from everything that was said whenever something more is.

The newest score holds and counts in the minute of the first that was not withdrawn; of comments the newest holds.  Of
what was said at one time the higher hash of source and id wins.
"""

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple

from schemas.events import Alert, Answer, SurveyResponse
from tests.faults.oracle.clicks import Click, machine_made
from tests.faults.oracle.ids import alert_of, confirmation_of
from tests.faults.oracle.inputs import Taken
from tests.faults.oracle.outcome import Outcome, Vote
from tests.faults.oracle.sent import Sent
from tests.faults.oracle.terms import Terms

BANDS = (*["detractor"] * 7, *["passive"] * 2, *["promoter"] * 2)
Stamp = tuple[int, int]


class Said(NamedTuple):
    """What holds of all that was said: scores not withdrawn by time, the newest comment, the last withdrawal."""

    scores: tuple[tuple[Stamp, int], ...] = ()
    comment: tuple[Stamp, str] | None = None
    withdrawn_ms: int = -1


class State(NamedTuple):
    """The answer itself: whoever is told of it anew must be told something else."""

    score: int | None = None
    counted: bool = False
    comment: str | None = None


NOTHING_SAID = Said()
NO_ANSWER = State()


@dataclass(slots=True)
class Sheet:
    """All that was said about one survey."""

    sent: Sent
    terms: Terms
    known: set[tuple[str, str]] = field(default_factory=set)
    scores: dict[Stamp, int] = field(default_factory=dict)
    comment: tuple[Stamp, str] | None = None
    withdrawn_ms: int = -1
    clicks: set[Click] = field(default_factory=set)
    traps: set[int] = field(default_factory=set)
    said: Said = NOTHING_SAID
    state: State = NO_ANSWER
    revision: int = 0
    severity: str = ""

    @property
    def is_answered(self) -> bool:
        """True when there is a score that was not withdrawn, or a comment."""
        return bool(self.said.scores) or self.said.comment is not None

    def is_waiting(self, click: Click) -> bool:
        """True while a click is neither an answer, nor withdrawn, nor a machine's."""
        is_answer = self._stamp(click) in dict(self.said.scores)
        return click.time_ms > self.withdrawn_ms and not is_answer and click not in self._machines()

    def take(self, taken: Taken, outcome: Outcome) -> list[Click]:
        """Take a response; the clicks that wait from now on."""
        event = taken.event
        assert isinstance(event, SurveyResponse)
        is_click = event.provisional and (event.voided or event.comment is None)
        if self._is_closed(event, is_click):
            outcome.dead[taken.place] = "edit_closed"
            return []
        clicked = self._click(event) if is_click else self._say(event)
        said = self._holds()
        if said != self.said:
            self.said = said
            self._publish(taken, event, outcome)
        return clicked

    def _is_closed(self, event: SurveyResponse, is_click: bool) -> bool:
        """True for what comes after the edit window; a trap may come whenever it likes."""
        is_trap = is_click and event.voided
        scores = self.said.scores
        return bool(scores) and not is_trap and event.time > scores[0][0][0] + self.terms.edit_ms

    def _click(self, event: SurveyResponse) -> list[Click]:
        if event.voided or event.score is None:
            self.traps.add(event.time)
            return []
        click = Click(event.time, event.score)
        is_new = click not in self.clicks
        self.clicks.add(click)
        return [click] if is_new else []

    def _say(self, event: SurveyResponse) -> list[Click]:
        """A person speaks, or a click whose wait is over: once for each source and id."""
        if (event.source, event.id) in self.known:
            return []
        self.known.add((event.source, event.id))
        if event.voided:
            self.withdrawn_ms = max(self.withdrawn_ms, event.time)
            return []
        stamp = (event.time, _hash(event.source, event.id))
        if event.score is not None:
            self.scores[stamp] = event.score
        if event.comment is not None and (self.comment is None or stamp > self.comment[0]):
            self.comment = (stamp, event.comment)
        for click in self.clicks - self._machines():
            self.scores[self._stamp(click)] = click.score
        return []

    def _holds(self) -> Said:
        machines = {self._stamp(click) for click in self._machines()}
        live = sorted((stamp, score) for stamp, score in self.scores.items()
                      if stamp[0] > self.withdrawn_ms and stamp not in machines)  # fmt: skip
        within = [one for one in live if one[0][0] <= live[0][0][0] + self.terms.edit_ms]
        return Said(tuple(within), self.comment, self.withdrawn_ms)

    def _machines(self) -> set[Click]:
        return machine_made(self.clicks, self.traps, self.terms.confirm_ms)

    def _stamp(self, click: Click) -> Stamp:
        id_ = confirmation_of(self.sent.survey_id, click.time_ms, click.score)
        return click.time_ms, _hash("nps.collector", id_)

    def _publish(self, taken: Taken, event: SurveyResponse, outcome: Outcome) -> None:
        self.revision += 1
        sent, scores = self.sent, self.said.scores
        first_ms, score = (scores[0][0][0], scores[-1][1]) if scores else (event.time, None)
        ends_ms = sent.expires_ms if sent.cancelled_ms < 0 else min(sent.cancelled_ms, sent.expires_ms)
        counts = score is not None and first_ms < ends_ms
        state = State(score, counts, self.said.comment[1] if self.said.comment else None)
        outcome.answers[taken.place] = Answer(
            survey_id=sent.survey_id, customer_id=sent.customer, survey=sent.ask.survey, rule=sent.ask.name,
            correlation_id=sent.about, response_source=event.source, response_id=event.id, revision=self.revision,
            score=score, band=None if score is None else BANDS[score], comment=state.comment, counted=counts,
            flag=None if counts else self._flag(), sent_ms=sent.due_ms, answered_ms=first_ms,
            received_ms=taken.now_ms, segments=sent.segments, dimensions=sent.dimensions, program="",
            version=taken.place[2],
        )  # fmt: skip
        outcome.votes.pop(sent.survey_id, None)
        if score is not None and counts:
            outcome.votes[sent.survey_id] = Vote(sent.segments, taken.place[1], first_ms, BANDS[score])
        severity = self.terms.severity(score) if score is not None and counts else ""
        if state != self.state and (severity or self.severity):
            self._alert(severity, outcome.answers[taken.place], taken, outcome)
        self.state, self.severity = state, severity

    def _flag(self) -> str:
        if self.said.scores:
            return "cancelled" if 0 <= self.sent.cancelled_ms < self.sent.expires_ms else "expired"
        return "voided" if self.withdrawn_ms >= 0 or self._machines() else "no_score"

    def _alert(self, severity: str, answer: Answer, taken: Taken, outcome: Outcome) -> None:
        id_ = alert_of(answer.survey_id, answer.revision)
        outcome.alerts[id_] = Alert(
            alert_id=id_, dedup_key=answer.survey_id, status="open" if severity else "resolved",
            severity=severity or self.severity, customer_id=answer.customer_id, survey=answer.survey, rule=answer.rule,
            correlation_id=answer.correlation_id, score=answer.score, comment=answer.comment, revision=answer.revision,
            answered_ms=answer.answered_ms if self.said.scores else taken.now_ms, received_ms=taken.now_ms,
            segments=answer.segments, program="", version=answer.version,
        )  # fmt: skip


def _hash(source: str, id_: str) -> int:
    text = f"{len(source)}:{source}{len(id_)}:{id_}"
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)
