"""Preparation of a handle for one request: role, settings, database and tables that it brings, gone again after it."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from sinks.chdb.request import ADMINISTRATOR, EngineError, ExternalTable, QueryRequest
from sinks.chdb.sqltext import first_words, reads_only
from sinks.quoting import quoted_name, quoted_text


@contextmanager
def prepared(handle: Any, request: QueryRequest, granted: set[str]) -> Iterator[None]:
    """Prepare a handle, which may be that of a session, and leave the session as it was.  Raises EngineError.

    `granted` holds the roles of the user.
    """
    is_kept = request.session is not None
    with ExitStack() as after:
        for table in request.tables:
            after.callback(handle.query, f"DROP TEMPORARY TABLE IF EXISTS {quoted_name(table.name)}")
            _bring(handle, table)
        settings = _without_readonly(request) if is_kept else dict(request.settings)
        for statement in _as_before(handle, request, settings) if is_kept else ():
            after.callback(handle.query, statement)
        if is_kept and (request.user != ADMINISTRATOR or request.roles):
            after.callback(handle.query, "SET ROLE DEFAULT")
        _confine(handle, request, granted)
        handle.query(f"SET log_comment = {quoted_text(request.query_id)}")
        for name, value in settings.items():
            handle.query(f"SET {name} = {quoted_text(value)}")
        if request.database:
            handle.query(f"USE {quoted_name(request.database)}")
        yield


def insert_from_file(handle: Any, head: str, format_name: str, data: bytes | memoryview) -> Any:
    """Insert from a file: chDB's own stream of rows reports success when storing fails (a constraint, a full disk)."""
    with tempfile.NamedTemporaryFile(prefix="nps-insert-") as file:
        file.write(data)
        file.flush()
        return handle.query(f"{head} FROM INFILE {quoted_text(file.name)} COMPRESSION 'none' FORMAT {format_name}")


def _bring(handle: Any, table: ExternalTable) -> None:
    handle.query(f"CREATE TEMPORARY TABLE {quoted_name(table.name)} ({table.structure}) ENGINE = Memory")
    if table.data:
        insert_from_file(handle, f"INSERT INTO {quoted_name(table.name)}", table.format, table.data)


def _confine(handle: Any, request: QueryRequest, granted: set[str]) -> None:
    """Confine a handle to the rights of the user, or of some of their roles."""
    is_user = request.user != ADMINISTRATOR
    if is_user and (missing := set(request.roles) - granted):
        raise EngineError.of(512, "SET_NON_GRANTED_ROLE", f"Role {', '.join(sorted(missing))} should be granted to set")
    if roles := request.roles or ((request.user,) if is_user else ()):
        handle.query(f"SET ROLE {', '.join(map(quoted_name, roles))}")


def _without_readonly(request: QueryRequest) -> dict[str, str]:
    """Take out `readonly`, which a session could never lose again, and see to it here."""
    settings = dict(request.settings)
    if settings.pop("readonly", "0") != "0" and not reads_only(request.sql):
        raise EngineError.of(164, "READONLY", "Cannot execute query in readonly mode")
    return settings


def _as_before(handle: Any, request: QueryRequest, settings: dict[str, str]) -> list[str]:
    """Statements that undo a request's settings and database, unless changing them is what it is for."""
    names = ", ".join(map(quoted_text, settings)) or "''"
    changed = handle.query(
        f"SELECT name, value FROM system.settings WHERE changed AND name IN ({names})", "JSONCompact"
    )
    before = {name: quoted_text(value) for name, value in _rows(changed)}
    undo = [f"SET {name} = {before.get(name, 'DEFAULT')}" for name in settings]
    if request.database and first_words(request.sql)[0] != b"USE":
        ((database,),) = _rows(handle.query("SELECT currentDatabase()", "JSONCompact"))
        undo.append(f"USE {quoted_name(database)}")
    return undo


def _rows(result: Any) -> list[list[str]]:
    return list(json.loads(result.bytes())["data"])
