"""Dispatching: sends the surveys that fell due and reminders of those not answered, in due order, at their due time.

Nothing is sent outside the rule's local hours, nor later than the rule allows.  Both are judged by the customer's own
time after the record in hand, which is as near to now as a replay can know: what a live worker finds too late is
`missed`, what it finds at night waits for the morning.  A trigger that was loaded as history is never late: it is sent
at its due time whenever it is read.
"""

from schemas.reasons import Reason
from schemas.records import positional
from streams.domain import clicks, contacts, decisions, eligibility
from streams.domain.effects import Requeue, Step
from streams.domain.eligibility import Ask, Suppress
from streams.domain.hours import is_open, opening
from streams.domain.ids import share_of
from streams.domain.policy import Program, Rule
from streams.domain.state import Invitation, Journey, Message, Pending


def defer(journey: Journey, rule: Rule, from_ms: int, survey_id: str) -> int:
    """Due time of a survey that may leave from `from_ms` on: put off by the jitter, inside the customer's hours."""
    if rule.jitter_ms:
        from_ms += int(share_of(survey_id) * rule.jitter_ms)
    if rule.hours is None:
        return from_ms
    return opening(rule.hours, _time_zone(journey), from_ms, share_of(survey_id))


def send_due(journey: Journey, step: Step, to_ms: int) -> Journey:
    """Send, or suppress, what fell due up to `to_ms`."""
    while _falls_due(journey, to_ms):
        surveys = [pending for pending in journey.pending if pending.due_ms <= to_ms]
        reminders = [reminder for reminder in journey.reminders if reminder.due_ms <= to_ms]
        pending = min(surveys, key=lambda survey: _send_order(survey, step.program), default=None)
        reminder = min(reminders, default=None)
        if pending is not None and (reminder is None or pending.due_ms <= reminder.due_ms):
            journey = journey._replace(pending=tuple(other for other in journey.pending if other is not pending))
            journey = _send(journey, pending, step, to_ms)
        elif reminder is not None:
            journey = journey._replace(reminders=tuple(other for other in journey.reminders if other is not reminder))
            journey = _remind(journey, reminder, step, to_ms)
    return journey


def _falls_due(journey: Journey, to_ms: int) -> bool:
    """True when there is something to send up to `to_ms`."""
    for messages in (journey.pending, journey.reminders):
        for message in messages:
            if message.due_ms <= to_ms:
                return True
    return False


def rule_of(pending: Pending, program: Program) -> Rule:
    """The rule of a scheduled survey; a plain rule of that name where the program has it no more."""
    rule = program.rule_by_name.get(pending.rule)
    return rule or Rule(pending.rule, pending.survey, frozenset(), {}, 0, pending.lifetime_ms, frozenset())


def _send(journey: Journey, pending: Pending, step: Step, to_ms: int) -> Journey:
    """Decide about a survey that fell due: send it, suppress it, or defer it to the customer's hours."""
    rule, due_ms = rule_of(pending, step.program), pending.due_ms
    now_ms, decided_ms = due_ms if pending.history else to_ms, due_ms
    verdict = eligibility.decide(journey, rule, due_ms, step.program)
    if isinstance(verdict, Ask):
        if rule.send_within_ms is not None and now_ms - due_ms > rule.send_within_ms:
            verdict, decided_ms = Suppress(Reason.MISSED), now_ms
        elif not _may_leave(journey, rule, now_ms):
            deferred = pending._replace(due_ms=defer(journey, rule, now_ms, pending.survey_id))
            return journey._replace(pending=(*journey.pending, deferred))
        elif rival := _rival(journey, pending, rule, step.program):
            verdict = Suppress(Reason.ALREADY_PENDING, rival.id)
    step.effects.append(decisions.decision(pending, rule, verdict, decided_ms, step))
    if isinstance(verdict, Suppress):
        return journey
    return _invite(journey, pending, rule, verdict, step)


def _invite(journey: Journey, pending: Pending, rule: Rule, ask: Ask, step: Step) -> Journey:
    """Send the first message, requeue the responses that waited for it, or else schedule the first reminder."""
    invitation, first = _invitation(journey, pending, rule, ask), _first_message(pending, ask)
    step.effects.append(decisions.dispatch(journey, invitation, first, rule, ask.channel, step))
    asked = tuple(sorted((*journey.asked, (invitation.survey, ask.due_ms)), key=_sent_ms))
    journey = journey._replace(invitations=(*journey.invitations, invitation), asked=asked)
    responses = [parked for parked in journey.parked if parked.survey_id == invitation.survey_id]
    if responses:
        step.effects.extend(Requeue(parked.raw) for parked in responses)
        return journey._replace(parked=tuple(parked for parked in journey.parked if parked not in responses))
    return _with_reminder(journey, invitation, first._replace(number=1), rule, ask.due_ms + rule.remind_after_ms)


