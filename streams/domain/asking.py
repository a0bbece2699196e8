"""The asking half of a journey: a trigger becomes a pending survey, a dispatch, or a reason why not."""

from schemas.events import ContactUpdate, Decision, Purchase, SurveyDispatch, Trigger
from streams.domain import eligibility
from streams.domain.effects import Effect, Ignore, Requeue
from streams.domain.eligibility import Ask, Suppress
from streams.domain.identity import decision_id, fingerprint, survey_id
from streams.domain.policy import Program, Rule
from streams.domain.reasons import Reason
from streams.domain.segments import capture
from streams.domain.state import Cancel, Journey, Pending, Survey

SENT = "sent"
SUPPRESSED = "suppressed"


def correlation(event: Trigger) -> str:
    """The order or case that an event is about."""
    return event.order_id if isinstance(event, Purchase) else event.case_id


def trigger(journey: Journey, event: Trigger, program: Program, now_ms: int, effects: list[Effect]) -> Journey:
    """Take a purchase or support event: cancel what it cancels, schedule what it asks for.  Once per source and id."""
    known = fingerprint(event.source, event.id)
    if any(known == seen for seen, _ in journey.seen):
        effects.append(Ignore(Reason.DUPLICATE))
        return journey
    journey = journey._replace(seen=(*journey.seen, (known, event.time)))
    if event.type in program.cancel_types:
        journey = _cancel(journey, event, program, effects)
    rule = next((rule for rule in program.rules if rule.matches(event.type, event.attributes)), None)
    if rule is None and event.type in program.cancel_types:
        return journey
    return _schedule(journey, event, rule, program, now_ms, effects)


def contact(journey: Journey, event: ContactUpdate) -> Journey:
    """Take what the customer says about being contacted; the newest statement wins, a withdrawal wins a tie."""
    if event.opted_out is None or (event.time, event.opted_out) <= (journey.opted_ms, journey.opted_out):
        return journey
    return journey._replace(opted_out=event.opted_out, opted_ms=event.time)


def send_due(journey: Journey, customer_id: str, program: Program, to_ms: int, effects: list[Effect]) -> Journey:
    """Send, or suppress, what fell due up to `to_ms`: in due order, each at its due time."""
    due = sorted(pending for pending in journey.pending if pending.due_ms <= to_ms)
    if not due:
        return journey
    journey = journey._replace(pending=tuple(p for p in journey.pending if p.due_ms > to_ms))
    for pending in due:
        journey = _send(journey, pending, customer_id, program, effects)
    return journey


def _schedule(
    journey: Journey, event: Trigger, rule: Rule | None, program: Program, now_ms: int, effects: list[Effect]
) -> Journey:
    dimensions, segments = capture(event.attributes, program)
    pending = Pending(
        due_ms=max(event.time + rule.delay_ms, now_ms) if rule else now_ms,
        survey_id=survey_id(event.source, event.id, rule.name) if rule else "",
        rule=rule.name if rule else "",
        survey=rule.survey if rule else "",
        source=event.source,
        id=event.id,
        type=event.type,
        time_ms=event.time,
        correlation=correlation(event),
        segments=segments,
        dimensions=dimensions,
        lifetime_ms=rule.expires_ms if rule else 0,
    )
    verdict = _first_objection(journey, pending, rule, program)
    if isinstance(verdict, Suppress):
        effects.append(_decision(pending, event.customer_id, verdict, now_ms, program))
        return journey
    return journey._replace(pending=(*journey.pending, pending))


def _first_objection(journey: Journey, pending: Pending, rule: Rule | None, program: Program) -> Ask | Suppress:
    if rule is None:
        return Suppress(Reason.NO_RULE)
    for cancel in journey.cancels:
        if _cancels(cancel, pending, rule) and pending.time_ms <= cancel.time_ms < pending.due_ms:
            return Suppress(Reason.CANCELLED, cancel.id)
    return eligibility.decide(journey, rule.survey, pending.due_ms, program)


def _cancel(journey: Journey, event: Trigger, program: Program, effects: list[Effect]) -> Journey:
    cancel = Cancel(event.type, correlation(event), event.id, event.time)
    kept = []
    for pending in journey.pending:
        rule = program.rule_by_name.get(pending.rule)
        if rule is not None and _cancels(cancel, pending, rule) and pending.time_ms <= cancel.time_ms:
            verdict = Suppress(Reason.CANCELLED, event.id)
            effects.append(_decision(pending, event.customer_id, verdict, event.time, program))
        else:
            kept.append(pending)
    return journey._replace(pending=tuple(kept), cancels=(*journey.cancels, cancel))


def _cancels(cancel: Cancel, pending: Pending, rule: Rule) -> bool:
    return cancel.type in rule.cancel_on and cancel.correlation == pending.correlation


def _send(journey: Journey, pending: Pending, customer_id: str, program: Program, effects: list[Effect]) -> Journey:
    verdict = eligibility.decide(journey, pending.survey, pending.due_ms, program)
    effects.append(_decision(pending, customer_id, verdict, pending.due_ms, program))
    if isinstance(verdict, Suppress):
        return journey
    survey = Survey(
        survey_id=pending.survey_id,
        rule=pending.rule,
        survey=pending.survey,
        correlation=pending.correlation,
        segments=pending.segments,
        dimensions=pending.dimensions,
        sent_ms=verdict.due_ms,
        expires_ms=verdict.due_ms + pending.lifetime_ms,
    )
    effects.append(_dispatch(survey, pending, customer_id, program))
    effects.extend(Requeue(held.evidence) for held in journey.held if held.survey_id == survey.survey_id)
    return journey._replace(
        surveys=(*journey.surveys, survey),
        held=tuple(held for held in journey.held if held.survey_id != survey.survey_id),
        asked=(*(a for a in journey.asked if a[0] != survey.survey), (survey.survey, verdict.due_ms)),
    )


def _decision(
    pending: Pending, customer_id: str, verdict: Ask | Suppress, decided_ms: int, program: Program
) -> Decision:
    suppressed = isinstance(verdict, Suppress)
    return Decision(
        decision_id=decision_id(pending.source, pending.id),
        customer_id=customer_id,
        trigger_source=pending.source,
        trigger_id=pending.id,
        trigger_type=pending.type,
        trigger_ms=pending.time_ms,
        correlation_id=pending.correlation,
        rule=pending.rule or None,
        survey=pending.survey or None,
        outcome=SUPPRESSED if suppressed else SENT,
        reason=verdict.reason if isinstance(verdict, Suppress) else None,
        cause_id=verdict.cause_id if isinstance(verdict, Suppress) else None,
        survey_id=None if suppressed else pending.survey_id,
        decided_ms=decided_ms,
        segments=pending.segments,
        program=program.hash,
        version=0,
    )


def _dispatch(survey: Survey, pending: Pending, customer_id: str, program: Program) -> SurveyDispatch:
    return SurveyDispatch(
        survey_id=survey.survey_id,
        customer_id=customer_id,
        survey=survey.survey,
        rule=survey.rule,
        trigger_source=pending.source,
        trigger_id=pending.id,
        trigger_ms=pending.time_ms,
        correlation_id=survey.correlation,
        due_ms=survey.sent_ms,
        expires_ms=survey.expires_ms,
        segments=survey.segments,
        dimensions=dict(survey.dimensions),
        program=program.hash,
        version=0,
    )
