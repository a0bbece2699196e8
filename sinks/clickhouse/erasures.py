"""Adapter of the `Erasures` port to ClickHouse: finds and empties the rows of erased customers.

By mutations (ALTER TABLE ... UPDATE), which rewrite only those columns of those parts that hold such a row, and which
no later merge undoes.  Statements hold digests alone: ClickHouse keeps the text of a mutation.  The user needs SELECT
and ALTER UPDATE on the tables, and SELECT on system.mutations.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from schemas.topics import ERASURES
from sinks.clickhouse.client import ClickHouse
from sinks.personal import PERSONAL, Personal
from sinks.quoting import quoted_name
from sinks.rows import TABLES, is_instant
from sinks.warehouse import Misconfigured, Row

NEVER_MS = -(1 << 63)

_BESIDE = "concat(currentDatabase(), '_rebuild')"
_DATABASES = f"currentDatabase(), {_BESIDE}"


_TABLE = TABLES[ERASURES.name]
_COLUMNS = ", ".join(f"toUnixTimestamp64Milli({c})" if is_instant(c) else c for c in _TABLE.columns)
_SELECT = f"SELECT {_COLUMNS} FROM {_TABLE.name} FINAL"


class ClickHouseErasures:
    """Rows of erased customers, over one connection."""

    def __init__(self, database: ClickHouse) -> None:
        self._database = database

    def recorded(self, since_ms: int) -> list[Row]:
        """Return the rows of `erasures` written since `since_ms`, instants in milliseconds.  Raises WarehouseError."""
        newer = "toUnixTimestamp64Milli(loaded_at) >= {since:Int64}"
        return self._database.query(f"{_SELECT} WHERE {newer}", {"since": since_ms})

    def undone(self, at_most: int) -> list[Row]:
        """Return rows of `erasures` that are not done, oldest first.  Raises WarehouseError."""
        oldest = "WHERE toUnixTimestamp64Milli(done_at) = 0 ORDER BY received_at, erasure_id LIMIT {at_most:UInt32}"
        return self._database.query(f"{_SELECT} {oldest}", {"at_most": at_most})

    def done(self, ids: Sequence[str]) -> set[str]:
        """Return which of these erasures are done.  Raises WarehouseError."""
        is_done = "toUnixTimestamp64Milli(done_at) != 0 AND erasure_id IN {ids:Array(String)}"
        sql = f"SELECT erasure_id FROM erasures FINAL WHERE {is_done}"
        return {str(row[0]) for row in self._database.query(sql, {"ids": list(ids)})}

    def erased(self, after: str, at_most: int) -> list[tuple[str, int]]:
        """Return erased customers by digest, in order, beyond `after`, and until when.  Raises WarehouseError."""
        until_ms = "max(greatest(toUnixTimestamp64Milli(erased_at), toUnixTimestamp64Milli(received_at)))"
        sql = (
            f"SELECT customer_sha256, {until_ms} FROM erasures WHERE customer_sha256 > {{after:String}} "
            "GROUP BY customer_sha256 ORDER BY customer_sha256 LIMIT {at_most:UInt32}"
        )
        rows = self._database.query(sql, {"after": after, "at_most": at_most})
        return [(str(customer), int(str(until))) for customer, until in rows]

    def count_rows(self, until_ms: Mapping[str, int]) -> Counter[str]:
        """Count the rows that name each of these customers.  Raises WarehouseError."""
        counts: Counter[str] = Counter()

        def count(table: str, personal: Personal) -> None:
            names = ", ".join(map(_digest, personal.names))
            named = f"SELECT arrayJoin(arrayDistinct([{names}])) AS who, {_since(personal)} AS since_ms FROM {table}"
            sql = f"SELECT who, count() FROM ({named}) WHERE since_ms <= {_until('who')} GROUP BY who"
            counts.update({str(row[0]): int(str(row[1])) for row in self._database.query(sql, _parameters(until_ms))})

        self._in_each(count)
        return counts

    def empty(self, until_ms: Mapping[str, int]) -> None:
        """Begin to empty those rows; doing it again does no harm.  Raises WarehouseError."""

        def empty(table: str, personal: Personal) -> None:
            emptied = ", ".join(f"{column} = {_literal(value)}" for column, value in personal.emptied.items())
            rows = " OR ".join(f"{_since(personal)} <= {_until(_digest(name))}" for name in personal.names)
            sql = f"ALTER TABLE {table} UPDATE {emptied} WHERE {rows} SETTINGS mutations_sync = 0"
            self._database.command(sql, _parameters(until_ms))

        self._in_each(empty)

    def is_emptying(self) -> bool:
        """Return True while an emptying that was begun is not finished.  Raises WarehouseError."""
        unfinished = f"SELECT count() FROM system.mutations WHERE database IN ({_DATABASES}) AND NOT is_done"
        return self._database.query(f"{unfinished} AND table IN {{tables:Array(String)}}", {"tables": [*PERSONAL]}) != [
            (0,)
        ]

    def _in_each(self, act: Callable[[str, Personal], None]) -> None:
        """Act in each table that may name people, those of a rebuild last, unless they are dropped meanwhile."""
        for table, personal in PERSONAL.items():
            act(table, personal)
        for table, personal in self._rebuilt().items():
            try:
                act(table, personal)
            except Misconfigured:
                if table in self._rebuilt():
                    raise

    def _rebuilt(self) -> dict[str, Personal]:
        sql = (
            f"SELECT database, name FROM system.tables WHERE database = {_BESIDE} AND name IN {{tables:Array(String)}}"
        )
        found = self._database.query(sql, {"tables": [*PERSONAL]})
        return {f"{quoted_name(str(database))}.{name}": PERSONAL[str(name)] for database, name in found}


def _since(personal: Personal) -> str:
    return f"toUnixTimestamp64Milli({personal.since})" if personal.since else "{never:Int64} + 1"


def _until(digest: str) -> str:
    """SQL of the instant until which a customer is erased, NEVER_MS for all others."""
    return f"transform({digest}, {{who:Array(String)}}, {{until:Array(Int64)}}, {{never:Int64}})"


def _digest(name: str) -> str:
    return f"lower(hex(SHA256(ifNull({name}, ''))))"


def _parameters(until_ms: Mapping[str, int]) -> dict[str, object]:
    return {"who": [*until_ms], "until": [*until_ms.values()], "never": NEVER_MS}


def _literal(value: object) -> str:
    return {"": "''", "None": "NULL", "[]": "[]", "0.0": "0"}[str(value)]
