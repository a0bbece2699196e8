"""The whole product as one pure function: `step(journey, event, program, now_ms) -> (journey, effects)`.

A step first advances the customer's own time to `now_ms`, so that everything due happens first, in due order, each at
its due time; then it takes the event.  So the result does not depend on when a wakeup comes, and history replayed
with its own timestamps makes the same journeys.  Only a wakeup gives up on responses whose survey never came: wakeups
are written when a partition has caught up, other events are not.

What a customer takes away comes first of all: an opt-out, a withdrawal, a bounce or an erasure holds for whatever is
not sent yet, however long it has been due.  And two settings of a rule depend on how late it is: `send_within` and
`hours`, for what is not history (`streams.domain.dispatching`).  Because of these three the result is the same only as
long as wakeups come in time.
"""

from schemas.events import ContactUpdate, Inbound, SurveyResponse, Trigger, Wakeup
from schemas.reasons import Reason
from schemas.records import replacer
from streams.domain import clicks, contacts, dispatching, erasure, responses, triggers
from streams.domain.effects import Effect, Ignore, Reject, Step
from streams.domain.panes import DAY_MS, floor_ms
from streams.domain.policy import Program
from streams.domain.state import Journey

_at = replacer(Journey, "clock_ms")


def step(
    journey: Journey, event: Inbound, program: Program, now_ms: int, raw: bytes = b"", history: bool = False
) -> tuple[Journey, list[Effect]]:
    """Advance the journey to `now_ms` and take the event: the new journey and the effects; see `Step` for the rest.

    Deterministic: no clock, no randomness, no environment.
    """
    context = Step(event.customer_id, program, now_ms, history, raw, [])
    return _take(journey, event, context), context.effects


def advance(journey: Journey, customer_id: str, program: Program, now_ms: int) -> tuple[Journey, list[Effect]]:
    """Advance the customer's own time to `now_ms`: everything due happens, no parked response is given up."""
    context = Step(customer_id, program, now_ms)
    return _advance(journey, context), context.effects


def next_timer_ms(journey: Journey, program: Program) -> int | None:
    """Time of the customer's next wakeup, milliseconds UTC, should no event come before; None for never.

    The next survey or reminder due, click to confirm or response to give up; when there is none, a day by which all can
    be forgotten.
    """
    if journey.pending or journey.parked or journey.waiting or journey.reminders:
        scheduled = {pending.survey_id for pending in journey.pending}
        times = [timer.due_ms for timers in (journey.pending, journey.waiting, journey.reminders) for timer in timers]
        times += [parked.until_ms for parked in journey.parked if parked.survey_id not in scheduled]
        return min(times)
    if journey.invitations or journey.seen or journey.asked or journey.cancels:
        return floor_ms(journey.clock_ms, DAY_MS) + 2 * DAY_MS + program.memory_ms
    return None


def is_blank(journey: Journey) -> bool:
    """True when nothing is known but the time, so that the journey need not be kept."""
    known = journey.invitations or journey.seen or journey.asked or journey.pending or journey.parked or journey.cancels
    return not known and not journey.opted_out and journey.opted_ms < 0 and journey.contact is None


def _take(journey: Journey, event: Inbound, step: Step) -> Journey:
    if isinstance(event, ContactUpdate):
        return _take_contact(journey, event, step)
    journey = _advance(journey, step)
    if isinstance(event, Wakeup):
        return responses.give_up(journey, step)
    if objection := _out_of_time(event, step):
        step.effects.append(objection)
        return journey
    if isinstance(event, SurveyResponse):
        return _take_response(journey, event, step)
    if erasure.is_erased(journey, event):
        step.effects.append(Ignore(Reason.ERASED))
        return journey
    triggered = triggers.trigger(journey, event, step)
    if triggered.pending is not journey.pending:
        triggered = dispatching.send_due(triggered, step, triggered.clock_ms)
    return triggered


def _take_response(journey: Journey, event: SurveyResponse, step: Step) -> Journey:
    if objection := responses.fault(event):
        step.effects.append(objection)
        return journey
    if journey.contact is not None and erasure.is_erased(journey, event):
        step.effects.append(Ignore(Reason.ERASED))
        return journey
    return responses.respond(journey, event, step)


def _take_contact(journey: Journey, event: ContactUpdate, step: Step) -> Journey:
    """Take a contact update: what it takes away before anything due is sent, what it grants after that."""
    objection: Reject | Ignore | None = _out_of_time(event, step) or contacts.fault(event, journey.contact)
    if objection is None and erasure.is_erased(journey, event):
        objection = Ignore(Reason.DUPLICATE if event.erased else Reason.ERASED)
    objections = contacts.taken_away(event)
    if objection is None and (objection := contacts.zone_fault(event)) is not None and objections is not None:
        journey = contacts.apply_update(journey, objections)  # nobody is asked against their will for a zone's spelling
    if objection is not None:
        journey = _advance(journey, step)
        step.effects.append(objection)
        return journey
    if event.erased:
        return _advance(erasure.erase(journey, event, step), step)
    if objections is not None:
        journey = contacts.apply_update(journey, objections)
    return contacts.apply_update(_advance(journey, step), event)


def _advance(journey: Journey, step: Step) -> Journey:
    """The journey at `step.now_ms`, or its own time when that is later, after everything due until then."""
    to_ms = step.now_ms if step.now_ms > journey.clock_ms else journey.clock_ms  # faster than max, for every event
    if journey.waiting:
        journey = clicks.confirm_due(journey, step, to_ms)
    if journey.pending or journey.reminders:
        journey = dispatching.send_due(journey, step, to_ms)
    return _forget(journey, step.program, to_ms) if to_ms > journey.clock_ms else journey


def _forget(journey: Journey, program: Program, to_ms: int) -> Journey:
    """The journey at `to_ms`, without what is no longer remembered then."""
    invitations, seen, asked, cancels = journey.invitations, journey.seen, journey.asked, journey.cancels
    oldest_ms, unquarantined_ms = to_ms - program.limits.remember_ms, to_ms - program.longest_quarantine_ms
    if (
        (not invitations or invitations[0].sent_ms > oldest_ms)
        and (not seen or seen[0][1] > oldest_ms)
        and (not asked or asked[0][1] > unquarantined_ms)
        and (not cancels or cancels[0].time_ms > oldest_ms)
    ):
        return _at(journey, to_ms)
    return journey._replace(
        clock_ms=to_ms,
        invitations=tuple(invitation for invitation in invitations if invitation.sent_ms > oldest_ms),
        seen=tuple(trigger for trigger in seen if trigger[1] > oldest_ms),
        asked=tuple(survey for survey in asked if survey[1] > unquarantined_ms),
        cancels=tuple(cancel for cancel in cancels if cancel.time_ms > oldest_ms),
    )


def _out_of_time(event: Trigger | SurveyResponse | ContactUpdate, step: Step) -> Reject | None:
    """The rejection of an event too early or too late; None for late contact updates, a register and not a count."""
    late_ms, limits = step.now_ms - event.time, step.program.limits
    if -limits.early_ms <= late_ms <= limits.late_ms:
        return None
    if late_ms < 0:
        return Reject(Reason.TOO_EARLY, f"claims to happen {-late_ms // 1000} s after it was sent")
    if isinstance(event, ContactUpdate):
        return None
    return Reject(Reason.TOO_LATE, f"happened {late_ms // 1000} s before it was sent")
