"""What a survey's responses must add up to, whatever the order in which they came.

A response that is read before its survey was sent is put back behind the others, so the order of responses has one
unknown: how many were read too soon.  `outcomes` tells what must be published for each possibility; all of them end
alike but for what an edit window had closed on.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple

from schemas.events import SurveyDispatch, SurveyResponse
from tests.faults.oracle.inputs import Place, Taken
from tests.faults.oracle.terms import Terms, alert_of

MOST_LATER = 16
"""Corrections that are kept besides the first score."""

BANDS = (*["detractor"] * 7, *["passive"] * 2, *["promoter"] * 2)
Stamp = tuple[int, int]


class Revision(NamedTuple):
    """An answer after the response at `place`."""

    place: Place
    revision: int
    score: int | None
    comment: str | None
    counted: bool
    flag: str | None
    answered_ms: int
    received_ms: int


class Page(NamedTuple):
    """An alert that a revision must raise or resolve."""

    alert_id: str
    status: str
    severity: str
    revision: int
    place: Place


class Counted(NamedTuple):
    """What the panes hold of a survey."""

    at_ms: int
    band: str


@dataclass(slots=True)
class Outcome:
    """All that responses to one survey lead to; `held` were read too soon, `dead` came after the edit window."""

    held: Sequence[Place] = ()
    revisions: list[Revision] = field(default_factory=list)
    pages: list[Page] = field(default_factory=list)
    dead: dict[Place, str] = field(default_factory=dict)
    ignored: list[Place] = field(default_factory=list)
    counted: Counted | None = None


def outcomes(
    dispatch: SurveyDispatch, responses: Sequence[Taken], given_up: Collection[Place], terms: Terms
) -> Iterator[Outcome]:
    """What may have come of faultless responses to this survey; `given_up` died waiting for it."""
    for too_soon in range(len(responses) + 1):
        held, read = responses[:too_soon], responses[too_soon:]
        known = {_name(taken) for taken in read}
        if all(taken.place in given_up or _name(taken) in known for taken in held):
            yield _Register(dispatch, terms, Outcome(held=[taken.place for taken in held])).after(read)


class _Register:
    """One answer: its live scores in order of time, the newest comment, the newest withdrawal."""

    def __init__(self, dispatch: SurveyDispatch, terms: Terms, outcome: Outcome) -> None:
        self._dispatch, self._terms, self._outcome = dispatch, terms, outcome
        self._scores: dict[Stamp, int] = {}
        self._comment: tuple[Stamp, str] | None = None
        self._withdrawn_ms: int | None = None
        self._revision, self._severity = 0, ""

    def after(self, responses: Sequence[Taken]) -> Outcome:
        for taken in responses:
            event = taken.event
            assert isinstance(event, SurveyResponse)
            if self._scores and event.time > min(self._scores)[0] + self._terms.edit_ms:
                self._outcome.dead[taken.place] = "edit_closed"
            elif self._withdraw(event.time) if event.voided else self._say(event):
                self._publish(taken, event.time)
            else:
                self._outcome.ignored.append(taken.place)
        return self._outcome

    def _withdraw(self, at_ms: int) -> bool:
        if self._withdrawn_ms is not None and at_ms <= self._withdrawn_ms:
            return False
        self._withdrawn_ms = at_ms
        self._scores = {stamp: score for stamp, score in self._scores.items() if stamp[0] > at_ms}
        return True

    def _say(self, event: SurveyResponse) -> bool:
        stamp, news = (event.time, _fingerprint(event.source, event.id)), False
        withdrawn = self._withdrawn_ms is not None and event.time <= self._withdrawn_ms
        if event.score is not None and not withdrawn and stamp not in self._scores:
            self._scores[stamp], news = event.score, True
            self._trim()
        if event.comment is not None and (self._comment is None or stamp > self._comment[0]):
            self._comment, news = (stamp, event.comment), True
        return news

    def _trim(self) -> None:
        first, *later = sorted(self._scores)
        later = [stamp for stamp in later if stamp[0] <= first[0] + self._terms.edit_ms][-MOST_LATER:]
        self._scores = {stamp: self._scores[stamp] for stamp in (first, *later)}

    def _publish(self, taken: Taken, said_ms: int) -> None:
        self._revision += 1
        in_order = sorted(self._scores)
        first_ms = in_order[0][0] if in_order else said_ms
        score = self._scores[in_order[-1]] if in_order else None
        counts = score is not None and first_ms < self._dispatch.expires_ms
        flag = None if counts else "expired" if in_order else "voided" if self._withdrawn_ms is not None else "no_score"
        comment = self._comment[1] if self._comment else None
        self._outcome.revisions.append(
            Revision(taken.place, self._revision, score, comment, counts, flag, first_ms, taken.now_ms)
        )
        self._outcome.counted = Counted(first_ms, BANDS[score]) if counts and score is not None else None
        self._page(self._terms.severity(score) if counts and score is not None else "", taken.place)

    def _page(self, severity: str, place: Place) -> None:
        if severity or self._severity:
            status = "open" if severity else "resolved"
            name = alert_of(self._dispatch.survey_id, self._revision)
            self._outcome.pages.append(Page(name, status, severity or self._severity, self._revision, place))
        self._severity = severity


def _name(taken: Taken) -> tuple[str, str]:
    assert isinstance(taken.event, SurveyResponse)
    return taken.event.source, taken.event.id


def _fingerprint(source: str, id_: str) -> int:
    text = f"{len(source)}:{source}{len(id_)}:{id_}"
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)
