"""Conditions of a rule on an event's attributes: one of these values, at least a number, present or absent.

Attributes are text.  A condition is a set of values, one of which it must be, `AtLeast` or `Exists`; no code is run.
"""

from collections.abc import Mapping
from math import isfinite
from typing import NamedTuple, TypeAlias

from schemas.events import Purchase, Trigger

AMOUNT = "amount_minor"
CURRENCY = "currency"
OF_PURCHASES = frozenset({AMOUNT, CURRENCY})
"""Fields of a purchase that conditions, segments and personalisation may use as if they were attributes."""


class AtLeast(NamedTuple):
    """A number of `least` or more; text that is no number fails."""

    least: float


class Exists(NamedTuple):
    """Presence of the attribute or, with `expected` false, its absence."""

    expected: bool


Condition: TypeAlias = frozenset[str] | AtLeast | Exists


def holds(condition: Condition, value: str | None) -> bool:
    """True when an attribute's value, None for a missing attribute, meets the condition."""
    if isinstance(condition, AtLeast):
        return value is not None and number(value) >= condition.least
    if isinstance(condition, Exists):
        return (value is not None) == condition.expected
    return value in condition


def attributes_of(event: Trigger) -> Mapping[str, str]:
    """The event's attributes and, of a purchase that has them, its amount and currency."""
    if not isinstance(event, Purchase) or (event.amount_minor is None and event.currency is None):
        return event.attributes
    price = {AMOUNT: event.amount_minor, CURRENCY: event.currency}
    return {**event.attributes, **{name: str(value) for name, value in price.items() if value is not None}}


def number(text: str) -> float:
    """The number that a text is; NaN, for which no comparison holds, when the text is none or infinite."""
    try:
        found = float(text)
    except ValueError:
        return float("nan")
    return found if isfinite(found) else float("nan")
