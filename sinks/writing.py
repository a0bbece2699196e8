"""Write a table's rows, and find the few that can never be written among the many that can."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from schemas.errors import FuseBlown
from sinks.warehouse import Refused, Row, Warehouse


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row that the warehouse refused: its index among the rows given, and the warehouse's message."""

    index: int
    detail: str


class RefusalFuse:
    """Fuse that blows when more than `limit` rows of a table were refused with none written between, across batches."""

    def __init__(self, limit: int) -> None:
        if limit < 0:
            raise ValueError(f"limit must be 0 or more, not {limit}")
        self._limit = limit
        self._in_a_row: dict[str, int] = {}

    def written(self, table: str) -> None:
        """Count anew, since a row was written."""
        self._in_a_row[table] = 0

    def refused(self, table: str, detail: str) -> None:
        """Count a refused row.  Raises FuseBlown."""
        self._in_a_row[table] = count = self._in_a_row.get(table, 0) + 1
        if count > self._limit:
            raise FuseBlown(
                f"table {table} refused {count} rows in a row, the last because {_kind(detail)}: "
                "run `nps migrate`, and compare the table's columns with the records"
            )


def _kind(detail: str) -> str:
    """Name of ClickHouse's error, in brackets at its end: the rest may hold values of the row, which are no log's."""
    names = re.findall(r"\(([A-Z_]+)\)", detail)
    return names[-1] if names else detail.partition(":")[0]


def write(
    warehouse: Warehouse, table: str, columns: Sequence[str], rows: Sequence[Row], fuse: RefusalFuse
) -> list[RefusedRow]:
    """Write every row that can be written and return the others, found by halving.

    Raises Unavailable and Misconfigured as the warehouse does (some rows may be written by then), and FuseBlown.
    """
    refused_rows: list[RefusedRow] = []
    for refused in _write_by_halves(warehouse, table, columns, rows, 0):
        if refused is None:
            fuse.written(table)
        else:
            fuse.refused(table, refused.detail)
            refused_rows.append(refused)
    return refused_rows


def _write_by_halves(
    warehouse: Warehouse, table: str, columns: Sequence[str], rows: Sequence[Row], start: int
) -> Iterator[RefusedRow | None]:
    """Write, halving what is refused; yields each refused row, and None for each run that was written, in order."""
    try:
        warehouse.insert(table, columns, rows)
    except Refused as error:
        if len(rows) == 1:
            yield RefusedRow(start, str(error))
            return
    else:
        yield None
        return
    half = len(rows) // 2
    yield from _write_by_halves(warehouse, table, columns, rows[:half], start)
    yield from _write_by_halves(warehouse, table, columns, rows[half:], start + half)
