"""Migrations of the database to the newest tables and views: numbered files, forward only, each applied once.

An applied file is recorded with its checksum; a released file that was edited since is refused.  Safe to run twice,
and twice at the same time: every statement says IF NOT EXISTS or OR REPLACE, and the records replace each other.
"""

import hashlib
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

from schemas.errors import BadInput
from sinks.chdb.sqltext import statements
from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.comments import write_comments

_MIGRATIONS_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations
(
    number UInt32, name String, checksum String, applied_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(applied_at) ORDER BY number
"""
READER_ROLE, PERSONAL_ROLE = "nps_reader", "nps_personal"
_NAME = re.compile(r"(\d{4})_\w+\.sql\Z")
_TABLE = re.compile(r"^CREATE TABLE IF NOT EXISTS (\w+)", re.MULTILINE)
_MADE = re.compile(r"^CREATE (?:OR REPLACE )?(?:TABLE|VIEW) (?:IF NOT EXISTS )?(\w+)", re.MULTILINE)
_VIEW = re.compile(
    rf"^-- (?P<role>{READER_ROLE}|{PERSONAL_ROLE}): (?P<row>.+)\nCREATE VIEW IF NOT EXISTS (?P<name>\w+)", re.MULTILINE
)


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
    """Load the numbered files that come with this package, in order; where one says {figures}, it has figures.sql."""
    folder = resources.files("sinks.clickhouse") / "sql"
    figures = (folder / "figures.sql").read_text(encoding="utf-8").rstrip()
    found = ((_NAME.match(file.name), file) for file in folder.iterdir())
    files = ((name, file.read_text(encoding="utf-8").replace("{figures}", figures)) for name, file in found if name)
    migrations = [Migration(int(name[1]), name.string, text) for name, text in files]
    return sorted(migrations, key=lambda migration: migration.number)


def migrate(database: ClickHouse, migrations: Sequence[Migration] | None = None) -> list[str]:
    """Apply the missing migrations and return their names; all of them again where a table or view was dropped since.

    Of the released ones the comments are written, too.
    Raises Edited, or WarehouseError as the server answers.
    """
    known = released() if migrations is None else list(migrations)
    create_database(database)
    database.command(_MIGRATIONS_TABLE)
    recorded = database.query("SELECT number, checksum FROM schema_migrations FINAL")
    applied = {row[0]: row[1] for row in recorded}
    for migration in known:
        if applied.get(migration.number, migration.checksum) != migration.checksum:
            raise Edited(f"{migration.name} was edited after it was applied: restore it and add a new file instead")
    due = known if missing(database, known) else [one for one in known if one.number not in applied]
    for migration in due:
        _apply(database, migration)
    if migrations is None:
        write_comments(database, {view.name: view.row for view in views()})
    return [migration.name for migration in due]


def create_database(database: ClickHouse) -> None:
    """Create the database if it is not there.  Raises WarehouseError."""
    database.command("CREATE DATABASE IF NOT EXISTS {name:Identifier}", {"name": database.database}, anywhere=True)


def missing(database: ClickHouse, migrations: Sequence[Migration] | None = None) -> list[str]:
    """Names of the tables and views that applied files made and that are not there any more.  Raises WarehouseError."""
    here = "SELECT name FROM system.tables WHERE database = currentDatabase()"
    there = {str(row[0]) for row in database.query(here)}
    if "schema_migrations" not in there:
        return []
    applied = {row[0] for row in database.query("SELECT number FROM schema_migrations FINAL")}
    known = released() if migrations is None else migrations
    made = [name for migration in known if migration.number in applied for name in _MADE.findall(migration.text)]
    return [name for name in dict.fromkeys(made) if name not in there]


def views() -> list[View]:
    """The views that BI reads, in the order in which they were released.

    The line above each `CREATE VIEW` says who may read it and what a row is: `-- nps_reader: a segment`.
    """
    marked = [match for migration in released() for match in _VIEW.finditer(migration.text)]
    return [View(match["name"], match["role"], match["row"]) for match in marked]


def role_statements() -> list[str]:
    """Statements that make the roles: `nps_reader` may read numbers, `nps_personal` every table and people too.

    They are no migration: many companies make their roles elsewhere, and it takes an administrator.
    """
    tables = dict.fromkeys(name for migration in released() for name in _TABLE.findall(migration.text))
    grants = [(view.name, view.role) for view in views()] + [(table, PERSONAL_ROLE) for table in tables]
    roles = [f"CREATE ROLE IF NOT EXISTS {role}" for role in (READER_ROLE, PERSONAL_ROLE)]
    return [
        *roles,
        f"GRANT {READER_ROLE} TO {PERSONAL_ROLE}",
        *(f"GRANT SELECT ON {name} TO {role}" for name, role in grants),
    ]


def make_roles(database: ClickHouse) -> None:
    """Make the roles `nps_reader` (numbers) and `nps_personal` (people too).  Needs an administrator and a server."""
    for statement in role_statements():
        database.command(statement)


def _apply(database: ClickHouse, migration: Migration) -> None:
    for statement in statements(migration.text):
        database.command(statement)
    now_ms = time.time_ns() // 1_000_000
    row = (migration.number, migration.name, migration.checksum, now_ms)
    database.insert("schema_migrations", ("number", "name", "checksum", "applied_at"), [row])
