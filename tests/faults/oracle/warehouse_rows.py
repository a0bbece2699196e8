"""ClickHouse against the topics it is loaded from: of each key the highest version, nothing missing, nothing more."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from schemas.codec import Undecodable
from schemas.events import PaneTally, Record
from schemas.topics import BY_NAME
from tests.faults.harness.reading import Fields, World
from tests.faults.harness.report import Finding
from tests.faults.oracle.comparison import compare
from tests.faults.oracle.forgotten import Forgotten
from tests.faults.oracle.inputs import CODEC
from tests.faults.oracle.numbers import Cell, Tally
from tests.faults.oracle.outputs import ALERTS, ANSWERS, DECISIONS, DISPATCHES, PANES, ROLLING, Outputs


class Table(NamedTuple):
    """A table, the invariant it belongs to, the topic that fills it, and its key."""

    name: str
    invariant: str
    topic: str
    key: tuple[str, ...]


LOADED = (
    Table("answers", "I1", ANSWERS, ("survey_id",)),
    Table("panes", "I2", PANES, ("segment", "resolution", "start_ms", "source_partition")),
    Table("rolling", "I3", ROLLING, ("segment", "window", "as_of_ms")),
    Table("alerts", "I4", ALERTS, ("dedup_key", "alert_id")),
    Table("decisions", "I5", DECISIONS, ("decision_id",)),
    Table("dispatches", "I5", DISPATCHES, ("survey_id", "reminder")),
)
TABLES = (*(table.name for table in LOADED), "dead_letters")
"""Everything that is compared."""


def pane_tallies(outputs: Outputs) -> dict[tuple[Cell, int], Tally]:
    """The last tally of each pane and source partition with its supplements, empty ones left out."""
    last = {}
    for one in outputs.values(PANES, PaneTally):
        key = ((one.segment, one.resolution, one.start_ms), one.source_partition, one.supplement)
        last[key] = (one.promoters, one.passives, one.detractors)
    sums: dict[tuple[Cell, int], Tally] = {}
    for (cell, source, _), (promoters, passives, detractors) in last.items():
        before = sums.get((cell, source), (0, 0, 0))
        sums[cell, source] = (before[0] + promoters, before[1] + passives, before[2] + detractors)
    return {key: tally for key, tally in sums.items() if any(tally)}


def check_tables(world: World, outputs: Outputs) -> Iterator[Finding]:
    """Every table, and the audit that ClickHouse makes of itself."""
    tables, forgotten = world.tables or {}, Forgotten(world, outputs)
    for table in LOADED:
        yield from _check(table, tables[table.name], outputs, forgotten)
    yield _check_dead(tables["dead_letters"], outputs, forgotten)
    yield Finding("I2", "audit of panes by ClickHouse", len(tables["panes"]), len(world.audit),
                  str(dict(world.audit[0])) if world.audit else "")  # fmt: skip


def _check(table: Table, rows: Sequence[Fields], outputs: Outputs, forgotten: Forgotten) -> Iterator[Finding]:
    """The rows, those of the erased but for what is emptied, and whether that is empty in time."""
    columns: Collection[str] = rows[0].keys() if rows else ()
    newest: dict[object, Record] = {}
    for one in outputs.told[table.topic]:
        key = tuple(getattr(one.value, name) for name in table.key)
        if key not in newest or _version(newest[key]) <= _version(one.value):
            newest[key] = one.value
    gone = {key: forgotten.emptied(table.name, record) for key, record in newest.items()}
    wanted: dict[object, object] = {
        key: _fields({**record._asdict(), **gone[key]}, columns) for key, record in newest.items()
    }
    found: dict[object, Fields] = {tuple(row[name] for name in table.key): row for row in rows}
    if table.topic == ROLLING:  # compaction forgets what ClickHouse keeps
        found = {key: row for key, row in found.items() if key in wanted}
    shown: dict[object, object] = {
        key: _fields({**row, **gone.get(key, {})}, next(iter(newest.values()))._fields if newest else ())
        for key, row in found.items()
    }
    yield compare(table.invariant, f"ClickHouse {table.name}, highest version of each", wanted, shown)
    if covered := [key for key in gone if gone[key] and key in found]:
        late = sorted(str(key) for key in covered if forgotten.is_overdue(table.name, newest[key], found[key]))
        what = f"ClickHouse {table.name}, emptied of the erased"
        yield Finding(table.invariant, what, len(covered), len(late), late[0] if late else "")


def _check_dead(rows: Sequence[Fields], outputs: Outputs, forgotten: Forgotten) -> Finding:
    wanted, gone = {}, set()
    for place, deaths in outputs.deaths.items():
        for reason, copies in deaths.items():
            value = copies[0].row.value or b""
            if not is_readable(place[0], value):  # it stays in Kafka, for no erasure could find whom it names
                value = b""
            wanted[*place, reason] = ((copies[0].row.key or b"").hex(), value.hex())
            if forgotten.is_buried(copies[0]):
                gone.add((*place, reason))
    found = {
        (row["origin_topic"], row["origin_partition"], row["origin_offset"], row["reason"]): (
            (row["key"] or "").lower(), (row["value"] or "").lower()
        )
        for row in rows
        if row["reason"] != "unlabelled"
    }  # fmt: skip
    emptied = dict.fromkeys(gone & found.keys(), ("", ""))
    return compare("I6", "ClickHouse dead_letters", wanted | emptied, found | emptied)


def is_readable(topic: str, value: bytes) -> bool:
    """True for a record of the type that lies on this topic."""
    cls = BY_NAME[topic].record if topic in BY_NAME else None
    try:
        return cls is not None and bool(CODEC.decode(cls, value))
    except Undecodable:
        return False


def _version(record: Record) -> int:
    version: int = getattr(record, "version", 0)
    return version


def _fields(values: Mapping[str, Any], names: Collection[str]) -> dict[str, object]:
    return {name: _plain(value) for name, value in values.items() if name in names}


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return tuple(sorted(value.items()))
    return tuple(value) if isinstance(value, list | tuple) else value
