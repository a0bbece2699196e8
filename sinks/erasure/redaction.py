"""What names a person in the warehouse, and rows without it.

A row of a customer who was erased keeps its place, its counts and its segments, and loses every word that leads to the
person: ids of the customer, of orders, cases and events, comments, whole dead letters.  The same words are emptied in
rows that are there already and in rows that are yet to be written (`sinks.erasure.process`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sinks.rows import TABLES, digest
from sinks.warehouse import Row


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

_COLUMNS = {table.name: table.columns for table in TABLES.values()}


def without_persons(table: str, rows: Sequence[Row], until_ms: Mapping[str, int]) -> Sequence[Row]:
    """The rows, emptied where they are forgotten.  `until_ms` is how far each erased customer is, keyed by digest."""
    personal = PERSONAL.get(table)
    if personal is None or not until_ms:
        return rows
    columns = _COLUMNS[table]
    names = [columns.index(name) for name in personal.names]
    since = columns.index(personal.since) if personal.since else None
    emptied = {columns.index(name): value for name, value in personal.emptied.items()}

    def is_forgotten(row: Row) -> bool:
        since_ms = None if since is None else row[since]
        return any(one in until_ms and _is_before(since_ms, until_ms[one]) for one in [digest(row[at]) for at in names])

    return [tuple(emptied.get(at, value) for at, value in enumerate(row)) if is_forgotten(row) else row for row in rows]


def forgotten(names: Iterable[object], since_ms: object, until_ms: Mapping[str, int]) -> set[str]:
    """The digests of those of a row's names who were erased since; `since_ms` None is before every erasure."""
    return {one for one in map(digest, names) if one in until_ms and _is_before(since_ms, until_ms[one])}


def _is_before(since_ms: object, until_ms: int) -> bool:
    return since_ms is None or (isinstance(since_ms, int) and since_ms <= until_ms)
