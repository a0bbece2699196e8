"""Olist's CSV files as events for `nps produce`: a purchase for each delivered order, a response for each review.

The files are published in `OLIST_DIR`, or in `../shared/data/olist` beside the checkout; their licence keeps them out
of the project.  Their times have no zone and are taken as UTC.  A star is not a likelihood to recommend: `SCORE` maps
it, and whoever shows the numbers must say so.
"""

import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from streams.domain.ids import survey_id

RULE = "after-delivery"
SHOP, REVIEWS = "olist", "olist-reviews"
SCORE = {"5": 10, "4": 8, "3": 6, "2": 3, "1": 0}
UNKNOWN = "unknown"
BANDS = ((5_000, "under 50"), (10_000, "50 to 100"), (20_000, "100 to 200"), (50_000, "200 to 500"))
"""Payment size: the order's item prices together, in Brazilian reais; each name with its end in centavos."""

Row: TypeAlias = dict[str, str]
Event: TypeAlias = dict[str, object]
"""One line for `nps produce`, before it is JSON."""


def folder() -> Path | None:
    """Where the files are, None when they are nowhere."""
    place = Path(os.environ.get("OLIST_DIR") or Path(__file__).parents[3] / "shared" / "data" / "olist")
    return place if (place / "orders.csv").is_file() else None


def rows(data: Path, name: str) -> list[Row]:
    """The rows of one file."""
    with (data / f"{name}.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def events(data: Path) -> list[Event]:
    """Everything that happened, in order of time."""
    orders = {order["order_id"]: order for order in rows(data, "orders")}
    customers = {customer["customer_id"]: customer for customer in rows(data, "customers")}
    found = [*_purchases(data, orders, customers), *_responses(data, orders, customers)]
    return sorted(found, key=lambda event: str(event["time"]))


def response_id(review: Row) -> str:
    """Names one answer: a review may cover two orders, and an order may have two reviews."""
    return f"{review['review_id']}/{review['order_id']}"


def _purchases(data: Path, orders: dict[str, Row], customers: dict[str, Row]) -> Iterator[Event]:
    baskets: dict[str, list[Row]] = {}
    for item in rows(data, "items"):
        baskets.setdefault(item["order_id"], []).append(item)
    category = _categories(data)
    for order_id, order in orders.items():
        if not order["order_delivered_customer_date"]:
            continue
        customer, basket = customers[order["customer_id"]], baskets.get(order_id, [])
        amount = sum(_centavos(item) for item in basket)
        dearest = max(basket, key=lambda item: (_centavos(item), -int(item["order_item_id"])), default=None)
        attributes = {
            "state": customer["customer_state"],
            "category": category.get(dearest["product_id"], UNKNOWN) if dearest else UNKNOWN,
            "size": next((name for end, name in BANDS if amount < end), "500 and more"),
        }
        yield {
            "topic": "purchases", "source": SHOP, "id": order_id, "type": "order.delivered",
            "time": _utc(order["order_delivered_customer_date"]), "customer_id": customer["customer_unique_id"],
            "order_id": order_id, "amount_minor": amount, "currency": "BRL", "attributes": attributes,
        }  # fmt: skip


def _responses(data: Path, orders: dict[str, Row], customers: dict[str, Row]) -> Iterator[Event]:
    for review in rows(data, "reviews"):
        order_id = review["order_id"]
        customer_id = customers[orders[order_id]["customer_id"]]["customer_unique_id"]
        yield {
            "topic": "responses", "source": REVIEWS, "id": response_id(review), "type": "survey.answered",
            "time": _utc(review["review_answer_timestamp"]),
            "customer_id": customer_id,
            "survey_id": survey_id(customer_id, SHOP, order_id, RULE), "score": SCORE[review["review_score"]],
            "comment": review["review_comment_message"] or None, "channel": "email",
        }  # fmt: skip


def _categories(data: Path) -> dict[str, str]:
    """Each product's category in English, or in Portuguese where there is no translation."""
    english = {row["product_category_name"]: row["product_category_name_english"] for row in rows(data, "categories")}
    named = {row["product_id"]: row["product_category_name"] for row in rows(data, "products")}
    return {product: english.get(name, name) or UNKNOWN for product, name in named.items()}


def _centavos(item: Row) -> int:
    return round(float(item["price"]) * 100)


def _utc(text: str) -> str:
    return text.replace(" ", "T") + "Z"
