"""The answering half of a journey: a response becomes, corrects or withdraws an answer.

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

NOTHING = Given()

MOST_PARKED = 64
"""Parked responses a customer may have; the oldest gives way."""

MOST_CORRECTIONS = 16
"""Correction times kept of an answer besides the first."""

Scores = tuple[tuple[int, int, int], ...]
"""Time, fingerprint and score of each, as `Given` keeps them."""

Statement = tuple[Scores, str | None, tuple[int, int], int]
"""The part of `Given` that responses change: scores, comment, the comment's stamp, and the time of a withdrawal."""

_with_invitations = replacer(Journey, "invitations", "reminders")
_with_given = replacer(Invitation, "given")
_next_revision = replacer(Given, "revision", "scores", "comment", "comment_stamp", "voided_ms", "counted", "severity")


def fault(event: SurveyResponse) -> Reject | None:
    """What is wrong with a response whatever survey it answers; None when nothing is."""
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
                answered, journey = _open(journey, invitation, event, step)
            else:
                answered = _answer(invitation, event, step)
            if answered is invitation:
                return journey
            invitations, reminders = list(journey.invitations), journey.reminders
            invitations[place] = answered
            if reminders and answered.is_answered:
                reminders = tuple([message for message in reminders if message.survey_id != answered.survey_id])
            return _with_invitations(journey, tuple(invitations), reminders)
    parked = (*journey.parked, Parked(event.survey_id, step.now_ms + limits.park_ms, step.raw))
    step.effects.extend(_give_up(oldest) for oldest in parked[:-MOST_PARKED])
    return journey._replace(parked=parked[-MOST_PARKED:])


def give_up(journey: Journey, step: Step) -> Journey:
    """Reject parked responses whose time is up and whose invitation is not about to be sent."""
    coming = {pending.survey_id for pending in journey.pending}
    lost = [parked for parked in journey.parked if parked.until_ms <= step.now_ms and parked.survey_id not in coming]
    if not lost:
        return journey
    step.effects.extend(_give_up(parked) for parked in lost)
    return journey._replace(parked=tuple(parked for parked in journey.parked if parked not in lost))


def _give_up(parked: Parked) -> Reject:
    return Reject(Reason.UNKNOWN_SURVEY, f"survey {parked.survey_id} was not sent to this customer", parked.raw)


def _open(journey: Journey, invitation: Invitation, event: SurveyResponse, step: Step) -> tuple[Invitation, Journey]:
    """Take a click or a trap: a click waits, and what turns out to be a machine's no longer counts."""
    before, known = invitation.given or NOTHING, invitation.clicks or Clicks()
    if not event.voided and (closed := _closed(before.scores, event, step.program)):
        step.effects.append(closed)
        return invitation, journey
    if (seen := clicks.taken(known, event)) == known:
        step.effects.append(Ignore(Reason.DUPLICATE))
        return invitation, journey
    invitation, stated = invitation._replace(clicks=seen), _stated(before)
    statement = _by_people(invitation, stated, stated, False, step.program)
    if statement is not stated:
        invitation = _revised(invitation, before, statement, event, step)
    for click in set(seen.seen) - set(known.seen):
        due_ms = max(event.time, step.now_ms) + step.program.limits.confirm_ms
        journey = journey._replace(waiting=(*journey.waiting, Waiting(due_ms, invitation.survey_id, click)))
    return invitation, journey


def _answer(invitation: Invitation, event: SurveyResponse, step: Step) -> Invitation:
    before, program = invitation.given or NOTHING, step.program
    stated = _stated(before)
    if closed := _closed(stated[0], event, program):
        step.effects.append(closed)
        return invitation
    stamp = (event.time, fingerprint(event.source, event.id))
    statement = _void(stated, event.time) if event.voided else _merge(stated, event, stamp, program.limits.edit_ms)
    if invitation.clicks is not None:
        statement = _by_people(invitation, stated, statement, not event.voided, program)
    if statement is stated:
        known = {before.comment_stamp, *((at_ms, print_) for at_ms, print_, _ in before.scores)}
        repeated = stamp in known or (event.voided and event.time == before.voided_ms)
        step.effects.append(Ignore(Reason.DUPLICATE if repeated else Reason.SUPERSEDED))
        return invitation
    return _revised(invitation, before, statement, event, step)


