"""Provisional answers: a click on a score link counts once it is likely that a person made it.

Mail scanners open links too, often all of them.  So a click waits for `limits.confirm`; then, or as soon as a person
shows (the page's own beacon, a comment, any answer that is not provisional), it is an answer of the click's minute.
Clicks are a machine's for good when three different scores of one survey lie within that time, or a trap does, which
is a link that no person can see.  They are a machine's unless a person shows on that visit when a HEAD request lies
within that time, another score within seconds, or when the page was left for another answer and come back to.  This
depends on times alone, never on the order of arrival.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeVar

from schemas.events import SurveyResponse
from schemas.topics import COLLECTOR
from streams.domain import parts
from streams.domain.effects import Confirm, Step
from streams.domain.ids import confirmation_id, fingerprint
from streams.domain.policy import Program
from streams.domain.state import AnswerPart, Click, Clicks, Given, Invitation, Journey, Waiting

SOURCE = COLLECTOR
CONFIRMED = "survey.confirmed"
"""Type of the answer that the page's beacon makes of a click: a person looks at it."""

WAITED = "survey.waited"
"""Type of the same answer when the click's wait is over and no person showed."""

HEADED = "survey.headed"
"""Type of the trap that a HEAD request is: it voids only visits on which no person shows."""

CHANNEL = "link"
MOST_CLICKS = 64
"""The most clicks of a survey that are remembered, and the most traps: the newest."""

SECONDS_APART_MS = 6_000
"""Scores less than this apart are doubtful: five seconds in sight, and one for the way, would have shown a person."""

_MACHINE_SCORES = 3
_NO_SCORE = -1
T = TypeVar("T", int, Click)


def is_provisional(event: SurveyResponse) -> bool:
    """True for a click or a trap; a comment is a person's whatever its `provisional` says."""
    return event.provisional and (event.voided or event.comment is None)


def with_click(clicks: Clicks, event: SurveyResponse, at_most: int = MOST_CLICKS) -> Clicks:
    """The clicks and a provisional response, click or trap; equal to `clicks` when it is known, or older than all."""
    if event.type == HEADED:
        return clicks._replace(heads=_newest({*clicks.heads, event.time}, _few(at_most)))
    if event.voided or event.score is None:
        return clicks._replace(traps=_newest({*clicks.traps, event.time}, at_most))
    return clicks._replace(seen=_newest({*clicks.seen, Click(event.time, event.score)}, at_most))


def with_person(clicks: Clicks, event: SurveyResponse, at_most: int = MOST_CLICKS) -> Clicks:
    """The clicks and the person whom an answer shows, which a withdrawal or a click whose wait is over does not."""
    if event.voided or event.type == WAITED:
        return clicks
    shown = Click(event.time, _NO_SCORE if event.score is None else event.score)
    return clicks._replace(persons=_newest({*clicks.persons, shown}, _few(at_most)))


def first_clicks(given: Given) -> Clicks:
    """No clicks yet, and the persons whom the answer so far shows."""
    shown = {Click(at_ms, max(score, _NO_SCORE)) for at_ms, _, score in parts.parts_of(given) if score != parts.VOID}
    return Clicks(persons=_newest(shown, _few(MOST_CLICKS)))


@lru_cache(maxsize=16)  # asked several times of the same clicks in one step
def machine_made(clicks: Clicks, within_ms: int) -> frozenset[Click]:
    """The clicks that no person made: the signs of a machine and of persons, less than `within_ms` apart, decide."""
    machines: set[Click] = _doubtful(clicks, within_ms) - _persons_clicks(clicks, within_ms)
    for place, first in enumerate(clicks.seen):
        nearby = [click for click in clicks.seen[place:] if click.time_ms - first.time_ms < within_ms]
        if len({click.score for click in nearby}) >= _MACHINE_SCORES:
            machines.update(nearby)
        if any(abs(first.time_ms - trap_ms) < within_ms for trap_ms in clicks.traps):
            machines.add(first)
    return frozenset(machines)


def _doubtful(clicks: Clicks, within_ms: int) -> set[Click]:
    """The clicks near a HEAD, near another score, or of a page come back to: machines' unless a person shows."""
    doubtful = set[Click]()
    for head_ms in clicks.heads:
        doubtful.update([click for click in clicks.seen if abs(click.time_ms - head_ms) < within_ms])
    for place, click in enumerate(clicks.seen):
        for later in clicks.seen[place + 1 :]:
            if later.time_ms - click.time_ms >= min(SECONDS_APART_MS, within_ms):
                break
            if later.score != click.score:
                doubtful.update((click, later))
    written = [person for person in clicks.persons if person.score != _NO_SCORE and person not in clicks.seen]
    for person in written:
        left = {click.score for click in clicks.seen if click.time_ms < person.time_ms} - {person.score}
        doubtful.update([click for click in clicks.seen if click.time_ms > person.time_ms and click.score in left])
    return doubtful


