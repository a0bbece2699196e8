"""Port of the warehouse, through which rows are written, and its errors.

WarehouseError
├── Refused          at least one row is bad: find it, dead-letter it
├── Unavailable      the warehouse does not answer: keep the rows, try again
└── Misconfigured    no such table, no rights: stop, and say what to do
"""

from collections.abc import Sequence
from typing import Protocol, TypeAlias

from schemas.errors import BadInput, NpsError, ServerAway

Row: TypeAlias = tuple[object, ...]


class WarehouseError(NpsError):
    """Rows that were not written, or not surely."""


class Refused(WarehouseError, BadInput):
    """Rows of which at least one can never be written."""


class Unavailable(WarehouseError, ServerAway):
    """No answer, or the answer "not now"; the rows may or may not have been written."""


class Misconfigured(WarehouseError, BadInput):
    """No such table, or no rights: no row can be written until a person acts."""


class Warehouse(Protocol):
    """Store of rows.  Writing a row twice must do no harm: rows replace each other by key and version."""

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Write these rows, durable on return.  Raises Refused, Unavailable or Misconfigured."""
