"""Responses: a response becomes, corrects or withdraws the answer to its survey, or waits for that survey.

An answer counts in the minute in which its score was first given; a correction changes its band there, so that every
window that holds the answer changes and no other.
"""

from schemas.events import Answer, SurveyResponse
from schemas.reasons import Reason
from schemas.records import new, positional, replacer
from streams.domain import clicks
from streams.domain.alerts import alert, severity
from streams.domain.effects import Count, Ignore, Reject, Step
from streams.domain.ids import fingerprint
from streams.domain.nps import Band, band
from streams.domain.policy import Program
from streams.domain.state import Clicks, Given, Invitation, Journey, Parked, Waiting

NO_ANSWER = Given()

MOST_PARKED = 64
"""The most parked responses of a customer; the oldest gives way."""

MOST_CORRECTIONS = 16
"""The most scores kept of an answer besides the first."""

Scores = tuple[tuple[int, int, int], ...]
"""(time, fingerprint, score) of each, in order of time, as `Given` keeps them."""

_with_invitations = replacer(Journey, "invitations", "reminders")
_with_given = replacer(Invitation, "given")
_merged = replacer(Given, "scores", "comment", "comment_stamp")
_next_revision = replacer(Given, "revision", "counted", "severity")


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
                updated = _take_answer(invitation, event, step)
            if updated is invitation:
                return journey
            invitations, reminders = list(journey.invitations), journey.reminders
            invitations[place] = updated
            if reminders and updated.is_answered:
                reminders = tuple([message for message in reminders if message.survey_id != updated.survey_id])
            return _with_invitations(journey, tuple(invitations), reminders)
    parked = (*journey.parked, Parked(event.survey_id, step.now_ms + limits.park_ms, step.raw))
    step.effects.extend(_unknown_survey(oldest) for oldest in parked[:-MOST_PARKED])
    return journey._replace(parked=parked[-MOST_PARKED:])


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
    before, clicks_before = invitation.given or NO_ANSWER, invitation.clicks or Clicks()
    if not event.voided and (closed := _edit_closed(before, event, step.program)):
        step.effects.append(closed)
        return invitation, journey
    if (clicks_after := clicks.with_click(clicks_before, event)) == clicks_before:
        step.effects.append(Ignore(Reason.DUPLICATE))
        return invitation, journey
    invitation = invitation._replace(clicks=clicks_after)
    given = _without_machine_clicks(invitation, before, before, False, step.program)
    if given is not before:
        invitation = _revised(invitation, before, given, event, step)
    for click in set(clicks_after.seen) - set(clicks_before.seen):
        due_ms = max(event.time, step.now_ms) + step.program.limits.confirm_ms
        journey = journey._replace(waiting=(*journey.waiting, Waiting(due_ms, invitation.survey_id, click)))
    return invitation, journey


def _take_answer(invitation: Invitation, event: SurveyResponse, step: Step) -> Invitation:
    before, program = invitation.given or NO_ANSWER, step.program
    if before.scores and (closed := _edit_closed(before, event, program)):
        step.effects.append(closed)
        return invitation
    stamp = (event.time, fingerprint(event.source, event.id))
    given = _void(before, event.time) if event.voided else _merge(before, event, stamp, program.limits.edit_ms)
    if invitation.clicks is not None:
        given = _without_machine_clicks(invitation, before, given, not event.voided, program)
    if given is before:
        stamps = {before.comment_stamp, *((at_ms, mark) for at_ms, mark, _ in before.scores)}
        repeated = stamp in stamps or (event.voided and event.time == before.voided_ms)
        step.effects.append(Ignore(Reason.DUPLICATE if repeated else Reason.SUPERSEDED))
        return invitation
    return _revised(invitation, before, given, event, step)


def _edit_closed(before: Given, event: SurveyResponse, program: Program) -> Reject | None:
    if before.scores and event.time > (end_ms := before.scores[0][0] + program.limits.edit_ms):
        return Reject(Reason.EDIT_CLOSED, f"corrections ended at {end_ms}")
    return None


def _without_machine_clicks(
    invitation: Invitation, before: Given, given: Given, is_person: bool, program: Program
) -> Given:
    """The scores of `given` without machine-made clicks; `before` itself when nothing changed."""
    scores = clicks.human_scores(invitation, given, is_person, program.limits.confirm_ms)
    given = given._replace(scores=_within_edit_window(list(scores), program.limits.edit_ms) if scores else ())
    return before if given == before else given


def _revised(invitation: Invitation, before: Given, given: Given, event: SurveyResponse, step: Step) -> Invitation:
    """The invitation with the next revision of its answer, which is counted, published and alerted on."""
    given = _classified(invitation, given, step.program)
    if given.counted != before.counted:
        _count(invitation.segments, before.counted, given.counted, step)
    step.effects.append(_answer_record(invitation, given, event, step))
    if given.severity or before.severity:
        step.effects.append(alert(invitation, given, before.severity, step))
    return _with_given(invitation, given)


def _merge(given: Given, event: SurveyResponse, stamp: tuple[int, int], edit_ms: int) -> Given:
    """The answer so far joined with the response; `given` itself when the response holds nothing new."""
    scores, comment, comment_stamp = given.scores, given.comment, given.comment_stamp
    if event.score is not None and event.time > given.voided_ms and (score := (*stamp, event.score)) not in scores:
        scores = _within_edit_window(sorted((*scores, score)), edit_ms) if scores else (score,)
    if event.comment is not None and stamp > comment_stamp:
        comment, comment_stamp = event.comment, stamp
    if scores is given.scores and comment_stamp is given.comment_stamp:
        return given
    return _merged(given, scores, comment, comment_stamp)


def _void(given: Given, at_ms: int) -> Given:
    if at_ms <= given.voided_ms:
        return given
    return given._replace(voided_ms=at_ms, scores=tuple(score for score in given.scores if score[0] > at_ms))


def _within_edit_window(scores: list[tuple[int, int, int]], edit_ms: int) -> Scores:
    """The first score and the last few within its edit window: enough to find the first after a late withdrawal."""
    first, *later = scores
    return (first, *[score for score in later if score[0] <= first[0] + edit_ms][-MOST_CORRECTIONS:])


def _classified(invitation: Invitation, given: Given, program: Program) -> Given:
    """The next revision of the answer, with its instant and band in the tallies, if it counts, and its severity."""
    scores, ended_ms = given.scores, invitation.cancelled_ms
    counted, alert_severity = None, ""
    if scores and scores[0][0] < (invitation.expires_ms if ended_ms < 0 else min(ended_ms, invitation.expires_ms)):
        score = scores[-1][2]
        counted = (scores[0][0], band(score))
        alert_severity = severity(score, program.alerts)
    return _next_revision(given, given.revision + 1, counted, alert_severity)


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
