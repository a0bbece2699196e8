"""Simulation of a small shop and its customers, for demos and benchmarks: seeded, so that a run can be repeated.

The shop writes purchases and support cases; respondents answer the surveys that were dispatched to them, some twice,
some late, some changing their mind, and a few systems write rubbish.
"""

import random
from collections.abc import Iterator
from typing import NamedTuple

from schemas.events import ContactUpdate, Inbound, Purchase, SupportCase, SurveyDispatch, SurveyResponse
from schemas.topics import CONTACTS, PURCHASES, RESPONSES, SUPPORT

COUNTRIES = ("BR", "DE", "FR", "IN", "US")
CATEGORIES = ("books", "food", "garden", "toys")
MOODS = {"good": (0, 2, 5, 6, 7, 7, 8, 8, 8, *[9] * 7, *[10] * 8), "bad": (0, 0, 1, 2, 3, 4, 4, 5, 6, 7, 8, 9)}
COMMENTS = ("arrived late", "great service", "box was damaged", "just as ordered", "nobody answered", "will come again")
DAY_MS = 86_400_000
HOUR_MS = 3_600_000


class TimedEvent(NamedTuple):
    """An event to be written at `at_ms`, not earlier; that is its Kafka timestamp too."""

    at_ms: int
    topic: str
    event: Inbound


class Shop:
    """Shop that makes purchases, solved cases, returns and opt-outs."""

    def __init__(self, seed: int, customers: int = 50_000) -> None:
        self._random = random.Random(seed)
        self._customers = customers
        self._orders = 0

    def history(self, end_ms: int, days: int, orders: int) -> list[TimedEvent]:
        """Make the events of `orders` orders over `days` days up to `end_ms`, in order of time."""
        times = sorted(end_ms - 1 - self._random.randrange(days * DAY_MS) for _ in range(orders))
        return sorted((event for at_ms in times for event in self.order(at_ms)), key=lambda event: event.at_ms)

    def order(self, at_ms: int) -> Iterator[TimedEvent]:
        """Make the events of an order: its delivery, at times repeated or returned, or an opt-out; or a solved case."""
        rng = self._random
        self._orders += 1
        customer, order = f"C{rng.randrange(self._customers):05}", f"O{self._orders:06}"
        attributes = {"country": rng.choice(COUNTRIES), "category": rng.choice(CATEGORIES)}
        if rng.random() < 0.15:
            case = SupportCase(
                "desk", order, "case.solved", at_ms, customer, f"K{order}", {**attributes, "priority": "high"}
            )
            yield TimedEvent(at_ms, SUPPORT.name, case)
            return
        amount = rng.randrange(500, 20_000)
        delivery = Purchase("shop", order, "order.delivered", at_ms, customer, order, amount, "EUR", attributes)
        yield TimedEvent(at_ms, PURCHASES.name, delivery)
        if rng.random() < 0.05:
            yield TimedEvent(at_ms, PURCHASES.name, delivery)
        if rng.random() < 0.03:
            return_ = delivery._replace(id=f"{order}-back", type="order.returned", time=at_ms + 1_000)
            yield TimedEvent(at_ms + 1_000, PURCHASES.name, return_)
        if rng.random() < 0.01:
            opt_out = ContactUpdate("crm", f"{order}-stop", "contact.opted_out", at_ms, customer, True, None, None, {})
            yield TimedEvent(at_ms, CONTACTS.name, opt_out)


UNHAPPY = {"country": "DE", "category": "toys"}


class Respondents:
    """Customers who answer surveys; from `bad_from_ms` on, those of the segment UNHAPPY are."""

    def __init__(self, seed: int, bad_from_ms: int) -> None:
        self._random = random.Random(seed)
        self._bad_from_ms = bad_from_ms

    def answers(self, dispatch: SurveyDispatch, delay_ms: tuple[int, int]) -> Iterator[TimedEvent]:
        """Make a customer's responses to a survey, `delay_ms` (least, most) after it was sent; often none."""
        rng = self._random
        if rng.random() > 0.6:
            return
        at_ms = dispatch.due_ms + rng.randrange(*delay_ms)
        unhappy = at_ms >= self._bad_from_ms and UNHAPPY.items() <= dispatch.dimensions.items()
        score = rng.choice(MOODS["bad" if unhappy else "good"])
        first = SurveyResponse(
            "survey-tool", f"{dispatch.survey_id}-1", "survey.answered", at_ms, dispatch.customer_id,
            dispatch.survey_id, score, None, False, "email",
        )  # fmt: skip
        late_ms = DAY_MS if rng.random() < 0.03 else 0
        yield TimedEvent(at_ms + late_ms, RESPONSES.name, first)
        if rng.random() < 0.1:
            yield TimedEvent(at_ms + late_ms, RESPONSES.name, first)
        if rng.random() < 0.3:
            comment = first._replace(
                id=f"{dispatch.survey_id}-2", time=at_ms + 500, score=None, comment=rng.choice(COMMENTS)
            )
            yield TimedEvent(at_ms + late_ms + 500, RESPONSES.name, comment)
        if rng.random() < 0.05:
            correction = first._replace(id=f"{dispatch.survey_id}-3", time=at_ms + 900, score=rng.randrange(11))
            yield TimedEvent(at_ms + late_ms + 900, RESPONSES.name, correction)


def poison(seed: int) -> list[tuple[bytes | None, bytes | None]]:
    """Make keys and values that must become dead letters."""
    rng = random.Random(seed)
    undecodable, unknown_schema = rng.randbytes(40), b"\xc3\x01" + rng.randbytes(20)
    return [(b"C00001", undecodable), (b"C00002", None), (b"C00003", unknown_schema), (None, b"{}")]
