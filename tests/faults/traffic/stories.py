"""What customers do, a visit at a time, and what goes wrong on the way of their events.  See `generator`."""

import random
from collections import Counter
from collections.abc import Iterator, Mapping

from schemas.codec import Codec
from schemas.events import ContactUpdate, Inbound, Purchase, SupportCase, SurveyResponse
from schemas.topics import CONTACTS, PURCHASES, RESPONSES, SUPPORT
from tests.faults.oracle.terms import Ask, Terms, survey_of
from tests.faults.traffic.mix import DAY_MS, Mix, Sent
from tests.faults.traffic.poison import poisons

COUNTRIES = ("BR", "DE", "FR", "IN", "a,b=c|100%")
CATEGORIES = ("toys", "books", "food", "garden")
TRIGGERS = (*["order.delivered"] * 9, *["case.solved"] * 5, *["order.collected"] * 3, "order.installed", "order.paid")
COMMENTS = ("arrived late", "will come again", "böse 😡", "")
SCORES = (0, 2, 3, 4, 5, 6, 7, 7, 8, 8, *[9] * 4, *[10] * 6)
MOST_RESPONSES = 50
"""Of one customer, copies included: a journey holds 64 back while their surveys are not sent."""

ABSURD_MS = (-62_135_596_800_000, 253_402_300_799_000, 1 << 62, -(1 << 62), -1, 0)
"""The years 1 and 9999, what no calendar knows, and both sides of 1970."""


