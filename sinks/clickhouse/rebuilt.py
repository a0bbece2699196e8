"""Tables of a rebuild, in a database of their own beside the one in force: made, filled, compared, adopted, dropped.

    begun      the tables are there and are being filled; whatever ends then leaves nothing that anybody reads
    complete   they can be compared and adopted
    adopting   EXCHANGE TABLES is under way: one statement for all tables, which the server finishes on its own
    adopted    they are in force; the tables that were in force lie here until they are dropped

Rows that came while the tables were filled, and those from before the instant from which a rebuild is exact, are not
compared; adopted tables hold them as they were.
"""

import json
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from schemas.topics import ALERTS, ANSWERS, DECISIONS, DISPATCHES, ERASURES, PANES
from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.layout import Layout
from sinks.clickhouse.migrate import migrate
from sinks.quoting import quoted_name, quoted_text
from sinks.rows import LINEAGE, TABLES
from sinks.warehouse import Misconfigured, Row

SUFFIX = "_rebuild"
"""End of the name of a rebuild's database."""

BEGUN, COMPLETE, ADOPTING, ADOPTED = "begun", "complete", "adopting", "adopted"

_UUIDS = "uuids"
"""Name of the row that says which tables were made: wherever they lie, each keeps its own."""

_STATE = """
CREATE TABLE IF NOT EXISTS rebuild{on_cluster} (state String, told String, at DateTime64(3, 'UTC'))
ENGINE = {replicated}MergeTree ORDER BY at
"""
_DIFFERENCES = """
CREATE TABLE IF NOT EXISTS differences{on_cluster}
(table_name String, segment String, day Date, name String, in_force String, rebuilt String)
ENGINE = {replicated}MergeTree ORDER BY (table_name, segment, day, name)
"""
_SPILLING = "SETTINGS max_bytes_before_external_group_by = 1000000000"
"""Bound of a comparison's memory: beyond it goes to disk."""

_NOT_COMPARED = {*LINEAGE, "version", "program", "done_at", "emptied_rows"}


class RebuiltTable(NamedTuple):
    """A table that is rebuilt: its key, the instant that a row is about, and SQL that tells a row in a few words."""

    name: str
    key: tuple[str, ...]
    instant: str
    told: str
    segment: str = "finest_segment"


REBUILT = (
    RebuiltTable(
        "decisions", ("decision_id",), "triggered_at", "concat(outcome, ' ', ifNull(reason, ifNull(rule, '')))"
    ),
    RebuiltTable("dispatches", ("survey_id", "reminder"), "triggered_at", "concat(rule, ' due ', toString(due_at))"),
    RebuiltTable(
        "answers",
        ("survey_id",),
        "answered_at",
        "concat(ifNull(toString(score), 'no score'), ' ', if(counted, 'counts', ifNull(flag, '')))",
    ),
    RebuiltTable("alerts", ("dedup_key", "alert_id"), "answered_at", "concat(status, ' ', severity)"),
    RebuiltTable("erasures", ("erasure_id",), "received_at", "toString(erased_at)", "''"),
)
"""Tables compared row by row."""

_PANES = TABLES[PANES.name]
_TOPICS = {TABLES[topic.name].name: topic.name for topic in (DECISIONS, DISPATCHES, ANSWERS, ALERTS, ERASURES, PANES)}
ALL: Mapping[str, str] = {**{table.name: table.instant for table in REBUILT}, _PANES.name: "start"}
"""Every table that is rebuilt, with the column of the instant that decides whether a rebuild is exact for a row."""


class Span(NamedTuple):
    """Extent of a rebuild.

    `exact_ms` is the instant from which it is exact, 0 for all of it; `ends` are the offsets behind the last record of
    each output topic's partitions when it began; `epoch` is the topics' epoch, `program` the hash of its program, and
    `adoptable` false for a program that does not decide now.
    """

    exact_ms: int
    ends: Mapping[str, Sequence[int]]
    epoch: int
    program: str
    adoptable: bool


class TableCount(NamedTuple):
    """Rows of a table that were compared, in force and rebuilt; those left out; and how many names differ."""

    table: str
    in_force: int
    rebuilt: int
    left_out: int
    differing: int


