"""Erasure of a customer: all that happened until then goes, counts stay, and no older event comes back to life."""

from schemas.events import ContactUpdate, Erasure, Inbound, Wakeup
from schemas.reasons import Reason
from streams.domain import contacts, decisions
from streams.domain.dispatching import rule_of
from streams.domain.effects import Ignore, Step
from streams.domain.eligibility import Suppress
from streams.domain.ids import erasure_id
from streams.domain.state import NO_CONTACT, Journey


def is_erased(journey: Journey, event: Inbound) -> bool:
    """True for an event from before the customer's erasure: it must change nothing and leave no trace."""
    return journey.contact is not None and not isinstance(event, Wakeup) and event.time <= journey.contact.erased_ms


def is_only_erased(journey: Journey) -> bool:
    """True when all that is remembered of a customer is when the erasure was."""
    contact = journey.contact
    if contact is None or contact.erased_ms < 0:
        return False
    return journey == Journey(clock_ms=journey.clock_ms, contact=NO_CONTACT._replace(erased_ms=contact.erased_ms))


def erase(journey: Journey, event: ContactUpdate, step: Step) -> Journey:
    """Forget the customer up to the event's time: suppress what is scheduled, tell the sinks, keep only that time.

    Later events stay: they may be read before the erasure.  From then on nobody is asked without a new consent.
    """
    until_ms, keep_from_ms = event.time, event.time + step.program.limits.park_ms
    for pending in journey.pending:
        if pending.time_ms <= until_ms:
            rule, suppress = rule_of(pending, step.program), Suppress(Reason.ERASED, event.id)
            step.effects.append(decisions.decision(pending, rule, suppress, step.now_ms, step))
    step.effects.extend(Ignore(Reason.ERASED) for parked in journey.parked if parked.until_ms <= keep_from_ms)
    step.effects.append(_record(event, step))
    invitations = tuple(invitation for invitation in journey.invitations if invitation.trigger_ms > until_ms)
    known = {invitation.survey_id for invitation in invitations}
    opted_later = journey.opted_ms > until_ms
    return Journey(
        clock_ms=journey.clock_ms,
        opted_out=journey.opted_out and opted_later,
        opted_ms=journey.opted_ms if opted_later else -1,
        pending=tuple(pending for pending in journey.pending if pending.time_ms > until_ms),
        invitations=invitations,
        parked=tuple(parked for parked in journey.parked if parked.until_ms > keep_from_ms),
        seen=tuple(trigger for trigger in journey.seen if trigger[1] > until_ms),
        asked=tuple(survey for survey in journey.asked if survey[1] > until_ms),
        cancels=tuple(cancel for cancel in journey.cancels if cancel.time_ms > until_ms),
        waiting=tuple(waiting for waiting in journey.waiting if waiting.survey_id in known),
        contact=contacts.forget_until(journey.contact or NO_CONTACT, until_ms),
        reminders=tuple(reminder for reminder in journey.reminders if reminder.survey_id in known),
    )


def _record(event: ContactUpdate, step: Step) -> Erasure:
    return Erasure(
        erasure_id=erasure_id(event.customer_id, event.source, event.id),
        customer_id=event.customer_id,
        source=event.source,
        id=event.id,
        erased_ms=event.time,
        received_ms=step.now_ms,
        program=step.program.hash,
        version=0,
    )
