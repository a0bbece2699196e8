"""Records for the ledger and the delivery tool: one decision for each trigger, one dispatch for each message."""

from schemas.events import Decision, Purchase, SurveyDispatch, Trigger
from schemas.records import positional
from streams.domain.contacts import locale_for
from streams.domain.effects import Step
from streams.domain.eligibility import Ask, Suppress
from streams.domain.ids import decision_id
from streams.domain.policy import Rule
from streams.domain.segments import capture
from streams.domain.state import Invitation, Journey, Message, Pending

SENT = "sent"
SUPPRESSED = "suppressed"
PENDING = "pending"


def correlation(event: Trigger) -> str:
    """Id of the order or case that an event is about."""
    return event.order_id if isinstance(event, Purchase) else event.case_id


@positional
def suppression(event: Trigger, rule: Rule | None, suppress: Suppress, step: Step) -> Decision:
    """The decision about a trigger that was not even scheduled; `rule` is None where no rule asks for a survey."""
    return Decision(
        decision_id=decision_id(event.customer_id, event.source, event.id),
        customer_id=event.customer_id,
        trigger_source=event.source,
        trigger_id=event.id,
        trigger_type=event.type,
        trigger_ms=event.time,
        correlation_id=correlation(event),
        rule=rule.name if rule else None,
        survey=rule.survey if rule else None,
        outcome=SUPPRESSED,
        reason=suppress.reason,
        cause_id=suppress.cause_id,
        survey_id=None,
        decided_ms=step.now_ms,
        segments=capture(step.program.read(event), step.program)[1],
        program=step.program.hash,
        channel=None,
        question=(rule.question or rule.survey) if rule else None,
        question_version=rule.question_version if rule else None,
        probability=rule.sample if rule else None,
        lag_ms=None,
        version=0,
    )


@positional
def decision(pending: Pending, rule: Rule, verdict: Ask | Suppress | None, decided_ms: int, step: Step) -> Decision:
    """The decision about a trigger that was scheduled: sent, suppressed, or with `verdict` None still pending."""
    ask, suppress = verdict if isinstance(verdict, Ask) else None, verdict if isinstance(verdict, Suppress) else None
    return Decision(
        decision_id=decision_id(step.customer_id, pending.source, pending.id),
        customer_id=step.customer_id,
        trigger_source=pending.source,
        trigger_id=pending.id,
        trigger_type=pending.type,
        trigger_ms=pending.time_ms,
        correlation_id=pending.correlation,
        rule=pending.rule,
        survey=pending.survey,
        outcome=SENT if ask else SUPPRESSED if suppress else PENDING,
        reason=suppress.reason if suppress else None,
        cause_id=suppress.cause_id if suppress else None,
        survey_id=pending.survey_id if ask else None,
        decided_ms=decided_ms,
        segments=pending.segments,
        program=step.program.hash,
        channel=(ask.channel or None) if ask else None,
        question=rule.question or rule.survey,
        question_version=rule.question_version,
        probability=pending.probability,
        lag_ms=ask.due_ms - pending.time_ms if ask else None,
        version=0,
    )


@positional
def dispatch(
    journey: Journey, invitation: Invitation, message: Message, rule: Rule, channel: str, step: Step
) -> SurveyDispatch:
    """The record of a message that asks or reminds; the shell signs its token."""
    return SurveyDispatch(
        survey_id=invitation.survey_id,
        customer_id=step.customer_id,
        survey=invitation.survey,
        rule=invitation.rule,
        trigger_source=message.source,
        trigger_id=message.id,
        trigger_ms=invitation.trigger_ms,
        correlation_id=invitation.correlation,
        due_ms=message.due_ms,
        expires_ms=invitation.expires_ms,
        segments=invitation.segments,
        dimensions=dict(invitation.dimensions),
        program=step.program.hash,
        question=rule.question or rule.survey,
        question_version=rule.question_version,
        channel=channel or None,
        locale=locale_for(journey.contact.locale[1] if journey.contact else "", rule.locales),
        personalisation=dict(message.values),
        token=None,
        reminder=message.number,
        lag_ms=message.due_ms - invitation.trigger_ms,
        probability=message.probability,
        version=0,
    )
