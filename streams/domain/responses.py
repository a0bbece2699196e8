"""Responses: a response becomes, corrects or withdraws the answer to its survey, or waits for that survey.

An answer counts in the minute in which its score was first given; a correction changes its band there, so that every
window that holds the answer changes and no other.
"""

from schemas.events import Answer, SurveyResponse
from schemas.reasons import Reason
from schemas.records import new, positional, replacer
from streams.domain import bounds, clicks, parts
from streams.domain.alerts import alert, severity
from streams.domain.effects import Count, Ignore, Reject, Step
from streams.domain.ids import fingerprint
from streams.domain.nps import Band, band
from streams.domain.parts import NO_ANSWER
from streams.domain.policy import Program
from streams.domain.state import Given, Invitation, Journey, Parked, Waiting

_with_invitations = replacer(Journey, "invitations", "reminders")
_with_given = replacer(Invitation, "given")
_as_revision = replacer(Given, "revision", "counted", "severity")
_with_score = replacer(Given, "scores", "parts")
_NO_MACHINES: frozenset[int] = frozenset()


def fault(event: SurveyResponse) -> Reject | None:
    """The rejection of a response that is invalid for any survey; None for a valid one."""
    if event.score is not None and not 0 <= event.score <= 10:
        return Reject(Reason.INVALID_SCORE, f"score {event.score} is not 0 to 10")
    if event.score is None and event.comment is None and not event.voided:
        return Reject(Reason.EMPTY_RESPONSE, "neither score nor comment nor withdrawal")
    return None


def respond(journey: Journey, event: SurveyResponse, step: Step) -> Journey:
    """Take a response: match it to its invitation, or park it until the invitation is known."""
    limits = step.program.limits
    oldest_ms = journey.clock_ms - limits.remember_ms
    for place, invitation in enumerate(journey.invitations):
        if invitation.survey_id == event.survey_id and invitation.sent_ms > oldest_ms:
            if event.provisional and clicks.is_provisional(event):
                updated, journey = _take_click(journey, invitation, event, step)
            else:
                updated = _take_answer(journey, invitation, event, step)
            if updated is invitation:
                return journey
            invitations, reminders = list(journey.invitations), journey.reminders
            invitations[place] = updated
            if reminders and updated.is_answered:
                reminders = tuple([message for message in reminders if message.survey_id != updated.survey_id])
            return _with_invitations(journey, tuple(invitations), reminders)
    held = Parked(event.survey_id, step.now_ms + limits.park_ms, step.raw)
    if len(step.raw) > bounds.LARGEST_HELD_BYTES:
        step.effects.append(_unknown_survey(held))
        return journey
    parked = (*journey.parked, held)
    too_many = bounds.given_up(parked, step.program.customer.held)
    step.effects.extend(_unknown_survey(oldest) for oldest in parked[:too_many])
    return journey._replace(parked=parked[too_many:])


def give_up(journey: Journey, step: Step) -> Journey:
    """Reject parked responses whose time is up and whose invitation is not about to be sent."""
    scheduled = {pending.survey_id for pending in journey.pending}
    overdue = [
        parked for parked in journey.parked if parked.until_ms <= step.now_ms and parked.survey_id not in scheduled
    ]
    if not overdue:
        return journey
    step.effects.extend(_unknown_survey(parked) for parked in overdue)
    return journey._replace(parked=tuple(parked for parked in journey.parked if parked not in overdue))


def _unknown_survey(parked: Parked) -> Reject:
    return Reject(Reason.UNKNOWN_SURVEY, f"survey {parked.survey_id} was not sent to this customer", parked.raw)


