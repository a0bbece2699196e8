"""What customers do, a visit at a time.  See `generator`."""

import random
from collections.abc import Iterator, Mapping

from schemas.events import Purchase, SupportCase
from tests.faults.oracle.sent import Trigger
from tests.faults.oracle.sent import about as about_of
from tests.faults.oracle.terms import Terms
from tests.faults.traffic import objections
from tests.faults.traffic.mix import Mix, Sent
from tests.faults.traffic.pen import Pen
from tests.faults.traffic.poison import poisons
from tests.faults.traffic.replies import Replies

COUNTRIES = ("BR", "DE", "FR", "IN", "a,b=c|100%")
CATEGORIES = ("toys", "books", "food", "garden")
LONG_VALUE, LONG_ID = "x" * 60_000, "y" * 300


class Stories:
    """The records of one history."""

    def __init__(self, r: random.Random, mix: Mix, terms: Terms, end_ms: int, name: str) -> None:
        self._r, self._mix, self._terms, self._end_ms, self._name = r, mix, terms, end_ms, name
        self._pen = Pen(r, mix, terms, end_ms)

    def told(self) -> Iterator[Sent]:
        """Every record, in the order of writing."""
        for number in range(self._mix.visits):
            self._visit(number)
        self._burst()
        self._poison()
        yield from self._pen.written()

    def _visit(self, number: int) -> None:
        r, mix = self._r, self._mix
        at_ms = self._end_ms - r.randrange(1, mix.span_ms)
        event = self._trigger(r.choice(mix.types), f"{self._name}-{number}", self._customer(number), at_ms)
        self._happen(event, at_ms)
        if r.random() < mix.twin_ratio:
            self._happen(event._replace(customer_id=f"{event.customer_id}-twin"), at_ms + r.randrange(2_000))

    def _happen(self, event: Trigger, at_ms: int) -> None:
        """A trigger and all that follows from it."""
        r, mix, pen, customer = self._r, self._mix, self._pen, event.customer_id
        ask = self._terms.ask_for(event.type, event.attributes)
        overtaken_ms = r.randrange(3_000, 8_000) if r.random() < mix.overtaking_ratio else 0
        if ask is not None and ask.consent_required and r.random() < 0.8:
            objections.consent(pen, f"{event.id}-yes", customer, ask, at_ms - mix.apart_ms - r.randrange(4_000))
        pen.emit(event, at_ms + overtaken_ms)
        due_ms = at_ms + (ask.delay_ms if ask else 0)
        if r.random() < mix.cancelled_ratio:
            self._cancel(event, due_ms)
        if r.random() < mix.racing_ratio:
            type_ = "case.solved" if isinstance(event, Purchase) else "order.delivered"
            race_ms = at_ms + mix.apart_ms + r.randrange(2_000)
            pen.emit(self._trigger(type_, f"{event.id}-race", customer, race_ms), race_ms)
        if r.random() < mix.opted_ratio:
            objections.opt(pen, f"{event.id}-opt", customer, self._aside(due_ms))
        if ask is not None and r.random() < mix.contact_ratio:
            objections.contact(pen, f"{event.id}-contact", customer, ask, self._aside(due_ms))
        if r.random() < mix.erased_ratio:
            objections.erase(pen, f"{event.id}-erased", customer, self._aside(due_ms))
        if ask is not None and r.random() < mix.answered_ratio:
            Replies(pen, event, ask, due_ms).tell(at_ms + r.randrange(overtaken_ms) if overtaken_ms else None)

    def _aside(self, due_ms: int) -> int:
        """About the time at which a survey is due, before or after."""
        away_ms = self._mix.apart_ms + self._r.randrange(4_000)
        return due_ms + self._r.choice((-away_ms, away_ms))

    def _customer(self, number: int) -> str:
        r, mix = self._r, self._mix
        if r.random() < mix.hot_customer_ratio and mix.hot_customers:
            return f"{self._name}-hot{r.randrange(mix.hot_customers)}"
        return f"{self._name}-c{r.randrange(mix.customers) if number >= mix.customers else number}"

    def _trigger(self, type_: str, id_: str, customer: str, at_ms: int) -> Trigger:
        attributes, time_ms = self._attributes(), self._pen.skewed(at_ms)
        if self._r.random() < self._mix.long_ratio / 4:
            id_ += LONG_ID
        if type_.startswith("case."):
            attributes = {**attributes, "priority": self._r.choice(("normal", "high", "low"))}
            return SupportCase("desk", id_, type_, time_ms, customer, f"case {id_}", attributes)
        return Purchase("shop", id_, type_, time_ms, customer, f"order {id_}", 1_999, "EUR", attributes)

    def _attributes(self) -> Mapping[str, str]:
        r = self._r
        if r.random() < self._mix.long_ratio:
            return {"country": LONG_VALUE, "category": f"{'%' * 70}{r.random()}"}
        if r.random() < self._mix.hot_segment_ratio:
            return {"country": COUNTRIES[0], "category": CATEGORIES[0]}
        country = {"country": r.choice(COUNTRIES)} if r.random() < 0.95 else {}
        return {**country, "category": r.choice(CATEGORIES)}

    def _cancel(self, event: Trigger, due_ms: int) -> None:
        """A return or a reopening, on either topic, about the time at which the survey is due."""
        at_ms = max(event.time, self._aside(due_ms))
        at_ms = at_ms if abs(at_ms) < 1 << 50 else self._end_ms
        id_, customer, about = f"{event.id}-back", event.customer_id, about_of(event)
        if self._r.random() < 0.5:
            type_ = "order.returned" if isinstance(event, Purchase) else "case.reopened"
            self._pen.emit(event._replace(id=id_, type=type_, time=at_ms), at_ms)
        elif isinstance(event, Purchase):
            self._pen.emit(SupportCase("desk", id_, "case.escalated", at_ms, customer, about, {}), at_ms)
        else:
            self._pen.emit(Purchase("shop", id_, "order.exchanged", at_ms, customer, about, None, None, {}), at_ms)

    def _burst(self) -> None:
        """One customer who never stops: more triggers at once than are scheduled, and answers to some of them."""
        customer, start_ms = f"{self._name}-burst", self._end_ms - self._r.randrange(1, self._mix.span_ms)
        for number in range(self._mix.burst):
            at_ms = start_ms + number * 20
            event = self._trigger("order.delivered", f"{self._name}-burst-{number}", customer, at_ms)
            event = event._replace(time=at_ms)
            self._pen.emit(event, at_ms)
            ask = self._terms.ask_for(event.type, event.attributes)
            if number % 20 == 0 and ask is not None:
                Replies(self._pen, event, ask, at_ms + ask.delay_ms).tell()

    def _poison(self) -> None:
        for topic, key, value, headers in poisons(self._r, self._mix, self._name):
            at_ms = self._end_ms - self._r.randrange(1, self._mix.span_ms)
            self._pen.write(Sent(topic, key, value, at_ms, headers), at_ms)
