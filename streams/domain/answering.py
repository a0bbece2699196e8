"""The answering half of a journey: a response becomes, corrects or withdraws an answer.

An answer counts in the minute in which its score was first given; a correction changes its band there, so that every
window that holds the answer changes and no other.
"""

from schemas.events import Answer, SurveyResponse
from streams.domain.detractors import judge, severity
from streams.domain.effects import Count, Effect, Ignore, Reject
from streams.domain.identity import fingerprint
from streams.domain.nps import Band, band
from streams.domain.policy import Program
from streams.domain.reasons import Reason
from streams.domain.state import Given, Held, Journey, Survey

MOST_HELD = 64
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
    journey: Journey, event: SurveyResponse, program: Program, now_ms: int, evidence: bytes, effects: list[Effect]
) -> Journey:
    """Take a response: match it to its survey, or hold it until the survey is known."""
    oldest_ms = journey.clock_ms - program.limits.remember_ms
    for index, survey in enumerate(journey.surveys):
        if survey.survey_id == event.survey_id and survey.sent_ms > oldest_ms:
            answered = _answer(survey, event, program, now_ms, effects)
            if answered is survey:
                return journey
            surveys = journey.surveys
            return journey._replace(surveys=(*surveys[:index], answered, *surveys[index + 1 :]))
    held = (*journey.held, Held(event.survey_id, now_ms + program.limits.hold_ms, evidence))
    effects.extend(_give_up(one) for one in held[:-MOST_HELD])
    return journey._replace(held=held[-MOST_HELD:])


def give_up(journey: Journey, to_ms: int, effects: list[Effect]) -> Journey:
    """Reject held responses whose time is up and whose survey is not about to be sent."""
    coming = {pending.survey_id for pending in journey.pending}
    lost = [held for held in journey.held if held.until_ms <= to_ms and held.survey_id not in coming]
    effects.extend(_give_up(held) for held in lost)
    return journey._replace(held=tuple(held for held in journey.held if held not in lost)) if lost else journey


def _give_up(held: Held) -> Reject:
    return Reject(Reason.UNKNOWN_SURVEY, f"survey {held.survey_id} was not sent to this customer", held.evidence)


def _answer(survey: Survey, event: SurveyResponse, program: Program, now_ms: int, effects: list[Effect]) -> Survey:
    before = survey.given or Given()
    if before.first_ms is not None and event.time > before.first_ms + program.limits.edit_ms:
        effects.append(Reject(Reason.EDIT_CLOSED, f"corrections ended at {before.first_ms + program.limits.edit_ms}"))
        return survey
    merged = _merge(before, event)
    if merged is before:
        stamp = (event.time, fingerprint(event.source, event.id))
        repeated = stamp in (before.score_stamp, before.comment_stamp) or (
            event.voided and event.time == before.voided_ms
        )
        effects.append(Ignore(Reason.DUPLICATE if repeated else Reason.SUPERSEDED))
        return survey
    counted = _contribution(survey, merged)
    if counted != before.counted:
        effects.extend(_recount(survey, before.counted, counted))
    given = merged._replace(revision=before.revision + 1, counted=counted)
    effects.append(_published(survey, given, event, now_ms, program))
    if alert := judge(survey, given, event.customer_id, now_ms, program):
        effects.append(alert)
    alerting = given.counted is not None and given.score is not None
    return survey._replace(
        given=given._replace(severity=severity(given.score or 0, program.alerts) if alerting else "")
    )


def _merge(given: Given, event: SurveyResponse) -> Given:
    """Registers joined with the response; the same value when it holds nothing new."""
    stamp = (event.time, fingerprint(event.source, event.id))
    if event.voided:
        return _void(given, event.time)
    if event.score is not None and event.time > given.voided_ms:
        if event.time not in given.scored_ms:
            given = given._replace(scored_ms=_kept(sorted((*given.scored_ms, event.time))))
        if stamp > given.score_stamp:
            given = given._replace(score=event.score, score_stamp=stamp)
    if event.comment is not None and stamp > given.comment_stamp:
        given = given._replace(comment=event.comment, comment_stamp=stamp)
    return given


def _void(given: Given, at_ms: int) -> Given:
    if at_ms <= given.voided_ms:
        return given
    scored_ms = tuple(time_ms for time_ms in given.scored_ms if time_ms > at_ms)
    return given._replace(voided_ms=at_ms, scored_ms=scored_ms, score=given.score if scored_ms else None)


def _kept(times_ms: list[int]) -> tuple[int, ...]:
    """The first and the last few: enough to find the first score again after a withdrawal that comes late."""
    return (*times_ms[:1], *times_ms[1:][-MOST_CORRECTIONS:])


def _contribution(survey: Survey, given: Given) -> tuple[int, str] | None:
    if given.score is None or given.first_ms is None or given.first_ms >= survey.expires_ms:
        return None
    return given.first_ms, band(given.score)


def _recount(survey: Survey, old: tuple[int, str] | None, new: tuple[int, str] | None) -> list[Count]:
    signed = ((old, -1), (new, 1))
    return [Count(survey.segments, part[0], Band(part[1]), sign) for part, sign in signed if part is not None]


def _published(survey: Survey, given: Given, event: SurveyResponse, now_ms: int, program: Program) -> Answer:
    return Answer(
        survey_id=survey.survey_id,
        customer_id=event.customer_id,
        survey=survey.survey,
        rule=survey.rule,
        correlation_id=survey.correlation,
        response_source=event.source,
        response_id=event.id,
        revision=given.revision,
        score=given.score,
        band=band(given.score) if given.score is not None else None,
        comment=given.comment,
        counted=given.counted is not None,
        flag=_flag(given),
        sent_ms=survey.sent_ms,
        answered_ms=given.first_ms if given.first_ms is not None else event.time,
        received_ms=now_ms,
        segments=survey.segments,
        dimensions=dict(survey.dimensions),
        program=program.hash,
        version=0,
    )


def _flag(given: Given) -> Reason | None:
    if given.counted is not None:
        return None
    if given.score is not None:
        return Reason.EXPIRED
    return Reason.VOIDED if given.voided_ms >= 0 else Reason.NO_SCORE
