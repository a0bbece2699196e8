"""Triggers: a purchase or support event becomes a scheduled survey, or a decision that says why not."""

from schemas.events import Trigger
from schemas.reasons import Reason
from schemas.records import positional, replacer
from streams.domain import bounds, decisions, eligibility
from streams.domain.decisions import correlation
from streams.domain.dispatching import cancels, defer, rule_of
from streams.domain.effects import Ignore, Scheduled, Step
from streams.domain.eligibility import Suppress
from streams.domain.ids import fingerprint, survey_id
from streams.domain.policy import Program, Rule
from streams.domain.segments import capture
from streams.domain.state import Cancel, Invitation, Journey, Pending

_with_seen = replacer(Journey, "seen")


def trigger(journey: Journey, event: Trigger, step: Step) -> Journey:
    """Take a purchase or support event: cancel what it cancels, schedule what it asks for.  Once per source and id."""
    program, known = step.program, fingerprint(event.source, event.id)
    for seen, _ in journey.seen:
        if seen == known:
            step.effects.append(Ignore(Reason.DUPLICATE))
            return journey
    journey = _with_seen(journey, (*journey.seen, (known, event.time))[-program.customer.triggers :])
    is_cancel = event.type in program.cancel_types
    if is_cancel:
        journey = _cancel(journey, event, step)
    rule = program.rule_for(event.type, program.read(event))
    if rule is not None:
        return _schedule(journey, event, rule, step)
    if not is_cancel:
        unknown = program.events and event.type not in program.events
        suppress = Suppress(Reason.UNKNOWN_TYPE if unknown else Reason.NO_RULE)
        step.effects.append(decisions.suppression(event, None, suppress, step))
    return journey


def _schedule(journey: Journey, event: Trigger, rule: Rule, step: Step) -> Journey:
    """Schedule the rule's survey or suppress it.  Cheap checks come first, as most triggers lead to nothing."""
    refused = eligibility.refusal(journey, rule)
    if refused is None and not eligibility.is_sampled(rule, event.customer_id):
        refused = Reason.SAMPLED_OUT
    due_ms = max(event.time + rule.delay_ms, step.now_ms)
    if not refused and (rule.jitter_ms or rule.hours):
        due_ms = defer(journey, rule, due_ms, survey_id(event.customer_id, event.source, event.id, rule.name))
    suppress: Suppress | None = _cancelled(journey, event, rule, due_ms) if journey.cancels else None
    if suppress is None and refused:
        suppress = Suppress(refused)
    if suppress is None and isinstance(verdict := eligibility.decide(journey, rule, due_ms, step.program), Suppress):
        suppress = verdict
    if suppress is not None:
        step.effects.append(decisions.suppression(event, rule, suppress, step))
        return journey
    pending, customer = _pending(event, rule, due_ms, step), step.program.customer
    if bounds.is_full(journey, customer.scheduled, customer.invitations, pending):
        step.effects.append(decisions.suppression(event, rule, Suppress(Reason.TOO_MANY_TRIGGERS), step))
        return journey
    if due_ms > journey.clock_ms:
        step.effects.append(Scheduled(decisions.decision(pending, rule, None, due_ms, step)))
    return journey._replace(pending=(*journey.pending, pending))


@positional
def _pending(event: Trigger, rule: Rule, due_ms: int, step: Step) -> Pending:
    attributes = step.program.read(event)
    dimensions, segments = capture(attributes, step.program)
    return Pending(
        due_ms=due_ms,
        survey_id=survey_id(event.customer_id, event.source, event.id, rule.name),
        rule=rule.name,
        survey=rule.survey,
        source=event.source,
        id=event.id,
        type=event.type,
        time_ms=event.time,
        correlation=correlation(event),
        segments=segments,
        dimensions=dimensions,
        lifetime_ms=rule.expires_ms,
        values=tuple((name, attributes[name]) for name in rule.personalise if name in attributes),
        probability=rule.sample,
        history=step.history,
    )


def _cancelled(journey: Journey, event: Trigger, rule: Rule, due_ms: int) -> Suppress | None:
    """The suppression of a trigger whose cancelling event was read before it; None when there is none."""
    subject = correlation(event)
    for cancel in journey.cancels:
        if cancel.type in rule.cancel_on and cancel.correlation == subject and event.time <= cancel.time_ms < due_ms:
            return Suppress(Reason.CANCELLED, cancel.id)
    return None


def _cancel(journey: Journey, event: Trigger, step: Step) -> Journey:
    subject, remaining, program = correlation(event), [], step.program
    for pending in journey.pending:
        rule = rule_of(pending, program)
        if cancels(event.type, subject, pending, rule) and pending.time_ms <= event.time:
            suppress = Suppress(Reason.CANCELLED, event.id)
            step.effects.append(decisions.decision(pending, rule, suppress, event.time, step))
        else:
            remaining.append(pending)
    cancel = Cancel(event.type, subject, event.id, event.time)
    cancels_ = bounds.newest_cancels((*journey.cancels, cancel))
    journey = journey._replace(pending=tuple(remaining), cancels=cancels_)
    if any(rule.cancel_closes for rule in program.rules):
        invitations = tuple(_closed(invitation, cancel, program) for invitation in journey.invitations)
        journey = journey._replace(invitations=invitations)
    return journey


def _closed(invitation: Invitation, cancel: Cancel, program: Program) -> Invitation:
    """The invitation, ended by the cancelling event where its rule says so; the first such event ends it."""
    rule = program.rule_by_name.get(invitation.rule)
    if rule is None or not rule.cancel_closes or cancel.type not in rule.cancel_on:
        return invitation
    if cancel.correlation != invitation.correlation or cancel.time_ms < invitation.trigger_ms:
        return invitation
    ended_ms = cancel.time_ms if invitation.cancelled_ms < 0 else min(invitation.cancelled_ms, cancel.time_ms)
    return invitation._replace(cancelled_ms=ended_ms)
