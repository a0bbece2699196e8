"""The answering half of a journey: a response becomes, corrects or withdraws an answer.

An answer counts in the minute in which its score was first given; a correction changes its band there, so that every
window that holds the answer changes and no other.
"""

from schemas.events import Answer, SurveyResponse
from schemas.reasons import Reason
from schemas.records import new
from streams.domain import clicks
from streams.domain.alerts import alert, severity
from streams.domain.effects import Count, Effect, Ignore, Reject
from streams.domain.ids import fingerprint
from streams.domain.nps import Band, band
from streams.domain.policy import Program
from streams.domain.state import Clicks, Given, Invitation, Journey, Parked, Waiting

NOTHING = Given()

MOST_PARKED = 64
"""Held responses a customer may have; the oldest gives way."""


MOST_CORRECTIONS = 16
"""Correction times kept of an answer besides the first."""


def fault(event: SurveyResponse) -> Reject | None:
    """What is wrong with a response whatever survey it answers; None when nothing is."""
    if event.score is not None and not 0 <= event.score <= 10:
        return Reject(Reason.INVALID_SCORE, f"score {event.score} is not 0 to 10")
    if event.score is None and event.comment is None and not event.voided:
        return Reject(Reason.EMPTY_RESPONSE, "neither score nor comment nor withdrawal")
    return None


def respond(
    journey: Journey, event: SurveyResponse, program: Program, now_ms: int, raw: bytes, effects: list[Effect]
) -> Journey:
    """Take a response: match it to its invitation, or hold it until the invitation is known."""
    oldest_ms = journey.clock_ms - program.limits.remember_ms
    for index, invitation in enumerate(journey.invitations):
        if invitation.survey_id == event.survey_id and invitation.sent_ms > oldest_ms:
            if event.provisional and clicks.is_provisional(event):
                answered, journey = _open(journey, invitation, event, program, now_ms, effects)
            else:
                answered = _answer(invitation, event, program, now_ms, effects)
            if answered is invitation:
                return journey
            invitations, reminders = list(journey.invitations), journey.reminders
            invitations[index] = answered
            if reminders and answered.is_answered:
                reminders = tuple([one for one in reminders if one.survey_id != answered.survey_id])
            return new(Journey, (*journey[:4], tuple(invitations), *journey[5:11], reminders))
    parked = (*journey.parked, Parked(event.survey_id, now_ms + program.limits.park_ms, raw))
    effects.extend(_give_up(one) for one in parked[:-MOST_PARKED])
    return journey._replace(parked=parked[-MOST_PARKED:])


def give_up(journey: Journey, to_ms: int, effects: list[Effect]) -> Journey:
    """Reject held responses whose time is up and whose invitation is not about to be sent."""
    coming = {pending.survey_id for pending in journey.pending}
    lost = [parked for parked in journey.parked if parked.until_ms <= to_ms and parked.survey_id not in coming]
    effects.extend(_give_up(parked) for parked in lost)
    return (
        journey._replace(parked=tuple(parked for parked in journey.parked if parked not in lost)) if lost else journey
    )


def _give_up(parked: Parked) -> Reject:
    return Reject(Reason.UNKNOWN_SURVEY, f"survey {parked.survey_id} was not sent to this customer", parked.raw)


def _open(
    journey: Journey,
    invitation: Invitation,
    event: SurveyResponse,
    program: Program,
    now_ms: int,
    effects: list[Effect],
) -> tuple[Invitation, Journey]:
    """Take a click or a trap: a click waits, and what turns out to be a machine's no longer counts."""
    before, known = invitation.given or NOTHING, invitation.clicks or Clicks()
    if not event.voided and (closed := _closed(before, event, program)):
        effects.append(closed)
        return invitation, journey
    if (seen := clicks.taken(known, event)) == known:
        effects.append(Ignore(Reason.DUPLICATE))
        return invitation, journey
    invitation = invitation._replace(clicks=seen)
    said = _weeded(invitation, before, before, False, program)
    if said is not before:
        invitation = _revised(invitation, before, said, event, program, now_ms, effects)
    for click in set(seen.seen) - set(known.seen):
        due_ms = max(event.time, now_ms) + program.limits.confirm_ms
        journey = journey._replace(waiting=(*journey.waiting, Waiting(due_ms, invitation.survey_id, click)))
    return invitation, journey


def _answer(
    invitation: Invitation, event: SurveyResponse, program: Program, now_ms: int, effects: list[Effect]
) -> Invitation:
    before = invitation.given or NOTHING
    if before.scores and (closed := _closed(before, event, program)):
        effects.append(closed)
        return invitation
    stamp = (event.time, fingerprint(event.source, event.id))
    said = _void(before, event.time) if event.voided else _merge(before, event, stamp, program.limits.edit_ms)
    if invitation.clicks is not None:
        said = _weeded(invitation, before, said, not event.voided, program)
    if said is before:
        known = {before.comment_stamp, *(score[:2] for score in before.scores)}
        repeated = stamp in known or (event.voided and event.time == before.voided_ms)
        effects.append(Ignore(Reason.DUPLICATE if repeated else Reason.SUPERSEDED))
        return invitation
    return _revised(invitation, before, said, event, program, now_ms, effects)


