"""Comments of tables, views and their columns, as BI tools show them: from the Avro schemas and `sql/comments.toml`."""

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import NamedTuple

from schemas.codec import versions
from sinks.clickhouse.client import ClickHouse
from sinks.quoting import quoted_name, quoted_text
from sinks.rows import TABLES, column_of

_DIMENSION = "Dimension '{}': what the trigger's attribute said, '(none)' where there was none."


class Comments(NamedTuple):
    """Comment of a table or view, and those of its columns by name."""

    table: str
    columns: Mapping[str, str]


def comments(views: Mapping[str, str], dimensions: Mapping[str, str]) -> dict[str, Comments]:
    """Comments by table and view; `views` says what a row of each view is, `dimensions` what their columns are called.

    A column of a table is what the schema of its record says of the field, any other what the file says of its name.
    """
    told = _file()
    of_dimensions = {column: _DIMENSION.format(name) for name, column in dimensions.items()}
    names = {**told["tables"], **{name: f"A row: {row}." for name, row in views.items()}}
    found = {name: Comments(about, {**told["columns"], **of_dimensions}) for name, about in names.items()}
    for table in TABLES.values():
        if table.record is not None:
            schema = versions(table.record)[-1]
            docs = {column_of(field["name"]): field["doc"] for field in schema["fields"]}
            found[table.name] = Comments(schema["doc"], {**told["columns"], **docs})
    return found


def columns() -> dict[str, str]:
    """Comments of the columns of views by name, and of those of tables of which no schema says more."""
    return dict(_file()["columns"])


def write_comments(database: ClickHouse, told: Mapping[str, Comments], on_cluster: str) -> None:
    """Comment every table, view and column of the database that says something else.  Raises WarehouseError."""
    here = "WHERE database = currentDatabase()"
    tables = {str(name): str(text) for name, text in database.query(f"SELECT name, comment FROM system.tables {here}")}
    rows = database.query(f"SELECT table, name, comment FROM system.columns {here}")
    for name, comment in told.items():
        has = {str(column): str(text) for table, column, text in rows if table == name}
        if changes := list(_changes(comment, has, tables.get(name))):
            database.command(f"ALTER TABLE {name}{on_cluster} {', '.join(changes)}")


@cache  # asked for at each rendering of the SQL
def _file() -> dict[str, dict[str, str]]:
    text = (resources.files("sinks.clickhouse") / "sql" / "comments.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def _changes(told: Comments, columns: Mapping[str, str], table: str | None) -> Iterator[str]:
    """Alterations of a table with these comments; none of one that is not there."""
    if table is not None and table != told.table:
        yield f"MODIFY COMMENT {quoted_text(told.table)}"
    for name, text in columns.items():
        if told.columns.get(name, text) != text:
            yield f"COMMENT COLUMN {quoted_name(name)} {quoted_text(told.columns[name])}"
