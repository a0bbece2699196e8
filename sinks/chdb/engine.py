"""chDB, the ClickHouse engine in process: one request in, one answer or one engine error out.

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

from sinks.chdb.sqltext import Insert, insert_with_data, statements

_CODE = re.compile(r"Code: (\d+)\. ")
_FORMAT = re.compile(r"\bFORMAT\s+(\w+)(?:\s+SETTINGS\s[^;]*)?[\s;]*\Z", re.IGNORECASE)


class EngineError(Exception):
    """What the engine answered instead of a result; `code` is ClickHouse's own number."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class QueryRequest:
    """One request, as the engine needs it."""

    sql: bytes
    database: str | None
    parameters: Mapping[str, str]
    settings: Mapping[str, str]
    default_format: str


@dataclass(frozen=True, slots=True)
class QueryResult:
    """One answer: the bytes in `format`, or no bytes and how many rows were read and written."""

    body: bytes
    format: str
    read_rows: int
    written_rows: int


class ChdbEngine:
    """One data folder, open until `close`.  Threads may call `run` at the same time."""

    def __init__(self, path: Path) -> None:
        """Open the folder.  Raises OSError in one line when another process holds it."""
        path.mkdir(parents=True, exist_ok=True)
        self._path = str(path.resolve())
        try:
            self._keeper = _connect(self._path)
        except RuntimeError:
            # the engine itself has said why, on stderr
            raise OSError(f"cannot open {path}: another process uses it, or it is no chDB folder") from None
        self.version = self._keeper.query("SELECT version()", "TabSeparated").bytes().decode().strip()
        self.timezone = self._keeper.query("SELECT timezone()", "TabSeparated").bytes().decode().strip()

    def run(self, work: QueryRequest) -> QueryResult:
        """Do one request on a handle of its own.  Raises EngineError."""
        handle = _connect(self._path)
        try:
            for name, value in work.settings.items():
                handle.query(f"SET {name} = {_quoted(value)}")
            if work.database:
                handle.query(f"USE `{work.database.replace('`', '``')}`")
            insert = insert_with_data(work.sql)
            return _insert(handle, insert, work) if insert else _query(handle, work)
        except (chdb.ChdbError, RuntimeError) as error:
            raise _engine_error(str(error)) from None
        finally:
            handle.close()

    def close(self) -> None:
        """Leave the folder; the engine stops with its last handle."""
        self._keeper.close()


def _insert(handle: Any, insert: Insert, work: QueryRequest) -> QueryResult:
    """From a file, for chDB's own stream of rows reports success when storing them fails: a constraint, a full disk."""
    for name, value in work.parameters.items():
        handle.query(f"SET param_{name} = {_quoted(value)}")
    with tempfile.NamedTemporaryFile(prefix="nps-insert-") as file:
        file.write(insert.data)
        file.flush()
        done = handle.query(f"{insert.head} FROM INFILE {_quoted(file.name)} COMPRESSION 'none' FORMAT {insert.format}")
    return QueryResult(b"", "", 0, done.rows_read())


def _query(handle: Any, work: QueryRequest) -> QueryResult:
    try:
        sql = work.sql.decode()
    except UnicodeDecodeError:
        raise EngineError(62, "Code: 62. DB::Exception: Syntax error: not UTF-8. (SYNTAX_ERROR)") from None
    if len(statements(sql)) > 1:
        raise EngineError(62, "Code: 62. DB::Exception: Syntax error: Multi-statements are not allowed. (SYNTAX_ERROR)")
    result = handle.query(sql, work.default_format, params=dict(work.parameters))
    named = _FORMAT.search(sql)
    body = result.bytes()
    shown = (named[1] if named else work.default_format) if body or named else ""
    return QueryResult(body, shown, result.rows_read(), result.rows_written())


def _engine_error(message: str) -> EngineError:
    code = _CODE.search(message)
    # the insert stream puts words of its own before the engine's message
    return EngineError(int(code[1]), message[code.start() :]) if code else EngineError(1002, message)


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _connect(path: str) -> Any:
    return chdb.connect(path)  # type: ignore[no-untyped-call]  # chdb leaves it untyped
