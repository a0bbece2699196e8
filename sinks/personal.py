"""The columns of the warehouse that name a person, and whether an erasure covers a row of theirs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sinks.rows import digest


@dataclass(frozen=True, slots=True)
class Personal:
    """What a table's personal columns hold once they are emptied, and whose row it is: any of the columns `names`.

    A row is forgotten when its `since`, in milliseconds, is not after the erasure; without one whenever it came.
    """

    since: str | None
    emptied: Mapping[str, object]
    names: tuple[str, ...] = ("customer_id",)


PERSONAL: Mapping[str, Personal] = {
    "answers": Personal("sent_ms", {"customer_id": "", "correlation_id": "", "response_id": "", "comment": None}),
    "decisions": Personal("trigger_ms", {"customer_id": "", "trigger_id": "", "correlation_id": "", "cause_id": None}),
    "dispatches": Personal("trigger_ms", {"customer_id": "", "trigger_id": "", "correlation_id": "", "locale": None}),
    "alerts": Personal("answered_ms", {"customer_id": "", "correlation_id": "", "comment": None}),
    "dead_letters": Personal(
        None, {"customer_id": "", "key": None, "value": None, "headers": [], "detail": ""}, ("customer_id", "key")
    ),
}
"""Every table that holds more than numbers.  Whoever adds a personal column adds it here."""


def erased_customers(names: Iterable[object], since_ms: object, until_ms: Mapping[str, int]) -> set[str]:
    """The digests of those of a row's names who were erased since; `since_ms` None is before every erasure."""
    return {one for one in map(digest, names) if one in until_ms and _is_before(since_ms, until_ms[one])}


def _is_before(since_ms: object, until_ms: int) -> bool:
    return since_ms is None or (isinstance(since_ms, int) and since_ms <= until_ms)
