"""A busy quarter of an hour for the crash test, and what must come of it by a recount.

Customers buy, are asked at once and answer, a hundred times a second: some change their mind, some answers are sent
twice, some overtake their purchase on the way, some are withdrawn and at times given again, a few scores are none.
"""

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from schemas.events import Purchase, SurveyResponse
from schemas.topics import PURCHASES, RESPONSES
from streams.domain.ids import survey_id
from tests.support.programs import program
from tests.support.recount import Cell, Counts, Vote, last_word, panes

PROGRAM = program(
    {"name": "at-once"},
    dimensions=("country", "category"),
    combinations=(("country",), ("category",), ("country", "category")),
    windows=("1h", "24h"),
)
COUNTRIES = ("BR", "DE", "FR", "IN", "US")
CATEGORIES = ("books", "food", "garden", "toys")
STEP_MS = 10
"""A hundred answers a second, so that panes hold more than one."""


class Written(NamedTuple):
    """An event and the Kafka timestamp under which it is written."""

    at_ms: int
    topic: str
    event: Purchase | SurveyResponse


@dataclass(frozen=True, slots=True)
class Given:
    """What was written, in the order of writing, and the purchase behind each survey."""

    written: list[Written]
    purchases: Mapping[str, Purchase] = field(repr=False)

    def panes(self) -> dict[Cell, Counts]:
        """Promoters, passives and detractors of every pane that holds anything."""
        return self.panes_of(self.final())

    def panes_of(self, outcome: Mapping[str, tuple[int, int]]) -> dict[Cell, Counts]:
        """The panes of surveys with these times and scores."""
        return panes(Vote(_segments(self.purchases[survey].attributes), *said) for survey, said in outcome.items())

    def final(self) -> dict[str, tuple[int, int]]:
        """The minute-giving first time and the last score of each survey that counts."""
        said: dict[str, list[SurveyResponse]] = {}
        for _, _, event in self.written:
            if isinstance(event, SurveyResponse) and (event.score is None or 0 <= event.score <= 10):
                said.setdefault(event.survey_id, []).append(event)
        return {survey: word for survey, responses in said.items() if (word := last_word(responses))}

    def rejected(self) -> Counter[str]:
        """How often each response id is written with a score that is none."""
        events = (event for _, topic, event in self.written if topic == RESPONSES.name)
        return Counter(e.id for e in events if isinstance(e, SurveyResponse) and e.score is not None and e.score > 10)


def day(seed: int, answers: int, end_ms: int, prefix: str = "C") -> Given:
    """So many surveys answered until `end_ms`, by at least 0.6 as many customers."""
    r = random.Random(seed)
    written: list[Written] = []
    purchases: dict[str, Purchase] = {}
    start_ms = end_ms - answers * STEP_MS - 120_000
    customers = answers * 6 // 10
    for number in range(answers):
        customer = number if number < customers else r.randrange(customers)
        bought_ms = start_ms + number * STEP_MS
        attributes = {"country": r.choice(COUNTRIES), "category": r.choice(CATEGORIES)}
        name, order = f"{prefix}{customer:06}", f"{prefix}-{number:06}"
        purchase = Purchase("shop", order, "order.delivered", bought_ms, name, order, None, None, attributes)
        survey = survey_id(name, "shop", order, "at-once")
        purchases[survey] = purchase
        overtaken_ms = r.randrange(5_000, 60_000) if r.random() < 0.03 else 0
        written.append(Written(bought_ms + overtaken_ms, PURCHASES.name, purchase))
        written += _answers(r, name, survey, bought_ms + r.randrange(200, 20_000))
    return Given(sorted(written, key=lambda one: one.at_ms), purchases)


def _answers(r: random.Random, customer: str, survey: str, at_ms: int) -> Iterator[Written]:
    """What one customer says: always a first score, the rest sometimes."""

    def said(number: int, after_ms: int, score: int | None, *, voided: bool = False, way_ms: int = 0) -> Written:
        event = SurveyResponse(
            "tool", f"{survey}-{number}", "survey.answered", at_ms + after_ms, customer, survey, score, None, voided,
            "email",
        )  # fmt: skip
        return Written(at_ms + after_ms + way_ms, RESPONSES.name, event)

    first = said(1, 0, _score(r))
    yield first
    if r.random() < 0.05:
        yield first._replace(at_ms=at_ms + r.randrange(20_000))
    if r.random() < 0.05:
        yield said(2, r.randrange(1_000, 10_000), r.randrange(11), way_ms=r.choice((0, 0, 0, 15_000)))
        if r.random() < 0.3:
            yield said(3, r.randrange(11_000, 20_000), r.randrange(11))
    if r.random() < 0.004:
        yield said(4, 21_000, None, voided=True)
        if r.random() < 0.5:
            yield said(5, 22_000, r.randrange(11))
    if r.random() < 0.001:
        yield said(6, 23_000, 11 + r.randrange(89))


def _score(r: random.Random) -> int:
    """Half promoters, a fifth detractors."""
    return r.choice((0, 3, 6, 6, 7, 8, 8, *[9] * 3, *[10] * 4))


def _segments(attributes: Mapping[str, str]) -> tuple[str, ...]:
    country, category = f"country={attributes['country']}", f"category={attributes['category']}"
    return "all", country, category, f"{country},{category}"
