"""Provisional answers: a click on a score link counts once it is likely that a person made it.

Mail scanners open links too, often all of them.  So a click waits for `limits.confirm`; then, or as soon as a person
shows (the page's own beacon, a comment, any answer that is not provisional), it is an answer of the click's minute.
Clicks are a machine's for good when three different scores of one survey lie within that time, or a trap does, which
is a link that no person can see or a HEAD request.  This depends on times alone, never on the order of arrival.
"""

from collections.abc import Sequence
from typing import TypeVar

from schemas.events import SurveyResponse
from streams.domain import parts
from streams.domain.effects import Confirm, Step
from streams.domain.ids import confirmation_id, fingerprint
from streams.domain.policy import Program
from streams.domain.state import AnswerPart, Click, Clicks, Given, Invitation, Journey, Waiting

SOURCE = "nps.collector"
CONFIRMED = "survey.confirmed"
CHANNEL = "link"
MOST_CLICKS = 64
"""The most clicks of a survey that are remembered, and the most traps: the newest."""

_MACHINE_SCORES = 3
T = TypeVar("T", int, Click)


def is_provisional(event: SurveyResponse) -> bool:
    """True for a click or a trap; a comment is a person's whatever its `provisional` says."""
    return event.provisional and (event.voided or event.comment is None)


def with_click(clicks: Clicks, event: SurveyResponse, at_most: int = MOST_CLICKS) -> Clicks:
    """The clicks and a provisional response, click or trap; equal to `clicks` when it is known, or older than all."""
    if event.voided or event.score is None:
        return clicks._replace(traps=_newest({*clicks.traps, event.time}, at_most))
    return clicks._replace(seen=_newest({*clicks.seen, Click(event.time, event.score)}, at_most))


def machine_made(clicks: Clicks, within_ms: int) -> frozenset[Click]:
    """The clicks that no person made: three different scores, or a trap, less than `within_ms` apart."""
    machines: set[Click] = set()
    for place, first in enumerate(clicks.seen):
        nearby = [click for click in clicks.seen[place:] if click.time_ms - first.time_ms < within_ms]
        if len({click.score for click in nearby}) >= _MACHINE_SCORES:
            machines.update(nearby)
        if any(abs(first.time_ms - trap_ms) < within_ms for trap_ms in clicks.traps):
            machines.add(first)
    return frozenset(machines)


def machine_marks(survey_id: str, clicks: Clicks, within_ms: int) -> frozenset[int]:
    """The fingerprints of the answers that machine-made clicks would become."""
    return frozenset([_mark(survey_id, click) for click in machine_made(clicks, within_ms)])


def parts_of(survey_id: str, clicks: Clicks) -> list[AnswerPart]:
    """The parts of the answer that the clicks become, all of them, once a person shows."""
    return [(click.time_ms, _mark(survey_id, click), click.score) for click in clicks.seen]


def confirmation(survey_id: str, customer_id: str, click: Click) -> SurveyResponse:
    """The answer that a click becomes: the same after its wait and from the page's beacon, so that it counts once."""
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
            step.effects.append(Confirm(answer, at_ms))
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


def _newest(values: set[T], at_most: int) -> tuple[T, ...]:
    return tuple(sorted(values)[-at_most:])
