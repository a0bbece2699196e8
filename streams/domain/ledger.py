"""What the ledger and the delivery tool are told: one decision for each trigger, one dispatch for each message."""

from schemas.events import Decision, Purchase, SurveyDispatch, Trigger
from streams.domain.contacts import locale_for
from streams.domain.eligibility import Ask, Suppress
from streams.domain.identity import decision_id
from streams.domain.policy import Program, Rule
from streams.domain.segments import capture
from streams.domain.state import Journey, Message, Pending, Survey

SENT = "sent"
SUPPRESSED = "suppressed"
PENDING = "pending"


def correlation(event: Trigger) -> str:
    """The order or case that an event is about."""
    return event.order_id if isinstance(event, Purchase) else event.case_id


def turned_down(event: Trigger, rule: Rule | None, why: Suppress, now_ms: int, program: Program) -> Decision:
    """The decision about a trigger that was not even scheduled."""
    asked: tuple[str | None, int | None, float | None] = (None, None, None)
    if rule is not None:
        asked = (rule.question or rule.survey, rule.question_version, rule.sample)
    # by position: most triggers end here, and naming twenty fields costs as much as the rest of the decision
    return Decision(
        decision_id(event.source, event.id),
        event.customer_id,
        event.source,
        event.id,
        event.type,
        event.time,
        correlation(event),
        rule.name if rule else None,
        rule.survey if rule else None,
        SUPPRESSED,
        why.reason,
        why.cause_id,
        None,
        now_ms,
        capture(event.attributes, program)[1],
        program.hash,
        None,
        *asked,
        None,
        0,
    )


def decided(
    pending: Pending, rule: Rule, customer_id: str, verdict: Ask | Suppress | None, decided_ms: int, program: Program
) -> Decision:
    """The decision about a trigger that was scheduled: it is sent now, or no longer; None for neither yet."""
    sent, why = verdict if isinstance(verdict, Ask) else None, verdict if isinstance(verdict, Suppress) else None
    return Decision(
        decision_id=decision_id(pending.source, pending.id),
        customer_id=customer_id,
        trigger_source=pending.source,
        trigger_id=pending.id,
        trigger_type=pending.type,
        trigger_ms=pending.time_ms,
        correlation_id=pending.correlation,
        rule=pending.rule,
        survey=pending.survey,
        outcome=SENT if sent else SUPPRESSED if why else PENDING,
        reason=why.reason if why else None,
        cause_id=why.cause_id if why else None,
        survey_id=pending.survey_id if sent else None,
        decided_ms=decided_ms,
        segments=pending.segments,
        program=program.hash,
        channel=(sent.channel or None) if sent else None,
        question=rule.question or rule.survey,
        question_version=rule.question_version,
        probability=pending.probability,
        lag_ms=sent.due_ms - pending.time_ms if sent else None,
        version=0,
    )


def dispatch(
    journey: Journey, survey: Survey, message: Message, rule: Rule, customer_id: str, channel: str, program: Program
) -> SurveyDispatch:
    """The message that asks or reminds; the shell signs its token."""
    return SurveyDispatch(
        survey_id=survey.survey_id,
        customer_id=customer_id,
        survey=survey.survey,
        rule=survey.rule,
        trigger_source=message.source,
        trigger_id=message.id,
        trigger_ms=survey.trigger_ms,
        correlation_id=survey.correlation,
        due_ms=message.due_ms,
        expires_ms=survey.expires_ms,
        segments=survey.segments,
        dimensions=dict(survey.dimensions),
        program=program.hash,
        question=rule.question or rule.survey,
        question_version=rule.question_version,
        channel=channel or None,
        locale=locale_for(journey.contact.locale[1] if journey.contact else "", rule.locales),
        personalisation=dict(message.values),
        token=None,
        reminder=message.number,
        lag_ms=message.due_ms - survey.trigger_ms,
        probability=message.probability,
        version=0,
    )
