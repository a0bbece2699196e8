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

BANDS = (*["detractor"] * 7, *["passive"] * 2, *["promoter"] * 2)


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


class _Said(NamedTuple):
    """What would hold had the parts come in order of time."""

    score: int | None
    first_ms: int | None
    comment: str | None
    withdrawn: bool
    closes_ms: int | None


class _Register:
    """One answer: the earliest copy of each part, gone through in order of time after each that is read."""

    def __init__(self, dispatch: SurveyDispatch, terms: Terms, outcome: Outcome) -> None:
        self._dispatch, self._terms, self._outcome = dispatch, terms, outcome
        self._parts: dict[tuple[str, str], SurveyResponse] = {}
        self._revision, self._severity = 0, ""
        self._seen: tuple[object, ...] = (None, None, None, False, None)

    def after(self, responses: Sequence[Taken]) -> Outcome:
        for taken in responses:
            event, name = taken.event, _name(taken)
            assert isinstance(event, SurveyResponse)
            if name in self._parts and self._parts[name].time <= event.time:
                self._outcome.ignored.append(taken.place)
                continue
            self._parts[name] = event
            said = self._said()
            is_dead = said.closes_ms is not None and event.time > said.closes_ms
            if is_dead:
                self._outcome.dead[taken.place] = "edit_closed"
            if not self._publish(taken, event.time, said) and not is_dead:
                self._outcome.ignored.append(taken.place)
        return self._outcome

    def _said(self) -> _Said:
        first_ms, score, comment, withdrawn = None, None, None, False
        for part in sorted(self._parts.values(), key=_in_time):
            if first_ms is not None and part.time > first_ms + self._terms.edit_ms:
                break
            if part.voided:
                first_ms, score, withdrawn = None, None, True
                continue
            if part.score is not None:
                first_ms, score = part.time if first_ms is None else first_ms, part.score
            if part.comment is not None:
                comment = part.comment
        return _Said(score, first_ms, comment, withdrawn, first_ms and first_ms + self._terms.edit_ms)

    def _publish(self, taken: Taken, said_ms: int, said: _Said) -> bool:
        """Publish the answer unless all that is seen of it was so before."""
        score, first_ms = said.score, said_ms if said.first_ms is None else said.first_ms
        counts = score is not None and first_ms < self._dispatch.expires_ms
        scoreless = "voided" if said.withdrawn else "no_score"
        flag = None if counts else "expired" if score is not None else scoreless
        seen = (score, said.first_ms, said.comment, counts, flag)
        if seen == self._seen:
            return False
        self._revision += 1
        self._outcome.revisions.append(
            Revision(taken.place, self._revision, score, said.comment, counts, flag, first_ms, taken.now_ms)
        )
        self._outcome.counted = Counted(first_ms, BANDS[score]) if counts and score is not None else None
        is_news = (seen[0], *seen[2:4]) != (self._seen[0], *self._seen[2:4])
        self._page(self._terms.severity(score) if counts and score is not None else "", taken.place, is_news)
        self._seen = seen
        return True

    def _page(self, severity: str, place: Place, is_news: bool) -> None:
        if is_news and (severity or self._severity):
            status = "open" if severity else "resolved"
            name = alert_of(self._dispatch.survey_id, self._revision)
            self._outcome.pages.append(Page(name, status, severity or self._severity, self._revision, place))
        self._severity = severity


def _in_time(part: SurveyResponse) -> tuple[int, bool, int]:
    return part.time, part.voided, _fingerprint(part.source, part.id)


def _name(taken: Taken) -> tuple[str, str]:
    assert isinstance(taken.event, SurveyResponse)
    return taken.event.source, taken.event.id


def _fingerprint(source: str, id_: str) -> int:
    text = f"{len(source)}:{source}{len(id_)}:{id_}"
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)
