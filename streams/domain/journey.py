"""The product in one pure function: `step(journey, event, program, now_ms) -> (journey, effects)`.

It first advances the customer's own time to `now_ms`, so that whatever fell due happens first, in due order, each at
its due time; then it takes the event.  So the result does not depend on when a wakeup comes, and history replayed
with its own timestamps makes the same journeys.  The one thing only a wakeup does is to give up on responses whose
survey never came: wakeups are written when a partition has caught up, other events are not.

Two rules look at how late it is: `send_within` and `hours`, for what is not history (`streams.domain.dispatching`).
With them the result is the same as long as wakeups come in time, which is what they are for.
"""

from schemas.events import ContactUpdate, Inbound, SurveyResponse, Trigger, Wakeup
from schemas.reasons import Reason
from schemas.records import new
from streams.domain import clicks, contacts, dispatching, erasure, responses, triggers
from streams.domain.effects import Effect, Ignore, Reject
from streams.domain.panes import DAY_MS, floor_ms
from streams.domain.policy import Program
from streams.domain.state import Journey


def step(
    journey: Journey, event: Inbound, program: Program, now_ms: int, raw: bytes = b"", history: bool = False
) -> tuple[Journey, list[Effect]]:
    """What becomes of a customer by this event, and what the world should hear of it.

    `now_ms` is the Kafka timestamp of the event's record, `raw` the record itself, opaque: it comes back in
    `Reject` and `Requeue`.  `history` says that the record was loaded as history: what it asks for is never too late
    to send.  Deterministic: no clock, no randomness, no environment.
    """
    journey, effects = advance(journey, event.customer_id, program, now_ms)
    if isinstance(event, Wakeup):
        return responses.give_up(journey, now_ms, effects), effects
    late_ms, limits = now_ms - event.time, program.limits
    if not -limits.early_ms <= late_ms <= limits.late_ms and (objection := _out_of_time(event, late_ms)):
        return journey, [*effects, objection]
    if isinstance(event, SurveyResponse):
        if objection := responses.fault(event):
            return journey, [*effects, objection]
        if journey.contact is not None and erasure.is_forgotten(journey, event):
            return journey, [*effects, Ignore(Reason.ERASED)]
        return responses.respond(journey, event, program, now_ms, raw, effects), effects
    if isinstance(event, ContactUpdate):
        return _contact(journey, event, program, now_ms, effects), effects
    if erasure.is_forgotten(journey, event):
        return journey, [*effects, Ignore(Reason.ERASED)]
    asked = triggers.trigger(journey, event, program, now_ms, history, effects)
    if asked.pending is not journey.pending:
        asked = dispatching.send_due(asked, event.customer_id, program, asked.clock_ms, effects)
    return asked, effects


def advance(journey: Journey, customer_id: str, program: Program, now_ms: int) -> tuple[Journey, list[Effect]]:
    """The customer's own time moves on to `now_ms` and whatever fell due happens; nothing is given up on."""
    effects: list[Effect] = []
    if journey.clock_ms < now_ms:
        journey = _advance(journey, customer_id, program, now_ms, effects)
    return journey, effects


def wake_ms(journey: Journey, program: Program) -> int | None:
    """When this customer must be looked at again though nothing comes; None for never.

    The next survey or reminder due, click to confirm or response to give up; when there is none, a day by which all can
    be forgotten.
    """
    if journey.pending or journey.parked or journey.waiting or journey.reminders:
        coming = {pending.survey_id for pending in journey.pending}
        due = [one.due_ms for all_ in (journey.pending, journey.waiting, journey.reminders) for one in all_]
        due += [parked.until_ms for parked in journey.parked if parked.survey_id not in coming]
        return min(due)
    if journey.invitations or journey.seen or journey.asked or journey.cancels:
        return floor_ms(journey.clock_ms, DAY_MS) + 2 * DAY_MS + program.memory_ms
    return None


def is_blank(journey: Journey) -> bool:
    """True when nothing is known but the time, so that the journey need not be kept."""
    known = journey.invitations or journey.seen or journey.asked or journey.pending or journey.parked or journey.cancels
    return not known and not journey.opted_out and journey.opted_ms < 0 and journey.contact is None


def _contact(journey: Journey, event: ContactUpdate, program: Program, now_ms: int, effects: list[Effect]) -> Journey:
    if objection := contacts.fault(event, journey.contact):
        effects.append(objection)
        return journey
    if erasure.is_forgotten(journey, event):
        effects.append(Ignore(Reason.DUPLICATE if event.erased else Reason.ERASED))
        return journey
    if event.erased:
        return erasure.erase(journey, event, program, now_ms, effects)
    return contacts.told(journey, event)


def _advance(journey: Journey, customer_id: str, program: Program, to_ms: int, effects: list[Effect]) -> Journey:
    if journey.pending or journey.reminders:
        journey = dispatching.send_due(journey, customer_id, program, to_ms, effects)
    if journey.waiting:
        journey = clicks.confirm_due(journey, customer_id, program, to_ms, effects)
    return _forget(journey, program, to_ms)


def _forget(journey: Journey, program: Program, to_ms: int) -> Journey:
    """The journey at `to_ms`, without what is no longer remembered then."""
    invitations, seen, asked, cancels = journey[4], journey[6], journey[7], journey[8]
    oldest_ms, unquarantined_ms = to_ms - program.limits.remember_ms, to_ms - program.longest_quarantine_ms
    if (
        (not invitations or invitations[0].sent_ms > oldest_ms)
        and (not seen or seen[0][1] > oldest_ms)
        and (not asked or asked[0][1] > unquarantined_ms)
        and (not cancels or cancels[0].time_ms > oldest_ms)
    ):
        return new(Journey, (to_ms, *journey[1:]))
    return journey._replace(
        clock_ms=to_ms,
        invitations=tuple(invitation for invitation in invitations if invitation.sent_ms > oldest_ms),
        seen=tuple(one for one in seen if one[1] > oldest_ms),
        asked=tuple(one for one in asked if one[1] > unquarantined_ms),
        cancels=tuple(cancel for cancel in cancels if cancel.time_ms > oldest_ms),
    )


def _out_of_time(event: Trigger | SurveyResponse | ContactUpdate, late_ms: int) -> Reject | None:
    """A withdrawal or an erasure is heeded however late it comes: what contacts say is a register, not a count."""
    if late_ms < 0:
        return Reject(Reason.TOO_EARLY, f"claims to happen {-late_ms // 1000} s after it was sent")
    if isinstance(event, ContactUpdate):
        return None
    return Reject(Reason.TOO_LATE, f"happened {late_ms // 1000} s before it was sent")
