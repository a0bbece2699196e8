"""Migrations of the database to the newest tables and views.

Tables are made by numbered files, forward only, each applied once.  An applied file is recorded with its checksum; a
released file that was edited since is refused.  Views hold nothing: they are made anew when they or the program's
dimensions changed.  Safe to run twice, and twice at the same time: every statement says IF NOT EXISTS or OR REPLACE,
and the records replace each other.
"""

import hashlib
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from schemas.errors import BadInput
from sinks.chdb.sqltext import statements
from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.comments import comments, write_comments
from sinks.clickhouse.layout import PLAIN, RESOLUTIONS, Layout

_MIGRATIONS_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations{on_cluster}
(
    number UInt32, name String, checksum String, applied_at DateTime64(3, 'UTC')
)
ENGINE = {replicated}ReplacingMergeTree(applied_at) ORDER BY number
"""
READER_ROLE, PERSONAL_ROLE = "nps_reader", "nps_personal"
VIEWS = 0
"""Number under which it is recorded which views there are."""

_NAME = re.compile(r"(\d{4})_\w+\.sql\Z")
_MADE = re.compile(r"^CREATE (?:OR REPLACE )?(?P<kind>TABLE|VIEW) (?:IF NOT EXISTS )?(?P<name>\w+)", re.MULTILINE)
_VIEW = re.compile(
    rf"^-- (?P<role>{READER_ROLE}|{PERSONAL_ROLE}): (?P<row>.+)\nCREATE OR REPLACE VIEW (?P<name>\w+)", re.MULTILINE
)
_SQL = resources.files("sinks.clickhouse") / "sql"
_VIEW_FILES = ("facts", "nps", "asking", "oncall", "comments", "letters", "audit")
"""Files of views, each after those whose views it reads."""


class Edited(BadInput, ValueError):
    """A released file that was edited after it was applied."""


@dataclass(frozen=True, slots=True)
class Migration:
    """A numbered file."""

    number: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, the same whatever the line ends."""
        return hashlib.sha256(self.text.replace("\r\n", "\n").encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class View:
    """A view that BI reads: which role may, and what a row of it is."""

    name: str
    role: str
    row: str


def released() -> list[Migration]:
    """Load the numbered files of tables, in order."""
    found = ((_NAME.match(file.name), file) for file in _SQL.iterdir())
    migrations = [
        Migration(int(name[1]), name.string, file.read_text(encoding="utf-8")) for name, file in found if name
    ]
    return sorted(migrations, key=lambda migration: migration.number)


@cache  # asked for to make the views, to comment them and to grant them
def views_of(layout: Layout) -> Migration:
    """Render the views of a layout.  They hold no rows, so they are no numbered files: made anew when they changed."""
    figures = _read_view("figures").rstrip()
    texts = [layout.render(_read_view(name), figures=figures) for name in _VIEW_FILES]
    for resolution, time_sql in RESOLUTIONS.items():
        text = _read_view("nps_by_resolution")
        texts.append(layout.render(text, figures=figures, resolution=resolution, time=time_sql))
    return Migration(VIEWS, "views", "\n".join(texts))


def _read_view(name: str) -> str:
    return (_SQL / "views" / f"{name}.sql").read_text(encoding="utf-8")


def migrate(database: ClickHouse, layout: Layout = PLAIN, migrations: Sequence[Migration] | None = None) -> list[str]:
    """Apply the missing migrations and return their names; all of them again where a table or view was dropped since.

    Beside the released ones, the views are made when they are not there or others, and all comments are written.
    Raises Edited, or WarehouseError as the server answers.
    """
    known = released() if migrations is None else list(migrations)
    create_database(database, layout)
    database.command(layout.render(_MIGRATIONS_TABLE))
    recorded = database.query("SELECT number, checksum FROM schema_migrations FINAL")
    applied = {row[0]: row[1] for row in recorded}
    for migration in known:
        if applied.get(migration.number, migration.checksum) != migration.checksum:
            raise Edited(f"{migration.name} was edited after it was applied: restore it and add a new file instead")
    due = known if missing(database, known) else [one for one in known if one.number not in applied]
    for migration in due:
        _apply(database, migration, layout)
    if migrations is None:
        due += _migrate_views(database, layout, applied.get(VIEWS))
    return [migration.name for migration in due]


def _migrate_views(database: ClickHouse, layout: Layout, applied: object) -> list[Migration]:
    made = views_of(layout)
    is_due = applied != made.checksum or bool(missing(database, [made]))
    if is_due:
        _apply(database, made, layout)
    told = comments({view.name: view.row for view in views(layout)}, layout.columns())
    write_comments(database, told, layout.on_cluster)
    return [made] if is_due else []


def create_database(database: ClickHouse, layout: Layout) -> None:
    """Create the database if it is not there.  Raises WarehouseError."""
    created = f"CREATE DATABASE IF NOT EXISTS {{name:Identifier}}{layout.on_cluster}"
    database.command(created, {"name": database.database}, anywhere=True)


def missing(database: ClickHouse, migrations: Sequence[Migration]) -> list[str]:
    """Names of the tables and views that these made, as they are, and that are not there any more.

    Raises WarehouseError.
    """
    here = "SELECT name FROM system.tables WHERE database = currentDatabase()"
    there = {str(row[0]) for row in database.query(here)}
    if "schema_migrations" not in there:
        return []
    applied = {row[0] for row in database.query("SELECT checksum FROM schema_migrations FINAL")}
    made = [match["name"] for one in migrations if one.checksum in applied for match in _MADE.finditer(one.text)]
    return [name for name in dict.fromkeys(made) if name not in there]


def all_of(layout: Layout) -> list[Migration]:
    """Load what a database of this layout consists of: the released files and its views."""
    return [*released(), views_of(layout)]


def views(layout: Layout = PLAIN) -> list[View]:
    """The views that BI reads, each after those that it reads.

    The line above each `CREATE` says who may read it and what a row is: `-- nps_reader: a segment`.
    """
    text = views_of(layout).text
    return [View(match["name"], match["role"], match["row"]) for match in _VIEW.finditer(text)]


def role_statements(layout: Layout) -> list[str]:
    """Statements that make the roles: `nps_reader` may read numbers, `nps_personal` every table and people too.

    They are no migration: many companies make their roles elsewhere, and it takes an administrator.
    """
    tables = dict.fromkeys(match["name"] for migration in released() for match in _MADE.finditer(migration.text))
    grants = [(view.name, view.role) for view in views(layout)] + [(table, PERSONAL_ROLE) for table in tables]
    where = layout.on_cluster
    roles = [f"CREATE ROLE IF NOT EXISTS {role}{where}" for role in (READER_ROLE, PERSONAL_ROLE)]
    return [
        *roles,
        f"GRANT{where} {READER_ROLE} TO {PERSONAL_ROLE}",
        *(f"GRANT{where} SELECT ON {name} TO {role}" for name, role in grants),
    ]


def make_roles(database: ClickHouse, layout: Layout) -> None:
    """Make the roles `nps_reader` (numbers) and `nps_personal` (people too).  Needs an administrator."""
    for statement in role_statements(layout):
        database.command(statement)


def _apply(database: ClickHouse, migration: Migration, layout: Layout) -> None:
    for statement in statements(layout.render(migration.text)):
        database.command(statement)
    now_ms = time.time_ns() // 1_000_000
    row = (migration.number, migration.name, migration.checksum, now_ms)
    database.insert("schema_migrations", ("number", "name", "checksum", "applied_at"), [row])