def _take_click(
    journey: Journey, invitation: Invitation, event: SurveyResponse, step: Step
) -> tuple[Invitation, Journey]:
    """Take a click or a trap: a click waits, and scores that turn out to be a machine's no longer count."""
    before = invitation.given or NO_ANSWER
    clicks_before = invitation.clicks or clicks.first_clicks(before)
    at_most = bounds.clicks_room(journey.invitations, clicks.MOST_CLICKS)
    if (clicks_after := clicks.with_click(clicks_before, event, at_most)) == clicks_before:
        step.effects.append(Ignore(Reason.DUPLICATE))
        return invitation, journey
    invitation = invitation._replace(clicks=clicks_after)
    given = _evaluated(invitation, before, parts.MOST_PARTS, step.program) if before.revision else before
    if given != before:
        invitation = _revised(invitation, before, given, event, step)
    for click in set(clicks_after.seen) - set(clicks_before.seen):
        due_ms = max(event.time, step.now_ms) + step.program.limits.confirm_ms
        if len(journey.waiting) >= bounds.MOST_WAITING:
            journey = clicks.confirm(journey, step, [min(journey.waiting)])
        journey = journey._replace(waiting=(*journey.waiting, Waiting(due_ms, invitation.survey_id, click)))
    return invitation, journey


def _take_answer(journey: Journey, invitation: Invitation, event: SurveyResponse, step: Step) -> Invitation:
    """Take an answer, or a part, correction or withdrawal of one.  What is closed is remembered and a dead letter."""
    before, program = invitation.given or NO_ANSWER, step.program
    score = parts.VOID if event.voided else parts.WORDS if event.score is None else event.score
    part, comment = (event.time, fingerprint(event.source, event.id), score), None if event.voided else event.comment
    if comment is None and score >= 0 and before is NO_ANSWER and invitation.clicks is None:
        return _revised(invitation, before, _with_score(before, (part,), (part,)), event, step)
    if invitation.clicks is not None:
        room = bounds.clicks_room(journey.invitations, clicks.MOST_CLICKS)
        if (clicks_after := clicks.with_person(invitation.clicks, event, room)) != invitation.clicks:
            invitation = invitation._replace(clicks=clicks_after)
    if comment is not None:
        comment = bounds.cut(comment, bounds.comment_room(journey.invitations))
    given = parts.with_part(before, part, comment)
    if given is before or part[1] in _machine_marks(invitation, program):
        step.effects.append(Ignore(Reason.DUPLICATE if given is before else Reason.SUPERSEDED))
        return invitation
    if comment is not None and comment != event.comment:
        step.effects.append(Ignore(Reason.CUT))
    if invitation.clicks is not None and not event.voided:
        for click in clicks.parts_of(invitation.survey_id, invitation.clicks):
            given = parts.with_part(given, click, None)
    most_parts = bounds.parts_room(journey.invitations, parts.MOST_PARTS) if before.revision else parts.MOST_PARTS
    given = _evaluated(invitation, given, most_parts, program)
    closes_ms = parts.closing_ms(given.parts, program.limits.edit_ms)
    revised = _revised(invitation, before, given, event, step)
    if closes_ms is not None and event.time > closes_ms:
        step.effects.append(Reject(Reason.EDIT_CLOSED, f"corrections ended at {closes_ms}"))
    elif revised.given is not None and revised.given.revision == before.revision:
        step.effects.append(Ignore(Reason.SUPERSEDED))
    return revised


def _machine_marks(invitation: Invitation, program: Program) -> frozenset[int]:
    """The fingerprints of confirmations that say nothing, for a machine clicked."""
    if invitation.clicks is None:
        return _NO_MACHINES
    return clicks.machine_marks(invitation.survey_id, invitation.clicks, program.limits.confirm_ms)


def _evaluated(invitation: Invitation, given: Given, most_parts: int, program: Program) -> Given:
    """The answer without what machines made, and with what holds of it."""
    return parts.evaluate(given, _machine_marks(invitation, program), program.limits.edit_ms, most_parts)


