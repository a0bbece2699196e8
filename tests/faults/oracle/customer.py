"""One customer, record after record in order of time: the whole product once more, in the plainest way.

What falls due happens before the record in hand, each at its own time: of one instant first a click's wait ends, then a
survey leaves, then a reminder.  Only what a customer takes away goes before all of it.  Nothing is ever forgotten: a
history must be shorter than what `limits.remember` and the quarantines keep in mind.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from schemas.events import ContactUpdate, Erasure, SurveyResponse, Wakeup
from tests.faults.oracle.answers import Sheet
from tests.faults.oracle.clicks import Click
from tests.faults.oracle.contacts import Contacts, taken_away
from tests.faults.oracle.ids import confirmation_of, decision_of, erasure_of
from tests.faults.oracle.inputs import Taken
from tests.faults.oracle.outcome import Left, Outcome, copy_of
from tests.faults.oracle.sent import Cancel, Sent, Trigger, Verdict, about, decision
from tests.faults.oracle.terms import Ask, Terms


@dataclass(slots=True)
class Customer:
    """All that was ever heard of one customer, and what is still to come."""

    name: str
    terms: Terms
    outcome: Outcome = field(default_factory=Outcome)
    clock_ms: int = 0
    contacts: Contacts = field(default_factory=Contacts)
    known: set[tuple[str, str]] = field(default_factory=set)
    cancels: list[Cancel] = field(default_factory=list)
    scheduled: list[Sent] = field(default_factory=list)
    sent: dict[str, Sheet] = field(default_factory=dict)
    asked: list[tuple[str, int]] = field(default_factory=list)
    reminders: list[tuple[int, str, int]] = field(default_factory=list)
    """When due, which survey, the how manieth."""
    waiting: list[tuple[int, str, Click]] = field(default_factory=list)
    held: list[tuple[str, Taken]] = field(default_factory=list)

    def take(self, taken: Taken) -> None:
        """Take one record."""
        event = taken.event
        is_old = not isinstance(event, Wakeup | None) and event.time <= self.contacts.erased_ms
        if isinstance(event, ContactUpdate) and not taken.fault and not is_old:
            self._take_contact(event, taken)
            return
        self.advance(taken.now_ms)
        if taken.fault:
            self.outcome.dead[taken.place] = taken.fault
        elif isinstance(event, Wakeup):
            self._give_up(taken.now_ms)
        elif isinstance(event, SurveyResponse) and not is_old:
            self._take_response(event, taken)
        elif isinstance(event, Trigger) and not is_old:
            self._take_trigger(event, taken.now_ms)
            self.advance(self.clock_ms)

    def left(self) -> Iterator[Left]:
        """What waits for its time."""
        yield from (Left(f"survey {one.survey_id}", one.due_ms) for one in self.scheduled)
        yield from (Left(f"reminder {number} of {name}", due_ms) for due_ms, name, number in self.reminders)
        yield from (Left(f"click on {name}", due_ms) for due_ms, name, _ in self.waiting)
        scheduled = {one.survey_id for one in self.scheduled}
        yield from (
            Left(f"response {taken.place}", taken.now_ms + self.terms.hold_ms)
            for name, taken in self.held
            if name not in scheduled
        )

    # Contacts

    def _take_contact(self, event: ContactUpdate, taken: Taken) -> None:
        if event.erased:
            self._erase(event, taken)
            self.advance(taken.now_ms)
            return
        self.contacts.take(taken_away(event))
        self.advance(taken.now_ms)
        self.contacts.take(event)

    def _erase(self, event: ContactUpdate, taken: Taken) -> None:
        until_ms = event.time
        for one in [one for one in self.scheduled if one.event.time <= until_ms]:
            self._decide(one.event, one.ask, Verdict("suppressed", taken.now_ms, "erased", event.id))
            self.scheduled.remove(one)
        id_ = erasure_of(self.name, event.source, event.id)
        self.outcome.erasures[id_] = Erasure(
            erasure_id=id_, customer_id=self.name, source=event.source, id=event.id, erased_ms=until_ms,
            received_ms=taken.now_ms, program="", version=taken.place[2],
        )  # fmt: skip
        self.sent = {name: sheet for name, sheet in self.sent.items() if sheet.sent.event.time > until_ms}
        self.asked = [(survey, at_ms) for survey, at_ms in self.asked if at_ms > until_ms]
        self.cancels = [cancel for cancel in self.cancels if cancel.time_ms > until_ms]
        self.held = [(name, held) for name, held in self.held if held.now_ms > until_ms]
        self.reminders = [reminder for reminder in self.reminders if reminder[1] in self.sent]
        self.waiting = [waiting for waiting in self.waiting if waiting[1] in self.sent]
        self.contacts.forget(until_ms)

    # Triggers

    def _take_trigger(self, event: Trigger, now_ms: int) -> None:
        if (event.source, event.id) in self.known:
            return
        self.known.add((event.source, event.id))
        is_cancel = event.type in self.terms.cancel_types
        if is_cancel:
            self._cancel(Cancel(event.type, about(event), event.id, event.time))
        ask = self.terms.ask_for(event.type, event.attributes)
        if ask is not None:
            self._schedule(event, ask, now_ms)
        elif not is_cancel:
            reason = "unknown_type" if self.terms.types and event.type not in self.terms.types else "no_rule"
            self._decide(event, None, Verdict("suppressed", now_ms, reason))

    def _cancel(self, cancel: Cancel) -> None:
        self.cancels.append(cancel)
        for one in [one for one in self.scheduled if cancel.stops(one.event, one.ask)]:
            self._decide(one.event, one.ask, Verdict("suppressed", cancel.time_ms, "cancelled", cancel.id))
            self.scheduled.remove(one)
        for sheet in self.sent.values():
            sheet.sent.end(cancel)

    def _schedule(self, event: Trigger, ask: Ask, now_ms: int) -> None:
        due_ms = max(event.time + ask.delay_ms, now_ms)
        for cancel in self.cancels:
            if cancel.stops(event, ask) and cancel.time_ms < due_ms:
                self._decide(event, ask, Verdict("suppressed", now_ms, "cancelled", cancel.id))
                return
        reason = self._objection(ask, due_ms)
        if reason is None and self._is_full():
            reason = "too_many_triggers"
        if reason is not None:
            self._decide(event, ask, Verdict("suppressed", now_ms, reason))
            return
        segments, dimensions = self.terms.segments(event.attributes), self.terms.dimensions_of(event.attributes)
        self.scheduled.append(Sent(event, ask, due_ms, segments, dimensions))
        if due_ms > self.clock_ms:
            id_ = decision_of(self.name, event.source, event.id)
            self.outcome.pending[id_] = decision(event, ask, Verdict("pending", due_ms), self.terms)

    def _is_full(self) -> bool:
        """True when one survey more would be too many, scheduled or known."""
        known = max(len(self.scheduled) + len(self.sent), len(self.asked))
        return len(self.scheduled) >= self.terms.most_scheduled or known >= self.terms.most_known

    def _objection(self, ask: Ask, due_ms: int) -> str | None:
        """Why the customer must not be asked then."""
        if reason := self.contacts.refusal(ask):
            return reason
        if any(abs(due_ms - at_ms) < self.terms.apart_ms(ask.survey, survey) for survey, at_ms in self.asked):
            return "asked_recently"
        return self.contacts.channel(ask)[1]

    def _decide(self, event: Trigger, ask: Ask | None, verdict: Verdict) -> None:
        told = decision(event, ask, verdict, self.terms)
        self.outcome.decisions[told.decision_id] = told

    # Time

    def advance(self, to_ms: int) -> None:
        """Let everything happen that falls due until then."""
        self.clock_ms = max(self.clock_ms, to_ms)
        while (due := self._next_due()) is not None:
            kind, which = due
            if kind == 0:
                self._confirm(self.waiting.pop(which))
            elif kind == 1:
                self._send(self.scheduled.pop(which))
            else:
                self._remind(*self.reminders.pop(which))

    def _next_due(self) -> tuple[int, int] | None:
        """Kind and place of the first thing that is due."""
        times = [(one[0], 0, one[1], place) for place, one in enumerate(self.waiting)]
        times += [(one.due_ms, 1, one.survey_id, place) for place, one in enumerate(self.scheduled)]
        times += [(one[0], 2, one[1], place) for place, one in enumerate(self.reminders)]
        first = min(times, default=None)
        return None if first is None or first[0] > self.clock_ms else (first[1], first[3])

    def _send(self, one: Sent) -> None:
        if reason := self._objection(one.ask, one.due_ms):
            self._decide(one.event, one.ask, Verdict("suppressed", one.due_ms, reason))
            return
        one.channel = self.contacts.channel(one.ask)[0]
        for cancel in self.cancels:
            one.end(cancel)
        self._decide(one.event, one.ask, Verdict("sent", one.due_ms, channel=one.channel))
        self.outcome.dispatches[one.survey_id, 0] = one.dispatch(one.due_ms, one.channel, 0)
        self.sent[one.survey_id] = Sheet(one, self.terms)
        self.asked.append((one.ask.survey, one.due_ms))
        waited = [taken for name, taken in self.held if name == one.survey_id]
        self.outcome.put_back |= {copy_of(taken.row): True for taken in waited}
        self.held = [(name, taken) for name, taken in self.held if name != one.survey_id]
        if not waited:
            self._plan_reminder(one, one.due_ms + one.ask.remind_after_ms, 1)

    def _plan_reminder(self, one: Sent, due_ms: int, number: int) -> None:
        if number <= one.ask.reminders and due_ms < one.expires_ms and one.cancelled_ms < 0:
            self.reminders.append((due_ms, one.survey_id, number))

    def _remind(self, due_ms: int, survey_id: str, number: int) -> None:
        """Remind whoever neither answered nor clicked; who clicked is waited for."""
        sheet = self.sent[survey_id]
        one, ask = sheet.sent, sheet.sent.ask
        if sheet.is_answered or one.cancelled_ms >= 0 or self.contacts.refusal(ask):
            return
        waits = [end_ms for end_ms, name, click in self.waiting if name == survey_id and sheet.is_waiting(click)]
        if waits:
            self._plan_reminder(one, max(waits), number)
            return
        channel, reason = self.contacts.channel(ask)
        if reason or any(sheet.is_waiting(click) for click in sheet.clicks):
            return
        self.outcome.dispatches[survey_id, number] = one.dispatch(due_ms, channel, number)
        self._plan_reminder(one, due_ms + ask.remind_after_ms, number + 1)

    # Responses

    def _take_response(self, event: SurveyResponse, taken: Taken) -> None:
        sheet = self.sent.get(event.survey_id)
        if sheet is None:
            self.held.append((event.survey_id, taken))
            if len(self.held) > self.terms.most_held:
                self.outcome.dead[self.held.pop(0)[1].place] = "unknown_survey"
            return
        wait_ms = max(event.time, taken.now_ms) + self.terms.confirm_ms
        self.waiting += [(wait_ms, event.survey_id, click) for click in sheet.take(taken, self.outcome)]
        if sheet.is_answered:
            self.reminders = [reminder for reminder in self.reminders if reminder[1] != event.survey_id]

    def _confirm(self, waiting: tuple[int, str, Click]) -> None:
        due_ms, survey_id, click = waiting
        if self.sent[survey_id].is_waiting(click):
            id_ = confirmation_of(survey_id, click.time_ms, click.score)
            self.outcome.confirmed[id_] = min(due_ms, click.time_ms + self.terms.late_ms)

    def _give_up(self, now_ms: int) -> None:
        scheduled = {one.survey_id for one in self.scheduled}
        for name, taken in list(self.held):
            if taken.now_ms + self.terms.hold_ms <= now_ms and name not in scheduled:
                self.outcome.dead[taken.place] = "unknown_survey"
                self.held.remove((name, taken))
