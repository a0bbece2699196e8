"""What may be decided about a customer's triggers, for every order in which the topics can have been read.

Order is defined within a topic only.  So the customer's topics span a lattice of reading positions; walking over all of
it gives every ledger of decisions that is right, and no other.  Records that only move the customer's time are thinned
to those that make another survey due.  Customers with too much of everything are held to rules instead (`broken`).

Forgetting is left out: a history must be shorter than what quarantines and `limits.remember` keep in mind.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from math import prod
from typing import NamedTuple, TypeAlias

from schemas.events import ContactUpdate, Purchase, SupportCase
from tests.faults.oracle.inputs import CONTACTS, PURCHASES, RESPONSES, SUPPORT, WAKEUPS, Customer, Taken
from tests.faults.oracle.terms import Ask, Terms, decision_of, survey_of

MOST_POSITIONS = 4_000
Trigger: TypeAlias = Purchase | SupportCase


class Verdict(NamedTuple):
    """What was decided about one trigger."""

    outcome: str
    reason: str | None
    cause_id: str | None
    decided_ms: int


DecisionCounts = frozenset[tuple[str, Verdict]]
"""Decision ids with their verdicts."""


class Due(NamedTuple):
    """A trigger that asks for a survey at `due_ms`."""

    due_ms: int
    survey_id: str
    ask: Ask
    event: Trigger

    @property
    def decision_id(self) -> str:
        """The id of the decision about it."""
        return decision_of(self.event.customer_id, self.event.source, self.event.id)


class Known(NamedTuple):
    """A customer somewhere on the lattice.  `asked` are surveys with the times at which they were sent."""

    clock_ms: int = 0
    opted: tuple[int, bool] = (-1, False)
    pending: tuple[str, ...] = ()
    asked: tuple[tuple[str, int], ...] = ()
    cancels: tuple[tuple[str, str, str, int], ...] = ()
    ledger: DecisionCounts = frozenset()


def about(event: Trigger) -> str:
    """The order or case."""
    return event.order_id if isinstance(event, Purchase) else event.case_id


class Asking:
    """One customer's triggers and what may become of them."""

    def __init__(self, customer: Customer, terms: Terms) -> None:
        self._terms = terms
        firsts = [taken for topic in (PURCHASES, SUPPORT) for taken in _firsts(customer.of(topic))]
        self.triggers = {taken.place: taken for taken in firsts}
        self.dues = {due.decision_id: due for taken in firsts if (due := self._due(taken))}
        self._instants = sorted({due.due_ms for due in self.dues.values()})
        self._streams = self._thinned(customer)

    @property
    def is_small(self) -> bool:
        """True when every order can be walked."""
        return prod(len(stream) + 1 for stream in self._streams) <= MOST_POSITIONS

    def is_trigger(self, taken: Taken) -> bool:
        """True for an event that must be decided about: one that some rule wants, or that does not only cancel."""
        event = taken.event
        assert isinstance(event, Purchase | SupportCase)
        decision = decision_of(event.customer_id, event.source, event.id)
        return event.type not in self._terms.cancel_types or decision in self.dues

    def ledgers(self) -> dict[DecisionCounts, frozenset[str]]:
        """Every right ledger once all is read, with the ids of decisions that are still to come after it."""
        reached: dict[tuple[int, ...], set[Known]] = {(0,) * len(self._streams): {Known()}}
        for position in product(*(range(len(stream) + 1) for stream in self._streams)):
            here = reached.pop(position)
            for way, stream in enumerate(self._streams):
                if position[way] < len(stream):
                    onward = (*position[:way], position[way] + 1, *position[way + 1 :])
                    taken = stream[position[way]]
                    reached.setdefault(onward, set()).update(self._after(known, taken) for known in here)
            if not reached:
                return {known.ledger: frozenset(known.pending) for known in here}
        raise AssertionError("the last position has nothing after it")

    def _due(self, taken: Taken) -> Due | None:
        event = taken.event
        assert isinstance(event, Purchase | SupportCase)
        ask = self._terms.ask_for(event.type, event.attributes)
        if ask is None:
            return None
        due_ms = max(event.time + ask.delay_ms, taken.now_ms)
        return Due(due_ms, survey_of(event.customer_id, event.source, event.id, ask.name), ask, event)

    def _thinned(self, customer: Customer) -> list[list[Taken]]:
        """Streams of records that matter: events in their order, and of mere moves of time those that make one due."""
        streams, moves = [], [*customer.of(RESPONSES), *customer.of(WAKEUPS)]
        for topic in (PURCHASES, SUPPORT, CONTACTS):
            taken = customer.of(topic)
            if any(self._is_news(one) for one in taken):
                streams.append(list(self._thin(taken)))
            else:
                moves += taken
        moves.sort(key=lambda taken: taken.now_ms)
        return [stream for stream in (*streams, list(self._thin(moves))) if stream]

    def _thin(self, stream: Sequence[Taken]) -> Iterator[Taken]:
        due_before = 0
        for taken in stream:
            due = bisect_right(self._instants, taken.now_ms)
            if due > due_before or self._is_news(taken):
                yield taken
            due_before = max(due, due_before)

    def _is_news(self, taken: Taken) -> bool:
        says = isinstance(taken.event, ContactUpdate) and not taken.fault and taken.event.opted_out is not None
        return says or taken.place in self.triggers

    def _after(self, known: Known, taken: Taken) -> Known:
        """The customer after one more record."""
        known = self._sent(known._replace(clock_ms=max(known.clock_ms, taken.now_ms)))
        event = taken.event
        if taken.fault or not self._is_news(taken):
            return known
        if isinstance(event, ContactUpdate):
            said = (event.time, bool(event.opted_out))
            return known._replace(opted=max(known.opted, said))
        assert isinstance(event, Purchase | SupportCase)
        if event.type in self._terms.cancel_types:
            known = self._cancelled(known, event)
        return self._sent(self._scheduled(known, event, taken.now_ms))

    def _scheduled(self, known: Known, event: Trigger, now_ms: int) -> Known:
        id_ = decision_of(event.customer_id, event.source, event.id)
        due = self.dues.get(id_)
        if due is None:
            is_cancel = event.type in self._terms.cancel_types
            return known if is_cancel else _decided(known, id_, Verdict("suppressed", "no_rule", None, now_ms))
        for type_, order, cause, at_ms in known.cancels:
            if type_ in due.ask.cancel_on and order == about(event) and event.time <= at_ms < due.due_ms:
                return _decided(known, id_, Verdict("suppressed", "cancelled", cause, now_ms))
        if reason := self._objection(known, due):
            return _decided(known, id_, Verdict("suppressed", reason, None, now_ms))
        return known._replace(pending=(*known.pending, id_))

    def _cancelled(self, known: Known, event: Trigger) -> Known:
        for id_ in known.pending:
            due = self.dues[id_]
            if event.type in due.ask.cancel_on and about(event) == about(due.event) and due.event.time <= event.time:
                known = _decided(known, id_, Verdict("suppressed", "cancelled", event.id, event.time))
        return known._replace(cancels=(*known.cancels, (event.type, about(event), event.id, event.time)))

    def _sent(self, known: Known) -> Known:
        """With everything sent, or refused, that is due at the customer's time."""
        due_now = [due for id_ in known.pending if (due := self.dues[id_]).due_ms <= known.clock_ms]
        for due in sorted(due_now, key=lambda due: (due.due_ms, due.survey_id)):
            reason = self._objection(known, due)
            outcome = "suppressed" if reason else "sent"
            known = _decided(known, due.decision_id, Verdict(outcome, reason, None, due.due_ms))
            if reason is None:
                known = known._replace(asked=tuple(sorted((*known.asked, (due.ask.survey, due.due_ms)))))
        return known

    def _objection(self, known: Known, due: Due) -> str | None:
        if known.opted[1]:
            return "opted_out"
        near = any(abs(due.due_ms - at) < self._terms.apart_ms(due.ask.survey, survey) for survey, at in known.asked)
        return "asked_recently" if near else None

    def broken(self, decided: Mapping[str, Verdict], customer: Customer) -> str:
        """Which rule a customer's decisions break, whatever the order of reading; empty when none."""
        cancels = {taken.event.id: taken.event for taken in self.triggers.values()
                   if isinstance(taken.event, Purchase | SupportCase)}  # fmt: skip
        sent = [due for id_, due in self.dues.items() if id_ in decided and decided[id_].outcome == "sent"]
        for id_, verdict in decided.items():
            due = self.dues.get(id_)
            if (due is None) != (verdict.reason == "no_rule"):
                return f"decision {id_}: {verdict.reason}, and {'no' if due is None else 'a'} rule matches"
            if due is not None and (wrong := self._wrong(due, verdict, sent, cancels, customer)):
                return f"decision {id_}: {wrong}"
        return ""

    def _wrong(
        self, due: Due, verdict: Verdict, sent: Sequence[Due], events: Mapping[str, Trigger], customer: Customer
    ) -> str:
        near = [other for other in sent if other is not due and self._is_near(due, other)]
        if verdict.outcome == "sent":
            too_near = f"sent {abs(near[0].due_ms - due.due_ms)} ms from {near[0].survey_id}" if near else ""
            return too_near or ("" if verdict.decided_ms == due.due_ms else f"sent at {verdict.decided_ms}")
        if verdict.reason == "asked_recently":
            return "" if near else "refused as asked recently, and no survey is near"
        if verdict.reason == "opted_out":
            no = any(isinstance(one.event, ContactUpdate) and one.event.opted_out for one in customer.of(CONTACTS))
            return "" if no else "refused as opted out, and nobody said so"
        cause = events.get(verdict.cause_id or "")
        fits = cause is not None and cause.type in due.ask.cancel_on and about(cause) == about(due.event)
        return "" if verdict.reason == "cancelled" and fits else f"refused as {verdict.reason} by {verdict.cause_id}"

    def _is_near(self, due: Due, other: Due) -> bool:
        return abs(other.due_ms - due.due_ms) < self._terms.apart_ms(due.ask.survey, other.ask.survey)


def _firsts(stream: Sequence[Taken]) -> list[Taken]:
    """The first faultless copy of each event."""
    seen: dict[tuple[str, str], Taken] = {}
    for taken in stream:
        assert isinstance(taken.event, Purchase | SupportCase)
        if not taken.fault:
            seen.setdefault((taken.event.source, taken.event.id), taken)
    return list(seen.values())


def _decided(known: Known, id_: str, verdict: Verdict) -> Known:
    pending = tuple(other for other in known.pending if other != id_)
    return known._replace(pending=pending, ledger=known.ledger | {(id_, verdict)})