def _revised(invitation: Invitation, before: Given, given: Given, event: SurveyResponse, step: Step) -> Invitation:
    """The invitation with its answer; where it changed as the next revision, counted, published and alerted on.

    An alert tells of a score, a band or a comment that is new: whoever was paged is not paged again for less.
    """
    given = _classified(invitation, given, before.revision + 1, step.program)
    is_first = before is NO_ANSWER and given.counted is not None  # most are, and need no comparison
    is_news = is_first or _content(given) != _content(before)
    if not is_news and _is_like(invitation, given, before, step.program):
        return _with_given(invitation, given._replace(revision=before.revision))
    if given.counted != before.counted:
        _count(invitation.segments, before.counted, given.counted, step)
    step.effects.append(_answer_record(invitation, given, event, step))
    if is_news and (given.severity or before.severity):
        step.effects.append(alert(invitation, given, before.severity, step))
    return _with_given(invitation, given)


def _content(given: Given) -> tuple[int | None, Band | None, str | None]:
    """Score, band if it counts, and comment of an answer: what an alert tells."""
    score = given.scores[-1][2] if given.scores else None
    return score, given.counted[1] if given.counted is not None else None, given.comment


def _is_like(invitation: Invitation, given: Given, before: Given, program: Program) -> bool:
    """True when two answers of one content are also of one instant, and both count or do not for one reason."""
    if given.scores[:1] != before.scores[:1] and given.scores[0][0] != before.scores[0][0]:
        return False
    if given.counted is not None:
        return given.counted == before.counted
    is_known = bool(before.revision or not given.parts)
    return is_known and _flag(invitation, given, program) == _flag(invitation, before, program)


def _classified(invitation: Invitation, given: Given, revision: int, program: Program) -> Given:
    """The answer as this revision, with its instant and band in the tallies, if it counts, and its severity."""
    scores, ended_ms = given.scores, invitation.cancelled_ms
    counted, alert_severity = None, ""
    if scores and scores[0][0] < (invitation.expires_ms if ended_ms < 0 else min(ended_ms, invitation.expires_ms)):
        score = scores[-1][2]
        counted = (scores[0][0], band(score))
        alert_severity = severity(score, program.alerts)
    return _as_revision(given, revision, counted, alert_severity)


def _count(
    segments: tuple[str, ...], before: tuple[int, Band] | None, after: tuple[int, Band] | None, step: Step
) -> None:
    for counted, sign in ((before, -1), (after, 1)):
        if counted is not None:
            step.effects.append(new(Count, (segments, counted[0], counted[1], sign)))


@positional
def _answer_record(invitation: Invitation, given: Given, event: SurveyResponse, step: Step) -> Answer:
    scores, counted = given.scores, given.counted
    first_ms, score = (scores[0][0], scores[-1][2]) if scores else (event.time, None)
    return Answer(
        survey_id=invitation.survey_id,
        customer_id=event.customer_id,
        survey=invitation.survey,
        rule=invitation.rule,
        correlation_id=invitation.correlation,
        response_source=event.source,
        response_id=event.id,
        revision=given.revision,
        score=score,
        band=band(score) if score is not None else None,
        comment=given.comment,
        counted=counted is not None,
        flag=_flag(invitation, given, step.program) if counted is None else None,
        sent_ms=invitation.sent_ms,
        answered_ms=first_ms,
        received_ms=step.now_ms,
        segments=invitation.segments,
        dimensions=dict(invitation.dimensions),
        program=step.program.hash,
        version=0,
    )


def _flag(invitation: Invitation, given: Given, program: Program) -> Reason:
    if given.scores:
        return Reason.CANCELLED if 0 <= invitation.cancelled_ms < invitation.expires_ms else Reason.EXPIRED
    all_clicks, confirm_ms = invitation.clicks, program.limits.confirm_ms
    is_machine = all_clicks is not None and bool(clicks.machine_made(all_clicks, confirm_ms))
    return Reason.VOIDED if is_machine or given.voided_ms >= 0 else Reason.NO_SCORE
