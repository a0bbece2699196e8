"""Redaction of rows that name erased customers.

A row of a customer who was erased keeps its place, its counts and its segments, and loses every word that leads to the
person: ids of the customer, of orders, cases and events, comments, whole dead letters.
"""

from collections.abc import Sequence

from sinks.personal import PERSONAL, ErasedUntil, erased_customers
from sinks.rows import TABLES
from sinks.warehouse import Row

_COLUMNS = {table.name: table.columns for table in TABLES.values()}


def redacted(table: str, rows: Sequence[Row], until_ms: ErasedUntil) -> Sequence[Row]:
    """Empty the rows that an erasure covers; `until_ms` holds how far each customer is erased, keyed by digest."""
    personal = PERSONAL.get(table)
    if personal is None or not until_ms:
        return rows
    columns = _COLUMNS[table]
    names = [columns.index(name) for name in personal.names]
    since = columns.index(personal.since) if personal.since else None
    emptied = {columns.index(name): value for name, value in personal.emptied.items()}

    def is_erased(row: Row) -> bool:
        return bool(erased_customers((row[at] for at in names), None if since is None else row[since], until_ms))

    return [tuple(emptied.get(at, value) for at, value in enumerate(row)) if is_erased(row) else row for row in rows]
