"""Banding of a number: an order's amount, or another attribute, as one of a few names that make segments.

    Banding(of="amount_minor", names=("small", "large"), edges={"EUR": (5_000.0,)})  # from 50.00 EUR large

Amounts are in the currency's minor unit and each currency has edges of its own, for they cannot be compared.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan

from streams.domain.conditions import AMOUNT, CURRENCY, number

ANY_CURRENCY = ""
"""Key of the edges of an attribute that is no amount."""


@dataclass(frozen=True, slots=True)
class Banding:
    """Names for the numbers of the attribute `of`; `edges`, by currency, are the least number of each but the first."""

    of: str
    names: tuple[str, ...]
    edges: Mapping[str, tuple[float, ...]]

    def __post_init__(self) -> None:
        """Raises ValueError for bands that cannot be told apart, and for amounts whose currency is not said."""
        if len(self.names) < 2 or len(set(self.names)) < len(self.names) or not all(map(str.strip, self.names)):
            raise ValueError(f"names {list(self.names)} must be two or more, all different and none empty")
        if (self.of == AMOUNT) == (ANY_CURRENCY in self.edges) or not self.edges:
            needed = "a list for each currency, as in begin.EUR" if self.of == AMOUNT else "one list"
            raise ValueError(f"begin must be {needed}")
        for edges in self.edges.values():
            if len(edges) != len(self.names) - 1 or list(edges) != sorted(set(edges)):
                raise ValueError(f"begin {list(edges)} must rise, and say where each of {list(self.names[1:])} begins")

    def band_of(self, attributes: Mapping[str, str]) -> str | None:
        """The band of an event with these attributes; None without the number, and in a currency without edges."""
        value = attributes.get(self.of)
        edges = self.edges.get(attributes.get(CURRENCY, "") if self.of == AMOUNT else ANY_CURRENCY)
        if value is None or edges is None or isnan(place := number(value)):
            return None
        return self.names[bisect_right(edges, place)]
