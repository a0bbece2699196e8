"""What the run on Olist's files must come to, counted from the CSV files in plain Python.

Shares no code with the pipeline nor with the events it is fed: the rules are written down a second time on purpose.
Numbers of days come from `olist.toml`.  Every review has one fate:

    counted          the last word on its order; counted where the first was said
    corrected        a later review of the same order took its place
    edit_closed      came after the time for corrections
    expired          the order's first review came too late after the delivery
    unknown_survey   the order was never delivered, so nobody was asked about it
"""

import csv
import tomllib
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from tests.support.recount import counts, nps

SCORES = {5: 10, 4: 8, 3: 6, 2: 3, 1: 0}
"""What an answer of so many stars is worth."""

Tally = tuple[int, int, int, int, float | None]
"""Answers, promoters, passives, detractors and NPS."""


class Rules(NamedTuple):
    """How long an answer counts after the survey, and a correction after the answer."""

    expires: timedelta
    edit: timedelta


class Expected(NamedTuple):
    """What the run must come to.

    `orders` by what became of their delivery; `fates` of the reviews by (review, order); `answers` by delivered order:
    score and whether it counts; `tallies` by segment.
    """

    orders: Counter[str]
    fates: Mapping[tuple[str, str], str]
    answers: Mapping[str, tuple[int, bool]]
    delivered: frozenset[str]
    tallies: Mapping[str, Tally]

    def reviews(self, fate: str) -> list[tuple[str, str]]:
        """The reviews of this fate."""
        return [review for review, what in self.fates.items() if what == fate]


def rules(program: Path) -> Rules:
    """The numbers of the program file."""
    file = tomllib.loads(program.read_text(encoding="utf-8"))
    expires, edit = file["rules"][0]["expires"], file["limits"]["edit"]
    return Rules(timedelta(days=int(expires.removesuffix("d"))), timedelta(days=int(edit.removesuffix("d"))))


def recount(data: Path, said: Rules) -> Expected:
    """Count everything again."""
    orders = _table(data, "orders", "order_id")
    segments = _Segments(data)
    by_order: dict[str, list[tuple[datetime, int, str]]] = defaultdict(list)
    for row in _rows(data, "reviews"):
        stars = int(row["review_score"])
        by_order[row["order_id"]].append((_time(row["review_answer_timestamp"]), stars, row["review_id"]))
    fates: dict[tuple[str, str], str] = {}
    answers: dict[str, tuple[int, bool]] = {}
    scores: dict[str, list[int]] = defaultdict(list)
    for order_id, reviews in by_order.items():
        delivery = orders[order_id]["order_delivered_customer_date"]
        told = _fates(sorted(reviews), _time(delivery) if delivery else None, said)
        fates |= {(review_id, order_id): fate for review_id, fate in told.items()}
        if not delivery:
            continue
        taken = [review for review in reviews if told[review[2]] != "edit_closed"]
        last = max(taken)
        is_counted = "counted" in told.values()
        answers[order_id] = (SCORES[last[1]], is_counted)
        for segment in segments.of(orders[order_id]) if is_counted else ():
            scores[segment].append(SCORES[last[1]])
    delivered = frozenset(id_ for id_, order in orders.items() if order["order_delivered_customer_date"])
    statuses = Counter(_delivery(order) for order in orders.values())
    return Expected(statuses, fates, answers, delivered, {segment: _tally(given) for segment, given in scores.items()})


def _fates(reviews: list[tuple[datetime, int, str]], delivered: datetime | None, said: Rules) -> dict[str, str]:
    """What becomes of an order's reviews, oldest first."""
    if delivered is None:
        return {review_id: "unknown_survey" for _, _, review_id in reviews}
    first = reviews[0][0]
    taken = [review_id for at, _, review_id in reviews if at <= first + said.edit]
    told = {review_id: "edit_closed" for _, _, review_id in reviews} | dict.fromkeys(taken, "corrected")
    told[taken[-1]] = "counted" if first < delivered + said.expires else "expired"
    return told


class _Segments:
    """Which segments an order belongs to."""

    def __init__(self, data: Path) -> None:
        self._customers = _table(data, "customers", "customer_id")
        self._products = _table(data, "products", "product_id")
        self._english = _table(data, "categories", "product_category_name")
        self._prices: dict[str, list[tuple[Decimal, int, str]]] = defaultdict(list)
        for item in _rows(data, "items"):
            priced = (-Decimal(item["price"]), int(item["order_item_id"]), item["product_id"])
            self._prices[item["order_id"]].append(priced)

    def of(self, order: Mapping[str, str]) -> list[str]:
        """All, the state, the category of the dearest item, the size of the payment, state and category together."""
        prices = self._prices[order["order_id"]]
        state = self._customers[order["customer_id"]]["customer_state"]
        category = self._category(min(prices)[2]) if prices else "unknown"
        size = _size(-sum((price for price, _, _ in prices), Decimal(0)))
        both = f"state={state},category={category}"
        return ["all", f"state={state}", f"category={category}", f"size={size}", both]

    def _category(self, product_id: str) -> str:
        portuguese = self._products[product_id]["product_category_name"] if product_id in self._products else ""
        if portuguese in self._english:
            return self._english[portuguese]["product_category_name_english"]
        return portuguese or "unknown"


def _size(reais: Decimal) -> str:
    if reais >= 500:
        return "500 and more"
    if reais >= 200:
        return "200 to 500"
    if reais >= 100:
        return "100 to 200"
    return "50 to 100" if reais >= 50 else "under 50"


def _delivery(order: Mapping[str, str]) -> str:
    if order["order_delivered_customer_date"]:
        return "delivered"
    return "said to be delivered, no time" if order["order_status"] == "delivered" else "never delivered"


def _tally(scores: list[int]) -> Tally:
    found = counts(scores)
    return len(scores), *found, nps(found)


def _rows(data: Path, name: str) -> list[dict[str, str]]:
    with open(data / f"{name}.csv", newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def _table(data: Path, name: str, key: str) -> dict[str, dict[str, str]]:
    return {row[key]: row for row in _rows(data, name)}


def _time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S")