def _stated(given: Given) -> Statement:
    return given.scores, given.comment, given.comment_stamp, given.voided_ms


def _closed(scores: Scores, event: SurveyResponse, program: Program) -> Reject | None:
    if scores and event.time > (end_ms := scores[0][0] + program.limits.edit_ms):
        return Reject(Reason.EDIT_CLOSED, f"corrections ended at {end_ms}")
    return None


def _by_people(
    invitation: Invitation, before: Statement, statement: Statement, is_person: bool, program: Program
) -> Statement:
    """The statement without machine-made clicks; `before` itself when nothing changed."""
    scores, comment, comment_stamp, voided_ms = statement
    limits = program.limits
    scores = clicks.weeded(invitation, scores, voided_ms, is_person, limits.confirm_ms)
    statement = (_kept(list(scores), limits.edit_ms) if scores else (), comment, comment_stamp, voided_ms)
    return before if statement == before else statement


def _revised(
    invitation: Invitation, before: Given, statement: Statement, event: SurveyResponse, step: Step
) -> Invitation:
    """The invitation with the next revision of its answer, which is counted, published and alerted on."""
    counted, severe = _weighed(invitation, statement[0], step.program)
    given = _next_revision(before, before.revision + 1, *statement, counted, severe)
    if counted != before.counted:
        _recount(invitation.segments, before.counted, counted, step)
    step.effects.append(_published(invitation, given, event, step))
    if severe or before.severity:
        step.effects.append(alert(invitation, given, before.severity, step))
    return _with_given(invitation, given)


def _merge(statement: Statement, event: SurveyResponse, stamp: tuple[int, int], edit_ms: int) -> Statement:
    """The statement, joined with the response; itself when the response holds nothing new."""
    known, comment, comment_stamp, voided_ms = statement
    scores, known_stamp = known, comment_stamp
    if event.score is not None and event.time > voided_ms and (score := (*stamp, event.score)) not in scores:
        scores = _kept(sorted((*scores, score)), edit_ms) if scores else (score,)
    if event.comment is not None and stamp > comment_stamp:
        comment, comment_stamp = event.comment, stamp
    if scores is known and comment_stamp is known_stamp:
        return statement
    return scores, comment, comment_stamp, voided_ms


def _void(statement: Statement, at_ms: int) -> Statement:
    scores, comment, comment_stamp, voided_ms = statement
    if at_ms <= voided_ms:
        return statement
    return tuple(score for score in scores if score[0] > at_ms), comment, comment_stamp, at_ms


def _kept(scores: list[tuple[int, int, int]], edit_ms: int) -> Scores:
    """The first and the last few within its edit window: enough to find the first again after a late withdrawal."""
    first, *later = scores
    return (first, *[score for score in later if score[0] <= first[0] + edit_ms][-MOST_CORRECTIONS:])


def _weighed(invitation: Invitation, scores: Scores, program: Program) -> tuple[tuple[int, Band] | None, str]:
    """When and in which band the answer counts, None for not; and how bad it is, empty for not."""
    ended_ms = invitation.cancelled_ms
    if scores and scores[0][0] < (invitation.expires_ms if ended_ms < 0 else min(ended_ms, invitation.expires_ms)):
        score = scores[-1][2]
        return (scores[0][0], band(score)), severity(score, program.alerts)
    return None, ""


def _recount(segments: tuple[str, ...], old: tuple[int, Band] | None, now: tuple[int, Band] | None, step: Step) -> None:
    for counted, sign in ((old, -1), (now, 1)):
        if counted is not None:
            step.effects.append(new(Count, (segments, counted[0], counted[1], sign)))


@positional
def _published(invitation: Invitation, given: Given, event: SurveyResponse, step: Step) -> Answer:
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
    seen, confirm_ms = invitation.clicks, program.limits.confirm_ms
    is_machine = seen is not None and bool(clicks.machine_made(seen, confirm_ms))
    return Reason.VOIDED if is_machine or given.voided_ms >= 0 else Reason.NO_SCORE