def _persons_clicks(clicks: Clicks, within_ms: int) -> set[Click]:
    """The clicks whose page was looked at, and of each other answer the click that led to it, the last one before."""
    shown = set(clicks.persons).intersection(clicks.seen)
    for person in shown.symmetric_difference(clicks.persons):
        led = [click for click in clicks.seen if 0 <= person.time_ms - click.time_ms < within_ms]
        shown.update(led[-1:])
    return shown


def machine_marks(survey_id: str, clicks: Clicks, within_ms: int) -> frozenset[int]:
    """The fingerprints of the answers that machine-made clicks would become."""
    return frozenset([_mark(survey_id, click) for click in machine_made(clicks, within_ms)])


def parts_of(survey_id: str, clicks: Clicks) -> list[AnswerPart]:
    """The parts of the answer that the clicks become, all of them, once a person shows."""
    return [(click.time_ms, _mark(survey_id, click), click.score) for click in clicks.seen]


def confirmation(survey_id: str, customer_id: str, click: Click) -> SurveyResponse:
    """The answer that a click becomes: after its wait and from the page's beacon under one id, so it counts once."""
    id_ = _id_of(survey_id, click)
    return SurveyResponse(
        SOURCE, id_, CONFIRMED, click.time_ms, customer_id, survey_id, click.score, None, False, CHANNEL, False
    )


def confirm_due(journey: Journey, step: Step, to_ms: int) -> Journey:
    """Confirm the clicks whose wait is over at `to_ms`, as answers on the responses' topic; drop those of machines."""
    due = [waiting for waiting in journey.waiting if waiting.due_ms <= to_ms]
    return confirm(journey, step, due) if due else journey


def confirm(journey: Journey, step: Step, due: Sequence[Waiting]) -> Journey:
    """Confirm these clicks, as answers on the responses' topic; drop those of machines."""
    clicked = {invitation.survey_id: invitation for invitation in journey.invitations if invitation.clicks}
    for waiting in sorted(due):
        invitation = clicked.get(waiting.survey_id)
        if invitation is not None and _is_unconfirmed(invitation, waiting.click, step.program):
            answer = confirmation(waiting.survey_id, step.customer_id, waiting.click)
            at_ms = min(waiting.due_ms, waiting.click.time_ms + step.program.limits.late_ms)
            step.effects.append(Confirm(answer._replace(type=WAITED), at_ms))
    return journey._replace(waiting=tuple(waiting for waiting in journey.waiting if waiting not in due))


def waits_ms(journey: Journey, invitation: Invitation, program: Program) -> list[int]:
    """The times at which the wait of this survey's clicks is over, of those that are no machine's as far as known."""
    return [
        waiting.due_ms
        for waiting in journey.waiting
        if waiting.survey_id == invitation.survey_id and _is_unconfirmed(invitation, waiting.click, program)
    ]


def is_unconfirmed(invitation: Invitation, program: Program) -> bool:
    """True when a person seems to have clicked and the answer is not there yet: it waits, or is being put back."""
    clicks = invitation.clicks.seen if invitation.clicks is not None else ()
    return any(_is_unconfirmed(invitation, click, program) for click in clicks)


def _is_unconfirmed(invitation: Invitation, click: Click, program: Program) -> bool:
    """True while a click is neither a part of the answer yet nor a machine's."""
    clicks, mark = invitation.clicks or Clicks(), _mark(invitation.survey_id, click)
    if click not in clicks.seen or any(known == mark for _, known, _ in parts.parts_of(invitation.given or Given())):
        return False
    return click not in machine_made(clicks, program.limits.confirm_ms)


def _mark(survey_id: str, click: Click) -> int:
    return fingerprint(SOURCE, _id_of(survey_id, click))


def _id_of(survey_id: str, click: Click) -> str:
    return confirmation_id(survey_id, click.time_ms, click.score)


def _few(at_most: int) -> int:
    """The most signs of HEADs and of persons to remember beside so many clicks."""
    return max(1, at_most // 4)


def _newest(values: set[T], at_most: int) -> tuple[T, ...]:
    return tuple(sorted(values)[-at_most:])
