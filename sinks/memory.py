"""In-memory warehouse, for tests and trials: absolute rows, of which the highest version wins.

It passes the same contract suite as ClickHouse, and refuses what ClickHouse refuses as far as that suite asks.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from schemas.topics import ERASURES
from sinks.chdb.sqltext import statements
from sinks.personal import PERSONAL, erased_customers
from sinks.rows import TABLES
from sinks.warehouse import Misconfigured, Refused, Row, Unavailable

ColumnRule: TypeAlias = Callable[[object], bool]

_CREATE = re.compile(
    r"CREATE TABLE IF NOT EXISTS (\w+)\s*\((.*?)\n\)\s*ENGINE = ReplacingMergeTree\((\w+)\).*ORDER BY ([^\n]+)",
    re.DOTALL,
)
_COLUMN = re.compile(r"^\s+(?!INDEX|PROJECTION)(\w+)\s+(.+?),?$", re.MULTILINE)
_INTEGER = re.compile(r"(U?)Int(\d+)\Z")


@dataclass(frozen=True, slots=True)
class MemoryTable:
    """Definition of a table: a rule for each column, the columns of its key, the column whose highest value wins."""

    columns: Mapping[str, ColumnRule]
    key: tuple[str, ...]
    version: str


class Memory:
    """Warehouse with the tables that these SQL scripts make.  While `away` is set, every insert raises Unavailable."""

    def __init__(self, scripts: Iterable[str]) -> None:
        self._tables = _tables(scripts)
        self._rows: dict[str, dict[Row, dict[str, object]]] = {name: {} for name in self._tables}
        self.away = False

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Write all of these rows or none.  Raises Refused, Unavailable or Misconfigured."""
        if self.away:
            raise Unavailable("memory is away")
        definition = self._tables.get(table)
        if definition is None or not set(columns) <= set(definition.columns):
            raise Misconfigured(f"no table {table} with columns {', '.join(columns)}: run `nps migrate`")
        for row in [_checked(definition, dict(zip(columns, row, strict=True))) for row in rows]:
            key = tuple(row[name] for name in definition.key)
            stored = self._rows[table].get(key)
            if stored is None or _int(stored.get(definition.version)) <= _int(row.get(definition.version)):
                self._rows[table][key] = row

    def rows(self, table: str) -> list[dict[str, object]]:
        """Return the rows that a query with FINAL would see."""
        return list(self._rows[table].values())

    def recorded(self, since_ms: int) -> list[Row]:
        """Return the rows of `erasures` written since `since_ms`, instants in milliseconds."""
        return [row for row, fields in self._erasures() if _int(fields["loaded_at"]) >= since_ms]

    def undone(self, at_most: int) -> list[Row]:
        """Return rows of `erasures` that are not done, oldest first."""
        undone = [(row, fields) for row, fields in self._erasures() if not fields["done_at"]]
        return [row for row, _ in sorted(undone, key=lambda one: _int(one[1]["received_at"]))[:at_most]]

    def done(self, ids: Sequence[str]) -> set[str]:
        """Return which of these erasures are done."""
        return {str(row["erasure_id"]) for row in self.rows("erasures") if row["done_at"] and row["erasure_id"] in ids}

    def erased(self, after: str, at_most: int) -> list[tuple[str, int]]:
        """Return erased customers by digest, in order, beyond `after`, and until when."""
        until_ms: dict[str, int] = {}
        for row in self.rows("erasures"):
            customer = str(row["customer_sha256"])
            until_ms[customer] = max(_int(row["erased_at"]), _int(row["received_at"]), until_ms.get(customer, 0))
        return sorted((customer, until) for customer, until in until_ms.items() if customer > after)[:at_most]

    def count_rows(self, until_ms: Mapping[str, int]) -> Counter[str]:
        """Count the rows from before their erasure that name each of these customers, keyed by digest."""
        return Counter(customer for table in PERSONAL for _, customer in self._rows_naming(table, until_ms))

    def empty(self, until_ms: Mapping[str, int]) -> None:
        """Empty those rows, at once."""
        for table, personal in PERSONAL.items():
            for row, _ in self._rows_naming(table, until_ms):
                row.update(personal.emptied)

    def is_emptying(self) -> bool:
        """Return False: emptying takes no time here."""
        return False

    def _erasures(self) -> list[tuple[Row, Mapping[str, object]]]:
        columns = TABLES[ERASURES.name].columns
        return [(tuple(row[column] for column in columns), row) for row in self.rows("erasures")]

    def _rows_naming(self, table: str, until_ms: Mapping[str, int]) -> list[tuple[dict[str, object], str]]:
        names, since = PERSONAL[table].names, PERSONAL[table].since
        return [
            (row, customer)
            for row in self.rows(table)
            for customer in erased_customers((row[name] for name in names), row[since] if since else None, until_ms)
        ]


def _tables(scripts: Iterable[str]) -> dict[str, MemoryTable]:
    tables: dict[str, MemoryTable] = {}
    for statement in (text for script in scripts for text in statements(script)):
        if create := _CREATE.search(statement):
            name, body, version, key = create.groups()
            columns = {name: _rule(kind) for name, kind in _COLUMN.findall(body) if "MATERIALIZED" not in kind}
            tables[name] = MemoryTable(columns, tuple(re.findall(r"\w+", key)), version)
    return tables


def _rule(kind: str) -> ColumnRule:
    inner = kind.removeprefix("LowCardinality(") if kind.startswith("LowCardinality(") else kind
    if inner.startswith("Nullable("):
        rule = _plain_rule(inner.removeprefix("Nullable(").rstrip(")"))
        return lambda value: value is None or rule(value)
    return _plain_rule(inner.rstrip(")") if inner is not kind else inner)


def _plain_rule(kind: str) -> ColumnRule:
    if integer := _INTEGER.match(kind):
        low, high = (0, 1 << int(integer[2])) if integer[1] else (-1 << int(integer[2]) - 1, 1 << int(integer[2]) - 1)
        return lambda value: isinstance(value, int) and low <= value < high
    accepted: dict[str, type | tuple[type, ...]] = {
        "String": (str, bytes), "Bool": bool, "Float64": (int, float), "DateTime64": int, "Array": list, "Map": dict,
    }  # fmt: skip
    types = accepted[kind.partition("(")[0]]
    return lambda value: isinstance(value, types)


def _checked(table: MemoryTable, row: dict[str, object]) -> dict[str, object]:
    for name, value in row.items():
        if not table.columns[name](value):
            raise Refused(f"column {name} does not take this {type(value).__name__}")
    return row


def _int(value: object) -> int:
    return value if isinstance(value, int) else 0
