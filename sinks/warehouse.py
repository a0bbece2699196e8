"""The port through which rows leave, and what can go wrong behind it.

WarehouseError
├── Refused          these rows are bad: find the bad one, dead-letter it
├── Unavailable      the world is away: keep the rows, try again
└── Misconfigured    we are wrong (no such table, no rights): stop, and say what to do
"""

from collections.abc import Sequence
from typing import Protocol, TypeAlias

from schemas.errors import BadInput, NpsError, ServerAway

Row: TypeAlias = tuple[object, ...]


class WarehouseError(NpsError):
    """Rows were not written, or not surely."""


class Refused(WarehouseError, BadInput):
    """At least one of these rows can never be written."""


class Unavailable(WarehouseError, ServerAway):
    """Nobody answered, or the answer was "not now"; the rows may or may not have been written."""


class Misconfigured(WarehouseError, BadInput):
    """No rows at all can be written until a person acts."""


class Warehouse(Protocol):
    """A place to put rows.  Writing a row twice must do no harm: rows replace each other by key and version."""

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Write these rows, durable on return.  Raises Refused, Unavailable or Misconfigured."""
