"""The way of events to Kafka, and what goes wrong on it: copies, other orders, wrong clocks."""

import random
from collections import Counter
from collections.abc import Iterator

from schemas.events import ContactUpdate, Inbound, Purchase, SupportCase, SurveyResponse
from schemas.topics import CONTACTS, PURCHASES, RESPONSES, SUPPORT
from tests.faults.oracle.inputs import BEACON, CODEC
from tests.faults.oracle.terms import Terms
from tests.faults.traffic.mix import DAY_MS, Mix, Sent

MOST_RESPONSES = 50
"""Of one customer, copies included: a journey holds 64 back while their surveys are not sent."""

ABSURD_MS = (-62_135_596_800_000, 253_402_300_799_000, 7_258_118_400_000, 1_790_000_000, 1 << 62, -(1 << 62), -1, 0)
"""The years 1, 9999 and 2200, seconds for milliseconds, what no calendar knows, and both sides of 1970."""

_TOPIC: dict[type, str] = {
    Purchase: PURCHASES.name,
    SupportCase: SUPPORT.name,
    ContactUpdate: CONTACTS.name,
    SurveyResponse: RESPONSES.name,
}


class Pen:
    """The records of one history, as they are written."""

    def __init__(self, r: random.Random, mix: Mix, terms: Terms, end_ms: int) -> None:
        self.r, self.mix, self.terms, self.end_ms = r, mix, terms, end_ms
        self._written: list[tuple[int, int, Sent]] = []
        self._copies: set[Sent] = set()
        self._long_winded: set[str] = set()
        self._responses: Counter[str] = Counter()

    def written(self) -> Iterator[Sent]:
        """Every record, in the order of writing."""
        for _, _, sent in sorted(self._written, key=lambda one: one[:2]):
            yield sent

    def is_first_long(self, customer: str) -> bool:
        """True once for each customer, who has room for one long comment."""
        is_first = customer not in self._long_winded
        self._long_winded.add(customer)
        return is_first

    def skewed(self, at_ms: int) -> int:
        """The event's own time: mostly just now, at times late, too late, early, too early or absurd."""
        r, mix, terms = self.r, self.mix, self.terms
        if r.random() < mix.absurd_ratio:
            return r.choice((*ABSURD_MS, at_ms + terms.early_ms + 1, at_ms + terms.early_ms, at_ms + 60_000))
        if r.random() < mix.late_ratio:
            return at_ms - r.choice((terms.late_ms, terms.late_ms + 1, r.randrange(terms.late_ms)))
        return at_ms - r.randrange(1_000)

    def emit(self, event: Inbound, at_ms: int, *, is_beacon: bool = False) -> None:
        """Write an event one to three times; a record that would be of the future is not written."""
        r, mix = self.r, self.mix
        copies = 1 if r.random() >= mix.duplicated_ratio else r.choice((2, 2, 3))
        for number in range(copies):
            copy_ms = at_ms + (r.choice((r.randrange(1_000), r.randrange(mix.spread_ms))) if number else 0)
            self.emit_once(event, self._wrong_clock(copy_ms), is_beacon=is_beacon)

    def emit_once(self, event: Inbound, at_ms: int, *, is_beacon: bool = False) -> None:
        """Write an event once, unless it would be of the future or the customer has answered enough."""
        end_ms = self.end_ms
        if not 0 < at_ms <= end_ms + DAY_MS // 24 or end_ms < at_ms < end_ms + DAY_MS // 36:
            return
        if isinstance(event, SurveyResponse):
            self._responses[event.customer_id] += 1
            if self._responses[event.customer_id] > MOST_RESPONSES:
                return
        traced = (("trace", event.customer_id.encode()), ("none", None)) if self.r.random() < 0.1 else ()
        headers = (*traced, *([(BEACON, b"")] if is_beacon else []))
        sent = Sent(_TOPIC[type(event)], event.customer_id.encode(), CODEC.encode(event), at_ms, headers)
        self.write(sent, min(at_ms, end_ms) if at_ms > DAY_MS else end_ms)

    def write(self, sent: Sent, turn_ms: int) -> None:
        """Write a record about when its turn is.  No two are alike in all: only the pipeline puts a record back."""
        while sent in self._copies:
            sent = sent._replace(timestamp_ms=sent.timestamp_ms + 1)
        self._copies.add(sent)
        if self.r.random() < self.mix.reordered_ratio:
            turn_ms += self.r.randrange(-self.mix.jitter_ms, self.mix.jitter_ms)
        self._written.append((turn_ms, len(self._written), sent))

    def _wrong_clock(self, at_ms: int) -> int:
        """The Kafka timestamp of a producer whose clock may be wrong: 1970, or most of an hour ahead of all others."""
        if self.r.random() >= self.mix.absurd_ratio / 4:
            return at_ms
        return self.r.choice((self.r.randrange(1, DAY_MS), self.end_ms + DAY_MS // 24 - 60_000))
