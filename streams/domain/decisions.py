"""What the ledger and the delivery tool are told: one decision for each trigger, one dispatch for each message.

Both are made by position: naming twenty fields takes three times as long.
"""

from schemas.events import Decision, Purchase, SurveyDispatch, Trigger
from streams.domain.contacts import locale_for
from streams.domain.eligibility import Ask, Suppress
from streams.domain.ids import decision_id
from streams.domain.policy import Program, Rule
from streams.domain.segments import capture
from streams.domain.state import Invitation, Journey, Message, Pending

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
        decision_id(pending.source, pending.id),
        customer_id,
        pending.source,
        pending.id,
        pending.type,
        pending.time_ms,
        pending.correlation,
        pending.rule,
        pending.survey,
        SENT if sent else SUPPRESSED if why else PENDING,
        why.reason if why else None,
        why.cause_id if why else None,
        pending.survey_id if sent else None,
        decided_ms,
        pending.segments,
        program.hash,
        (sent.channel or None) if sent else None,
        rule.question or rule.survey,
        rule.question_version,
        pending.probability,
        sent.due_ms - pending.time_ms if sent else None,
        0,
    )


def dispatch(
    journey: Journey,
    invitation: Invitation,
    message: Message,
    rule: Rule,
    customer_id: str,
    channel: str,
    program: Program,
) -> SurveyDispatch:
    """The message that asks or reminds; the shell signs its token."""
    return SurveyDispatch(
        invitation.survey_id,
        customer_id,
        invitation.survey,
        invitation.rule,
        message.source,
        message.id,
        invitation.trigger_ms,
        invitation.correlation,
        message.due_ms,
        invitation.expires_ms,
        invitation.segments,
        dict(invitation.dimensions),
        program.hash,
        rule.question or rule.survey,
        rule.question_version,
        channel or None,
        locale_for(journey.contact.locale[1] if journey.contact else "", rule.locales),
        dict(message.values),
        None,
        message.number,
        message.due_ms - invitation.trigger_ms,
        message.probability,
        0,
    )