def _closed(before: Given, event: SurveyResponse, program: Program) -> Reject | None:
    if before.scores and event.time > (end_ms := before.scores[0][0] + program.limits.edit_ms):
        return Reject(Reason.EDIT_CLOSED, f"corrections ended at {end_ms}")
    return None


def _weeded(invitation: Invitation, before: Given, said: Given, is_person: bool, program: Program) -> Given:
    """What was said, in the light of who opened the links; `before` itself when nothing is new."""
    scores = clicks.weeded(invitation, said, is_person, program.limits.confirm_ms)
    said = said._replace(scores=_kept(list(scores), program.limits.edit_ms) if scores else ())
    return before if said[1:5] == before[1:5] else said


def _revised(
    invitation: Invitation, before: Given, said: Given, event: SurveyResponse, program: Program, now_ms: int,
    effects: list[Effect],
) -> Invitation:  # fmt: skip
    """The survey with the next revision of its answer, counted, published and alerted on."""
    given = _weighed(invitation, said, program)
    if given.counted != before.counted:
        _recount(invitation, before.counted, given.counted, effects)
    effects.append(_published(invitation, given, event, now_ms, program))
    if given.severity or before.severity:
        effects.append(alert(invitation, given, before.severity, event.customer_id, now_ms, program))
    return new(Invitation, (*invitation[:8], given, *invitation[9:]))


def _merge(given: Given, event: SurveyResponse, stamp: tuple[int, int], edit_ms: int) -> Given:
    """What was given, joined with the response; the same value when it holds nothing new."""
    revision, scores, comment, comment_stamp, voided_ms, _, _ = given
    if event.score is not None and event.time > voided_ms and (said := (*stamp, event.score)) not in scores:
        scores = _kept(sorted((*scores, said)), edit_ms) if scores else (said,)
    if event.comment is not None and stamp > comment_stamp:
        comment, comment_stamp = event.comment, stamp
    if scores is given.scores and comment_stamp is given.comment_stamp:
        return given
    return new(Given, (revision, scores, comment, comment_stamp, voided_ms, None, ""))


def _void(given: Given, at_ms: int) -> Given:
    if at_ms <= given.voided_ms:
        return given
    return given._replace(voided_ms=at_ms, scores=tuple(score for score in given.scores if score[0] > at_ms))


def _kept(scores: list[tuple[int, int, int]], edit_ms: int) -> tuple[tuple[int, int, int], ...]:
    """The first and the last few within its edit window: enough to find the first again after a late withdrawal."""
    first, *later = scores
    return (first, *[score for score in later if score[0] <= first[0] + edit_ms][-MOST_CORRECTIONS:])


def _weighed(invitation: Invitation, said: Given, program: Program) -> Given:
    """The next revision: what it adds to the tallies, and how bad it is."""
    revision, scores, comment, comment_stamp, voided_ms, _, _ = said
    counted, severe, ended_ms = None, "", invitation.cancelled_ms
    if scores and scores[0][0] < (invitation.expires_ms if ended_ms < 0 else min(ended_ms, invitation.expires_ms)):
        score = scores[-1][2]
        counted = (scores[0][0], band(score))
        severe = severity(score, program.alerts)
    return new(Given, (revision + 1, scores, comment, comment_stamp, voided_ms, counted, severe))


def _recount(
    invitation: Invitation, old: tuple[int, Band] | None, now: tuple[int, Band] | None, effects: list[Effect]
) -> None:
    for counted, sign in ((old, -1), (now, 1)):
        if counted is not None:
            effects.append(new(Count, (invitation.segments, counted[0], counted[1], sign)))


def _published(invitation: Invitation, given: Given, event: SurveyResponse, now_ms: int, program: Program) -> Answer:
    revision, scores, comment, _, _, counted, _ = given
    first_ms, score = (scores[0][0], scores[-1][2]) if scores else (event.time, None)
    fields = (  # in their order: naming twenty costs as much as the rest of the step's arithmetic
        invitation.survey_id,
        event.customer_id,
        invitation.survey,
        invitation.rule,
        invitation.correlation,
        event.source,
        event.id,
        revision,
        score,
        band(score) if score is not None else None,
        comment,
        counted is not None,
        _flag(invitation, given, program) if counted is None else None,
        invitation.sent_ms,
        first_ms,
        now_ms,
        invitation.segments,
        dict(invitation.dimensions),
        program.hash,
        0,
    )
    return new(Answer, fields)


def _flag(invitation: Invitation, given: Given, program: Program) -> Reason:
    if given.scores:
        return Reason.CANCELLED if 0 <= invitation.cancelled_ms < invitation.expires_ms else Reason.EXPIRED
    is_machine = invitation.clicks is not None and bool(
        clicks.machine_made(invitation.clicks, program.limits.confirm_ms)
    )
    return Reason.VOIDED if is_machine or given.voided_ms >= 0 else Reason.NO_SCORE