class Stories:
    """The records of one history."""

    def __init__(self, r: random.Random, mix: Mix, terms: Terms, end_ms: int, name: str) -> None:
        self._r, self._mix, self._terms, self._end_ms, self._name = r, mix, terms, end_ms, name
        self._codec = Codec()
        self._written: list[tuple[int, int, Sent]] = []
        self._responses: Counter[str] = Counter()

    def told(self) -> Iterator[Sent]:
        """Every record, in the order of writing."""
        for number in range(self._mix.visits):
            self._visit(number)
        self._poison()
        for _, _, sent in sorted(self._written, key=lambda one: one[:2]):
            yield sent

    def _visit(self, number: int) -> None:
        r, mix = self._r, self._mix
        at_ms = self._end_ms - r.randrange(1, mix.span_ms)
        customer = self._customer(number)
        event = self._trigger(r.choice(TRIGGERS), f"{self._name}-{number}", customer, at_ms)
        ask = self._terms.ask_for(event.type, event.attributes)
        overtaken_ms = r.randrange(3_000, 8_000) if r.random() < mix.overtaking_ratio else 0
        self._emit(event, at_ms + overtaken_ms)
        due_ms = at_ms + (ask.delay_ms if ask else 0)
        if r.random() < mix.cancelled_ratio:
            self._cancel(event, due_ms)
        if r.random() < mix.racing_ratio:
            type_ = "case.solved" if isinstance(event, Purchase) else "order.delivered"
            self._emit(self._trigger(type_, f"{event.id}-race", customer, at_ms), at_ms + r.randrange(2_000))
        if r.random() < mix.opted_ratio:
            self._opt(f"{event.id}-opt", customer, due_ms)
        if ask is not None and r.random() < mix.answered_ratio:
            self._answers(event, ask, due_ms)

    def _customer(self, number: int) -> str:
        r, mix = self._r, self._mix
        if r.random() < mix.hot_customer_ratio and mix.hot_customers:
            return f"{self._name}-hot{r.randrange(mix.hot_customers)}"
        return f"{self._name}-c{r.randrange(mix.customers) if number >= mix.customers else number}"

    def _trigger(self, type_: str, id_: str, customer: str, at_ms: int) -> Purchase | SupportCase:
        attributes = self._attributes()
        at_ms = self._skewed(at_ms)
        if type_.startswith("case."):
            attributes = {**attributes, "priority": self._r.choice(("normal", "high", "low"))}
            return SupportCase("desk", id_, type_, at_ms, customer, f"case {id_}", attributes)
        return Purchase("shop", id_, type_, at_ms, customer, f"order {id_}", 1_999, "EUR", attributes)

    def _attributes(self) -> Mapping[str, str]:
        r = self._r
        if r.random() < self._mix.hot_segment_ratio:
            return {"country": COUNTRIES[0], "category": CATEGORIES[0]}
        country = {"country": r.choice(COUNTRIES)} if r.random() < 0.95 else {}
        return {**country, "category": r.choice(CATEGORIES)}

    def _skewed(self, at_ms: int) -> int:
        """The event's own time: mostly just now, at times late, too late, early, too early or absurd."""
        r, mix, terms = self._r, self._mix, self._terms
        if r.random() < mix.absurd_ratio:
            return r.choice((*ABSURD_MS, at_ms + terms.early_ms + 1, at_ms + terms.early_ms, at_ms + 60_000))
        if r.random() < mix.late_ratio:
            return at_ms - r.choice((terms.late_ms, terms.late_ms + 1, r.randrange(terms.late_ms)))
        return at_ms - r.randrange(1_000)

    def _cancel(self, event: Purchase | SupportCase, due_ms: int) -> None:
        """A return or a reopening about the time at which the survey is due."""
        type_ = "order.returned" if isinstance(event, Purchase) else "case.reopened"
        at_ms = max(event.time, due_ms + self._r.randrange(-3_000, 1_500))
        at_ms = at_ms if abs(at_ms) < 1 << 50 else self._end_ms
        self._emit(event._replace(id=f"{event.id}-back", type=type_, time=at_ms), at_ms)

    def _opt(self, id_: str, customer: str, due_ms: int) -> None:
        """The customer says no about the time at which a survey is due, or nothing, and at times yes again."""
        r = self._r
        at_ms = due_ms + r.randrange(-4_000, 4_000)
        said = r.choice((True, True, True, None))
        self._emit(ContactUpdate("crm", id_, "contact.updated", at_ms, customer, said, None, "de", {}), at_ms)
        if r.random() < 0.5:
            again_ms = at_ms + r.choice((0, r.randrange(self._mix.spread_ms)))
            yes = ContactUpdate("crm", f"{id_}-in", "contact.updated", again_ms, customer, False, None, None, {})
            self._emit(yes, again_ms)

    def _answers(self, event: Purchase | SupportCase, ask: Ask, due_ms: int) -> None:
        """A first score, and then corrections, comments and withdrawals, each by a way of its own."""
        r, mix = self._r, self._mix
        survey = survey_of(event.customer_id, event.source, event.id, ask.name)
        first_ms = due_ms + r.randrange(mix.spread_ms)
        if r.random() < 0.03:
            first_ms = due_ms + ask.expires_ms + r.randrange(-60_000, mix.spread_ms)
        said: list[tuple[int, int | None, str | None, bool]] = [(first_ms, r.choice(SCORES), None, False)]
        if r.random() < 0.4:
            said.append((first_ms + r.randrange(mix.spread_ms), None, r.choice(COMMENTS), False))
        while r.random() < mix.corrected_ratio and len(said) < 8:
            later_ms = r.choice((0, r.randrange(mix.spread_ms), self._terms.edit_ms + r.choice((0, 1, DAY_MS))))
            said.append((first_ms + later_ms, r.randrange(11), r.choice((None, "so it is")), False))
        if r.random() < mix.voided_ratio:
            said.append((first_ms + r.randrange(-1_000, mix.spread_ms), None, None, True))
            if r.random() < 0.5:
                said.append((first_ms + r.randrange(2 * mix.spread_ms), r.randrange(11), None, False))
        for number, (at_ms, score, comment, voided) in enumerate(said):
            self._respond(f"{survey}-{number}", event.customer_id, survey, at_ms, score, comment, voided)
        self._stray(survey, event.customer_id, first_ms)

    def _respond(
        self, id_: str, customer: str, survey: str, at_ms: int, score: int | None, comment: str | None, voided: bool
    ) -> None:
        said_ms = self._skewed(at_ms)
        response = SurveyResponse(
            source="tool", id=id_, type="survey.answered", time=said_ms, customer_id=customer, survey_id=survey,
            score=score, comment=comment, voided=voided, channel="email",
        )  # fmt: skip
        out_of_order_ms = self._r.choice((0, 0, 0, self._r.randrange(self._mix.spread_ms)))
        self._emit(response, at_ms + out_of_order_ms)

    def _stray(self, survey: str, customer: str, at_ms: int) -> None:
        """Answers that are none, of somebody else, or to what was never asked."""
        r, mix = self._r, self._mix
        if r.random() < mix.faulty_ratio:
            score = r.choice((11, -1, 99, None))
            self._respond(f"{survey}-bad", customer, survey, at_ms, score, None, False)
        if r.random() < mix.stray_ratio:
            self._respond(f"{survey}-stolen", f"{customer}-thief", survey, at_ms, 0, "mine", False)
            self._respond(f"{survey}-never", customer, survey[::-1], at_ms, 10, None, False)

    def _poison(self) -> None:
        for topic, key, value, headers in poisons(self._r, self._mix, self._codec, self._name):
            at_ms = self._end_ms - self._r.randrange(1, self._mix.span_ms)
            self._write(Sent(topic, key, value, at_ms, headers), at_ms)

    def _emit(self, event: Inbound, at_ms: int) -> None:
        """Write an event one to three times; a record that would be of the future is not written."""
        r, mix = self._r, self._mix
        copies = 1 if r.random() >= mix.duplicated_ratio else r.choice((2, 2, 3))
        for number in range(copies):
            copy_ms = at_ms + (r.choice((r.randrange(1_000), r.randrange(mix.spread_ms))) if number else 0)
            copy_ms = self._wrong_clock(copy_ms)
            if not 0 < copy_ms <= self._end_ms + DAY_MS // 24 or self._end_ms < copy_ms < self._end_ms + DAY_MS // 36:
                continue
            if isinstance(event, SurveyResponse):
                self._responses[event.customer_id] += 1
                if self._responses[event.customer_id] > MOST_RESPONSES:
                    return
            headers = (("trace", event.customer_id.encode()), ("none", None)) if r.random() < 0.1 else ()
            topic = _TOPIC[type(event)]
            sent = Sent(topic, event.customer_id.encode(), self._codec.encode(event), copy_ms, headers)
            self._write(sent, min(copy_ms, self._end_ms) if copy_ms > DAY_MS else self._end_ms)

    def _wrong_clock(self, at_ms: int) -> int:
        """The Kafka timestamp of a producer whose clock may be wrong: 1970, or most of an hour ahead of all others."""
        if self._r.random() >= self._mix.absurd_ratio / 4:
            return at_ms
        return self._r.choice((self._r.randrange(1, DAY_MS), self._end_ms + DAY_MS // 24 - 60_000))

    def _write(self, sent: Sent, turn_ms: int) -> None:
        if self._r.random() < self._mix.reordered_ratio:
            turn_ms += self._r.randrange(-self._mix.jitter_ms, self._mix.jitter_ms)
        self._written.append((turn_ms, len(self._written), sent))


_TOPIC: dict[type, str] = {
    Purchase: PURCHASES.name,
    SupportCase: SUPPORT.name,
    ContactUpdate: CONTACTS.name,
    SurveyResponse: RESPONSES.name,
}
