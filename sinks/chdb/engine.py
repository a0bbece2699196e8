"""chDB, the ClickHouse engine in process: a request in, a result or an engine error out.

One data folder per process, any number of threads: each request runs on a handle of its own (half a millisecond), so
its settings and its database end with it.
"""

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import chdb

from sinks.chdb.sqltext import Insert, insert_with_data, statements, writes_a_file

_CODE = re.compile(r"Code: (\d+)\. ")
_FORMAT = re.compile(r"\bFORMAT\s+(\w+)(?:\s+SETTINGS\s[^;]*)?[\s;]*\Z", re.IGNORECASE)


class EngineError(Exception):
    """Error of the engine; `code` is ClickHouse's own number."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class QueryRequest:
    """Request to the engine; `database` is None for the default one."""

    sql: bytes
    database: str | None
    parameters: Mapping[str, str]
    settings: Mapping[str, str]
    default_format: str


@dataclass(frozen=True, slots=True)
class QueryResult:
    """Result of a request: the bytes in `format`, or none, and the numbers of rows read and written."""

    body: bytes
    format: str
    read_rows: int
    written_rows: int


class ChdbEngine:
    """Engine on one data folder, open until `close`.  Threads may call `run` at the same time."""

    def __init__(self, path: Path) -> None:
        """Open the folder.  Raises OSError in one line when another process holds it."""
        path.mkdir(parents=True, exist_ok=True)
        self._path = str(path.resolve())
        try:
            self._connection = _connect(self._path)
        except RuntimeError:
            # the engine itself has said why, on stderr
            raise OSError(f"cannot open {path}: another process uses it, or it is no chDB folder") from None
        self.version = self._connection.query("SELECT version()", "TabSeparated").bytes().decode().strip()
        self.timezone = self._connection.query("SELECT timezone()", "TabSeparated").bytes().decode().strip()

    def run(self, request: QueryRequest) -> QueryResult:
        """Run a request on a handle of its own.  Raises EngineError."""
        handle = _connect(self._path)
        try:
            for name, value in request.settings.items():
                handle.query(f"SET {name} = {_quoted(value)}")
            if request.database:
                handle.query(f"USE `{request.database.replace('`', '``')}`")
            insert = insert_with_data(request.sql)
            return _insert(handle, insert, request) if insert else _query(handle, request)
        except (chdb.ChdbError, RuntimeError) as error:
            raise _engine_error(str(error)) from None
        finally:
            handle.close()

    def close(self) -> None:
        """Close the folder; the engine stops with its last handle."""
        self._connection.close()


def _insert(handle: Any, insert: Insert, request: QueryRequest) -> QueryResult:
    """Insert from a file: chDB's own stream of rows reports success when storing fails (a constraint, a full disk)."""
    for name, value in request.parameters.items():
        handle.query(f"SET param_{name} = {_quoted(value)}")
    with tempfile.NamedTemporaryFile(prefix="nps-insert-") as file:
        file.write(insert.data)
        file.flush()
        source = f"FROM INFILE {_quoted(file.name)} COMPRESSION 'none'"
        result = handle.query(f"{insert.head} {source} FORMAT {insert.format}")
    return QueryResult(b"", "", 0, result.rows_read())


def _query(handle: Any, request: QueryRequest) -> QueryResult:
    try:
        sql = request.sql.decode()
    except UnicodeDecodeError:
        raise EngineError(62, "Code: 62. DB::Exception: Syntax error: not UTF-8. (SYNTAX_ERROR)") from None
    if writes_a_file(request.sql):
        raise EngineError(
            475, "Code: 475. DB::Exception: INTO OUTFILE is for clients alone. (INTO_OUTFILE_NOT_ALLOWED)"
        )
    if len(statements(sql)) > 1:
        raise EngineError(62, "Code: 62. DB::Exception: Syntax error: Multi-statements are not allowed. (SYNTAX_ERROR)")
    result = handle.query(sql, request.default_format, params=dict(request.parameters))
    clause = _FORMAT.search(sql)
    body = result.bytes()
    body_format = (clause[1] if clause else request.default_format) if body or clause else ""
    return QueryResult(body, body_format, result.rows_read(), result.rows_written())


def _engine_error(message: str) -> EngineError:
    code = _CODE.search(message)
    # chDB puts words of its own before the engine's message
    return EngineError(int(code[1]), message[code.start() :]) if code else EngineError(1002, message)


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _connect(path: str) -> Any:
    return chdb.connect(path)  # type: ignore[no-untyped-call]  # chdb leaves it untyped
