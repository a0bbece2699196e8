"""Personal columns of the warehouse's tables, and the test whether an erasure covers a row."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from sinks.rows import digest


@dataclass(frozen=True, slots=True)
class Personal:
    """Personal columns of a table with their emptied values; `names` are the columns that may name the customer.

    A row is forgotten when the instant in its column `since`, in milliseconds, is not after the erasure; in a table
    without such a column, always.
    """

    since: str | None
    emptied: Mapping[str, object]
    names: tuple[str, ...] = ("customer_id",)


PERSONAL: Mapping[str, Personal] = {
    "answers": Personal("sent_at", {"customer_id": "", "correlation_id": "", "response_id": "", "comment": None}),
    "decisions": Personal(
        "triggered_at", {"customer_id": "", "trigger_id": "", "correlation_id": "", "cause_id": None}
    ),
    "dispatches": Personal("triggered_at", {"customer_id": "", "trigger_id": "", "correlation_id": "", "locale": None}),
    "alerts": Personal("answered_at", {"customer_id": "", "correlation_id": "", "comment": None}),
    "comments": Personal("sent_at", {"customer_id": "", "themes": [], "sentiment": None, "confidence": 0.0}),
    "dead_letters": Personal(
        None, {"customer_id": "", "key": None, "value": None, "headers": [], "detail": ""}, ("customer_id", "key")
    ),
}
"""Personal columns of every table that holds more than numbers; a new one must be added here."""


class ErasedUntil(Protocol):
    """Instants in milliseconds until which customers are erased, by digest, as a mapping has them."""

    def get(self, customer: str, /) -> int | None: ...  # noqa: D102
    def __len__(self) -> int: ...


def erased_customers(names: Iterable[object], since_ms: object, until_ms: ErasedUntil) -> set[str]:
    """Digests of those of a row's names whose erasure covers it; `since_ms` None is before every erasure."""
    return {customer for customer in map(digest, names) if _is_before(since_ms, until_ms.get(customer))}


def _is_before(since_ms: object, until_ms: int | None) -> bool:
    return until_ms is not None and (since_ms is None or (isinstance(since_ms, int) and since_ms <= until_ms))
