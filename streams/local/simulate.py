"""A small shop and its customers, for demos and benchmarks: seeded, so that a run can be repeated.

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


class Written(NamedTuple):
    """An event to be written at `at_ms`: its Kafka timestamp, not before then."""

    at_ms: int
    topic: str
    event: Inbound


class Shop:
    """Writes purchases, solved cases, returns and opt-outs."""

    def __init__(self, seed: int, customers: int = 50_000) -> None:
        self._random = random.Random(seed)
        self._customers = customers
        self._orders = 0

    def history(self, end_ms: int, days: int, orders: int) -> list[Written]:
        """So many orders over so many days up to `end_ms`, in order of time."""
        times = sorted(end_ms - 1 - self._random.randrange(days * DAY_MS) for _ in range(orders))
        return sorted((written for at_ms in times for written in self.order(at_ms)), key=lambda written: written.at_ms)

    def order(self, at_ms: int) -> Iterator[Written]:
        """What comes of one order: a delivery, at times repeated, solved as a case, returned, or an opt-out."""
        r = self._random
        self._orders += 1
        customer, order = f"C{r.randrange(self._customers):05}", f"O{self._orders:06}"
        attributes = {"country": r.choice(COUNTRIES), "category": r.choice(CATEGORIES)}
        if r.random() < 0.15:
            case = SupportCase(
                "desk", order, "case.solved", at_ms, customer, f"K{order}", {**attributes, "priority": "high"}
            )
            yield Written(at_ms, SUPPORT.name, case)
            return
        amount = r.randrange(500, 20_000)
        delivery = Purchase("shop", order, "order.delivered", at_ms, customer, order, amount, "EUR", attributes)
        yield Written(at_ms, PURCHASES.name, delivery)
        if r.random() < 0.05:
            yield Written(at_ms, PURCHASES.name, delivery)
        if r.random() < 0.03:
            back = delivery._replace(id=f"{order}-back", type="order.returned", time=at_ms + 1_000)
            yield Written(at_ms + 1_000, PURCHASES.name, back)
        if r.random() < 0.01:
            stop = ContactUpdate("crm", f"{order}-stop", "contact.opted_out", at_ms, customer, True, None, None, {})
            yield Written(at_ms, CONTACTS.name, stop)


UNHAPPY = {"country": "DE", "category": "toys"}


class Respondents:
    """Answers surveys.  From `bad_from_ms` on, one segment is unhappy."""

    def __init__(self, seed: int, bad_from_ms: int) -> None:
        self._random = random.Random(seed)
        self._bad_from_ms = bad_from_ms

    def answers(self, dispatch: SurveyDispatch, delay_ms: tuple[int, int]) -> Iterator[Written]:
        """What a customer says to a survey, `delay_ms` (least, most) after it was sent; often nothing."""
        r = self._random
        if r.random() > 0.6:
            return
        at_ms = dispatch.due_ms + r.randrange(*delay_ms)
        unhappy = at_ms >= self._bad_from_ms and UNHAPPY.items() <= dispatch.dimensions.items()
        score = r.choice(MOODS["bad" if unhappy else "good"])
        first = SurveyResponse(
            "survey-tool", f"{dispatch.survey_id}-1", "survey.answered", at_ms, dispatch.customer_id,
            dispatch.survey_id, score, None, False, "email",
        )  # fmt: skip
        late_ms = DAY_MS if r.random() < 0.03 else 0
        yield Written(at_ms + late_ms, RESPONSES.name, first)
        if r.random() < 0.1:
            yield Written(at_ms + late_ms, RESPONSES.name, first)
        if r.random() < 0.3:
            said = first._replace(
                id=f"{dispatch.survey_id}-2", time=at_ms + 500, score=None, comment=r.choice(COMMENTS)
            )
            yield Written(at_ms + late_ms + 500, RESPONSES.name, said)
        if r.random() < 0.05:
            change = first._replace(id=f"{dispatch.survey_id}-3", time=at_ms + 900, score=r.randrange(11))
            yield Written(at_ms + late_ms + 900, RESPONSES.name, change)


def poison(seed: int) -> list[tuple[bytes | None, bytes | None]]:
    """Keys and values that must become dead letters."""
    r = random.Random(seed)
    return [(b"C00001", r.randbytes(40)), (b"C00002", None), (b"C00003", b"\xc3\x01" + r.randbytes(20)), (None, b"{}")]