@positional
def _invitation(journey: Journey, pending: Pending, rule: Rule, ask: Ask) -> Invitation:
    closing = [
        cancel.time_ms
        for cancel in journey.cancels
        if rule.cancel_closes and cancels(cancel.type, cancel.correlation, pending, rule)
    ]
    return Invitation(
        survey_id=pending.survey_id,
        rule=pending.rule,
        survey=pending.survey,
        correlation=pending.correlation,
        segments=pending.segments,
        dimensions=pending.dimensions,
        sent_ms=ask.due_ms,
        expires_ms=ask.due_ms + pending.lifetime_ms,
        given=None,
        clicks=None,
        channel=ask.channel,
        cancelled_ms=min((at_ms for at_ms in closing if at_ms >= pending.time_ms), default=-1),
        reminded=(),
        trigger_ms=pending.time_ms,
    )


@positional
def _first_message(pending: Pending, ask: Ask) -> Message:
    return Message(
        due_ms=ask.due_ms,
        number=0,
        survey_id=pending.survey_id,
        source=pending.source,
        id=pending.id,
        values=pending.values,
        probability=pending.probability,
        history=pending.history,
    )


def _sent_ms(survey: tuple[str, int]) -> int:
    return survey[1]


def _remind(journey: Journey, reminder: Message, step: Step, to_ms: int) -> Journey:
    """Send a reminder that fell due and schedule the next, unless it is answered, cancelled, refused or too late.

    While a click waits nobody is reminded; should it turn out to be a machine's, the reminder leaves after that.
    """
    due_ms, now_ms = reminder.due_ms, reminder.due_ms if reminder.history else to_ms
    invitation = next((sent for sent in journey.invitations if sent.survey_id == reminder.survey_id), None)
    rule = step.program.rule_by_name.get(invitation.rule) if invitation else None
    if invitation is None or rule is None or invitation.is_answered or invitation.cancelled_ms >= 0:
        return journey
    if eligibility.refusal(journey, rule):
        return journey
    waits_ms = clicks.waits_ms(journey, invitation, step.program)
    if waits_ms:
        return _with_reminder(journey, invitation, reminder, rule, max(*waits_ms, now_ms))
    if clicks.is_unconfirmed(invitation, step.program):
        return journey
    if rule.send_within_ms is not None and now_ms - due_ms > rule.send_within_ms:
        return journey
    if not _may_leave(journey, rule, now_ms):
        return _with_reminder(journey, invitation, reminder, rule, now_ms)
    channel = contacts.reach(journey, rule, due_ms, step.program)
    if isinstance(channel, Reason):
        return journey
    step.effects.append(decisions.dispatch(journey, invitation, reminder, rule, channel, step))
    reminded = invitation._replace(reminded=(*invitation.reminded, (channel, due_ms)))
    invitations = tuple(reminded if sent is invitation else sent for sent in journey.invitations)
    following = reminder._replace(number=reminder.number + 1)
    later_ms = due_ms + rule.remind_after_ms
    return _with_reminder(journey._replace(invitations=invitations), reminded, following, rule, later_ms)


def _with_reminder(journey: Journey, invitation: Invitation, reminder: Message, rule: Rule, from_ms: int) -> Journey:
    """The journey with this reminder, if the rule has so many and the invitation is open for so long."""
    if reminder.number > rule.reminders or invitation.cancelled_ms >= 0:
        return journey
    due_ms = defer(journey, rule, from_ms, invitation.survey_id)
    if due_ms >= invitation.expires_ms:
        return journey
    return journey._replace(reminders=(*journey.reminders, reminder._replace(due_ms=due_ms)))


def cancels(type_: str, correlation: str, pending: Pending, rule: Rule) -> bool:
    """True when an event of this type about this order or case stops the scheduled survey."""
    return type_ in rule.cancel_on and correlation == pending.correlation


def _send_order(pending: Pending, program: Program) -> tuple[int, int, str]:
    """Sort key of scheduled surveys: the earlier first, of two at once the one of higher priority."""
    return pending.due_ms, -rule_of(pending, program).priority, pending.survey_id


def _may_leave(journey: Journey, rule: Rule, now_ms: int) -> bool:
    return rule.hours is None or is_open(rule.hours, _time_zone(journey), now_ms)


def _rival(journey: Journey, pending: Pending, rule: Rule, program: Program) -> Pending | None:
    """A scheduled survey of higher priority that could not be sent any more once this one is."""
    for other in journey.pending:
        other_rule = rule_of(other, program)
        if other_rule.priority > rule.priority and (
            abs(other.due_ms - pending.due_ms) < program.apart_ms(other_rule.survey, rule.survey)
            and isinstance(eligibility.decide(journey, other_rule, other.due_ms, program), Ask)
        ):
            return other
    return None


def _time_zone(journey: Journey) -> str:
    return journey.contact.time_zone[1] if journey.contact else ""
