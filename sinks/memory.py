"""A warehouse in memory that keeps the promises of the real one: absolute rows, the highest version wins.

For tests and for trying things out.  It refuses what ClickHouse refuses, as far as its column rules say.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from sinks.warehouse import Misconfigured, Refused, Row, Unavailable

Rule: TypeAlias = Callable[[object], bool]


@dataclass(frozen=True, slots=True)
class TableRules:
    """What a table takes: a rule for each column, the columns of its key, and its version column."""

    columns: Mapping[str, Rule]
    key: tuple[str, ...]
    version: str = "version"


class Memory:
    """Tables in a dictionary.  Set `away` to have every insert raise Unavailable."""

    def __init__(self, tables: Mapping[str, TableRules]) -> None:
        self._tables = tables
        self._rows: dict[str, dict[Row, dict[str, object]]] = {name: {} for name in tables}
        self.away = False

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Write all of these rows or none.  Raises Refused, Unavailable or Misconfigured."""
        if self.away:
            raise Unavailable("memory is away")
        rules = self._tables.get(table)
        if rules is None or not set(columns) <= set(rules.columns):
            raise Misconfigured(f"no table {table} with columns {', '.join(columns)}: run `nps migrate`")
        named = [_checked(rules, dict(zip(columns, row, strict=True))) for row in rows]
        for row in named:
            key = tuple(row[name] for name in rules.key)
            held = self._rows[table].get(key)
            if held is None or _version(held, rules) <= _version(row, rules):
                self._rows[table][key] = row

    def rows(self, table: str) -> list[dict[str, object]]:
        """The rows that a query with FINAL would see."""
        return list(self._rows[table].values())


def _checked(rules: TableRules, row: dict[str, object]) -> dict[str, object]:
    for name, value in row.items():
        if not rules.columns[name](value):
            raise Refused(f"column {name} does not take a {type(value).__name__}")
    return row


def _version(row: Mapping[str, object], rules: TableRules) -> int:
    version = row[rules.version]
    return version if isinstance(version, int) else 0