class RebuiltTables:
    """Tables of a rebuild: `in_force` is the database that readers see, `beside` that of the rebuild."""

    def __init__(self, in_force: ClickHouse, beside: ClickHouse, layout: Layout) -> None:
        self._in_force, self._beside, self._layout = in_force, beside, layout

    def state(self) -> tuple[str, Span | None]:
        """The last state and what the rebuild covers; "" when there is none.  Raises WarehouseError."""
        there = "SELECT count() FROM system.tables WHERE database = {name:String} AND name = 'rebuild'"
        if self._in_force.query(there, {"name": self._beside.database}) == [(0,)]:
            return "", None
        rows = self._beside.query(f"SELECT state, told FROM rebuild WHERE state != '{_UUIDS}' ORDER BY at DESC LIMIT 1")
        return (str(rows[0][0]), Span(**json.loads(str(rows[0][1])))) if rows else (BEGUN, None)

    def create(self, span: Span) -> None:
        """Make empty tables, in place of those of an earlier rebuild.  Raises WarehouseError."""
        self.drop()
        migrate(self._beside, self._layout)
        for statement in (_STATE, _DIFFERENCES):
            self._beside.command(self._layout.render(statement))
        self._beside.insert("rebuild", ("state", "told", "at"), [(_UUIDS, json.dumps(self._uuids()), 0)])
        self._note(BEGUN, span)

    def drop(self) -> None:
        """Drop the database with all its tables; harmless when there is none.  Raises WarehouseError."""
        sql = f"DROP DATABASE IF EXISTS {quoted_name(self._beside.database)}{self._layout.on_cluster} SYNC"
        self._beside.command(sql, anywhere=True)

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Write rows into a table of the rebuild.  Raises WarehouseError."""
        self._beside.insert(table, columns, rows)

    def compare(self, span: Span) -> list[TableCount]:
        """Fill the table of the differences; how many rows each table has, and how many differ.  Raises WarehouseError.

        From then on the rebuild is complete.
        """
        self._beside.command(f"TRUNCATE TABLE differences{self._layout.on_cluster}")
        for table in REBUILT:
            self._beside.command(self._differing_rows(table, span))
        self._beside.command(self._differing_panes(span))
        found = self._beside.query("SELECT table_name, count() FROM differences GROUP BY table_name")
        differing = {str(table): int(str(count)) for table, count in found}
        self._note(COMPLETE, span)
        return [self._counted(table, span, differing.get(table, 0)) for table in ALL]

    def differing_days(self, at_most: int) -> list[Row]:
        """Segment, day, and promoters/passives/detractors in force and rebuilt, where they differ."""
        sql = (
            "SELECT segment, day, in_force, rebuilt FROM differences WHERE table_name = 'panes' AND name LIKE 'day %' "
            f"ORDER BY segment = 'all' DESC, segment, day LIMIT {at_most}"
        )
        return self._beside.query(sql)

    def differing_rows(self, table: str, at_most: int) -> list[Row]:
        """Day, name, and what is in force and rebuilt, of a table's rows that differ."""
        sql = (
            "SELECT day, name, in_force, rebuilt FROM differences WHERE table_name = {table:String} "
            f"ORDER BY day, name LIMIT {at_most}"
        )
        return self._beside.query(sql, {"table": table})

    def adopt(self, span: Span) -> None:
        """Put the tables in place of those in force, all or none; may be repeated after a stop.  Raises WarehouseError.

        What came since is taken over before, and again after: the loader may write until the last moment.
        """
        state, _ = self.state()
        if state != ADOPTING or not self._is_exchanged():
            self._require_same_columns()
            for table in ALL:
                kept = f"({self._left_out(table, span)})" if table != "erasures" else "1"
                self._copy(self._in_force.database, self._beside.database, table, kept)
            self._note(ADOPTING, span)
            self._exchange([*ALL])
        for table in ALL:
            self._copy(self._beside.database, self._in_force.database, table, self._came_since(table, span))
        self._note(ADOPTED, span)

    def _exchange(self, tables: Sequence[str]) -> None:
        """Exchange these tables with those in force by one statement, which a server carries out without us."""
        old, new = quoted_name(self._in_force.database), quoted_name(self._beside.database)
        pairs = ", ".join(f"{old}.{table} AND {new}.{table}" for table in tables)
        self._in_force.command(f"EXCHANGE TABLES {pairs}{self._layout.on_cluster}")

    def _is_exchanged(self) -> bool:
        """True when the rebuilt tables are in force: none of them lies where it was made.

        A server that died amid the exchange may have exchanged some of them; the others follow here.
        """
        (told,) = self._beside.query(f"SELECT told FROM rebuild WHERE state = '{_UUIDS}'")
        made: Mapping[str, str] = json.loads(str(told[0]))
        left = [table for table, uuid in self._uuids().items() if made[table] == uuid]
        if 0 < len(left) < len(ALL):
            self._exchange(left)
            return True
        return not left

    def _uuids(self) -> dict[str, str]:
        here = "database = {name:String} AND name IN {tables:Array(String)}"
        sql = f"SELECT name, toString(uuid) FROM system.tables WHERE {here}"
        rows = self._in_force.query(sql, {"name": self._beside.database, "tables": [*ALL]})
        return {str(name): str(uuid) for name, uuid in rows}

    def _note(self, state: str, span: Span) -> None:
        row: Row = (state, json.dumps(span._asdict()), time.time_ns() // 1_000_000)
        self._beside.insert("rebuild", ("state", "told", "at"), [row])

    def _require_same_columns(self) -> None:
        sql = (
            "SELECT count() FROM (SELECT table, name, type FROM system.columns WHERE database IN {names:Array(String)} "
            "AND table IN {tables:Array(String)} GROUP BY table, name, type HAVING count() = 1)"
        )
        names = [self._in_force.database, self._beside.database]
        if self._in_force.query(sql, {"names": names, "tables": [*ALL]}) != [(0,)]:
            raise Misconfigured("the tables were migrated since they were rebuilt: run `nps rebuild` again")

    def _copy(self, source: str, target: str, table: str, where: str) -> None:
        columns = ", ".join(next(one.columns for one in TABLES.values() if one.name == table))
        self._in_force.command(
            f"INSERT INTO {quoted_name(target)}.{table} ({columns}) "
            f"SELECT {columns} FROM {quoted_name(source)}.{table} FINAL WHERE {where}"
        )

    def _counted(self, table: str, span: Span, differing: int) -> TableCount:
        out = self._left_out(table, span)
        sql = f"SELECT countIf(NOT ({out})), countIf({out}) FROM {quoted_name(self._in_force.database)}.{table} FINAL"
        ((in_force, left_out),) = self._beside.query(sql)
        ((rebuilt,),) = self._beside.query(f"SELECT count() FROM {table} FINAL")
        return TableCount(table, int(str(in_force)), int(str(rebuilt)), int(str(left_out)), differing)

    def _differing_rows(self, table: RebuiltTable, span: Span) -> str:
        columns = next(one.columns for one in TABLES.values() if one.name == table.name)
        compared = ", ".join(name for name in columns if name not in _NOT_COMPARED)
        name = f"concat({', '.join(_joined(table.key))})"
        rows = (
            "SELECT {side} AS side, {name} AS name, toDate({instant}) AS day, {segment} AS segment, {told} AS told, "
            "cityHash64(toString(tuple({compared}))) AS hash, {out} AS is_out FROM {source} FINAL"
        )
        both = _union(
            rows,
            (quoted_name(self._in_force.database), self._left_out(table.name, span)),
            (quoted_name(self._beside.database), "0"),
            name=name, instant=table.instant, segment=table.segment, told=table.told, compared=compared,
            table=table.name,
        )  # fmt: skip
        return (
            f"INSERT INTO differences SELECT {quoted_text(table.name)}, any(segment), any(day), name, "
            f"anyIf(told, side = 0), anyIf(told, side = 1) FROM ({both}) GROUP BY name "
            f"HAVING max(is_out) = 0 AND (count() < 2 OR uniqExact(hash) > 1) {_SPILLING}"
        )

    def _differing_panes(self, span: Span) -> str:
        kept = self._layout.render(
            "(resolution = 'day' OR resolution = 'hour' AND start >= {hours_since} "
            "OR resolution = 'minute' AND start >= {minutes_since})"
        )
        rows = (
            "SELECT {side} AS side, segment, resolution, start, promoters, passives, detractors, {out} AS is_out "
            "FROM {source} FINAL WHERE {kept}"
        )
        both = _union(
            rows,
            (quoted_name(self._in_force.database), self._left_out("panes", span)),
            (quoted_name(self._beside.database), "0"),
            kept=kept, table="panes",
        )  # fmt: skip
        old, new = _tally(0), _tally(1)
        return (
            "INSERT INTO differences SELECT 'panes', segment, toDate(start), "
            f"concat(resolution, ' ', toString(start)), {old} AS tally_in_force, {new} AS tally_rebuilt FROM ({both}) "
            "GROUP BY segment, resolution, start HAVING max(is_out) = 0 AND tally_in_force != tally_rebuilt "
            f"{_SPILLING}"
        )

    def _left_out(self, table: str, span: Span) -> str:
        """SQL that is 1 for a row in force that no rebuild can have: newer than its end, or older than its inputs."""
        older = f"toUnixTimestamp64Milli({ALL[table]}) < {span.exact_ms}" if table != "erasures" else "0"
        # version 0 and 1 are those of decisions, whatever their epoch
        return f"({self._came_since(table, span)}) OR {older} OR (version > 1 AND version < {span.epoch << 48})"

    def _came_since(self, table: str, span: Span) -> str:
        ends = ", ".join(map(str, span.ends[_TOPICS[table]]))
        return (
            f"kafka_topic = {quoted_text(_TOPICS[table])} AND kafka_offset >= [{ends}][toUInt32(kafka_partition) + 1]"
        )


def _tally(side: int) -> str:
    bands = [f"toString(sumIf({band}, side = {side}))" for band in ("promoters", "passives", "detractors")]
    return f"concat({bands[0]}, '/', {bands[1]}, '/', {bands[2]})"


def _joined(key: Sequence[str]) -> list[str]:
    parts = [f"toString({name})" for name in key]
    return [piece for part in parts for piece in (part, "' '")][:-1] + (["''"] if len(parts) == 1 else [])


def _union(rows: str, *sides: tuple[str, str], table: str, **more: str) -> str:
    texts = []
    for number, (database, out) in enumerate(sides):
        filled = rows
        for name, value in {
            **more,
            "side": str(number),
            "out": f"toUInt8({out})",
            "source": f"{database}.{table}",
        }.items():
            filled = filled.replace(f"{{{name}}}", value)
        texts.append(filled)
    return " UNION ALL ".join(texts)
