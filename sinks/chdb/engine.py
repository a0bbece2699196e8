"""chDB, the ClickHouse engine in process: a request in, a result or an engine error out.

One data folder per process, any number of threads.  A request runs on a handle of its own (half a millisecond), so its
settings and its database end with it; a session has a handle that stays.
"""

import copy
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import chdb

from sinks.chdb.access import AccessBook, changes_access
from sinks.chdb.gate import SharedGate
from sinks.chdb.handles import insert_from_file, prepared
from sinks.chdb.native import for_revision
from sinks.chdb.queries import RunningQueries, kill, kills_queries, with_own_ids
from sinks.chdb.request import ADMINISTRATOR, EngineError, QueryRequest, QueryResult
from sinks.chdb.sessions import HandleSessions
from sinks.chdb.sqltext import Insert, insert_with_data, statements, uses_a_file
from sinks.quoting import quoted_text

ACCESS_WAIT_S = 30.0
"""Time in seconds for which queries that run may keep a change of users and roles waiting."""

_CODE = re.compile(r"Code: (\d+)\. ")
_FORMAT = re.compile(r"\bFORMAT\s+(\w+)(?:\s+SETTINGS\s[^;]*)?[\s;]*\Z", re.IGNORECASE)


class ChdbEngine:
    """Engine on one data folder, open until `close`.  Threads may call `run` at the same time."""

    def __init__(self, path: Path) -> None:
        """Open the folder.  Raises OSError in one line when another process holds it."""
        path.mkdir(parents=True, exist_ok=True)
        self._path = str(path.resolve())
        self.access = AccessBook(path.resolve())
        self._applied = copy.deepcopy(self.access.entries)
        self._gate, self._lock = SharedGate(), Lock()
        self._running, self._sessions = RunningQueries(), HandleSessions(self._connected)
        try:
            self._connection = self._opened()
        except RuntimeError:
            # the engine itself has said why, on stderr
            raise OSError(f"cannot open {path}: another process uses it, or it is no chDB folder") from None
        self.version = self._connection.query("SELECT version()", "TabSeparated").bytes().decode().strip()
        self.timezone = self._connection.query("SELECT timezone()", "TabSeparated").bytes().decode().strip()

    def run(self, request: QueryRequest) -> QueryResult:
        """Run a request.  Raises EngineError."""
        try:
            if kills_queries(request.sql):
                return self._kill(request)
            if changes_access(request.sql):
                return self._change_access(request)
            self._apply_access()
            with self._gate.shared(), self._running.registered(request.query_id, request.user):
                return self._run(request)
        except (chdb.ChdbError, RuntimeError) as error:
            raise _engine_error(str(error), request.user) from None

    def kill(self, query_id: str) -> None:
        """End the query that has this id, if it runs."""
        with self._lock:
            kill(self._connection, query_id)

    def close(self) -> None:
        """Close the folder; the engine stops with its last handle."""
        self._sessions.close()
        self._connection.close()

    def _run(self, request: QueryRequest) -> QueryResult:
        granted = self.access.roles_of(request.user)
        with self._handle(request) as handle, prepared(handle, request, granted):
            insert = insert_with_data(request.sql)
            return _insert(handle, insert, request) if insert else _query(handle, request)

    @contextmanager
    def _handle(self, request: QueryRequest) -> Iterator[Any]:
        with ExitStack() as stack:
            if request.session is not None:
                yield stack.enter_context(self._sessions.borrowed(request.user, request.session))
            else:
                handle = self._connected()
                stack.callback(handle.close)
                yield handle

    def _kill(self, request: QueryRequest) -> QueryResult:
        """Kill past the gate, so that a query which keeps it closed can be killed, too."""
        with self._lock:
            formatted = _formatted(self._connection, _one_statement(request.sql))
            sql = self._running.kill_statement(formatted, request.user)
            result = self._connection.query(sql, request.default_format, params=dict(request.parameters))
        return _result(sql, result.bytes(), result, request)

    def _change_access(self, request: QueryRequest) -> QueryResult:
        if request.user != ADMINISTRATOR:
            raise EngineError.of(497, "ACCESS_DENIED", f"{request.user}: Not enough privileges")
        if request.settings.get("readonly", "0") != "0":
            raise EngineError.of(164, "READONLY", "Cannot execute query in readonly mode")
        with self._lock:
            before = copy.deepcopy(self.access.entries)
            try:
                self.access.change(
                    _formatted(self._connection, _one_statement(request.sql)), request.database or "default"
                )
                self.access.write()
            except BaseException:
                self.access.entries = before
                raise
        return QueryResult(b"", "", 0, 0)

    def _apply_access(self) -> None:
        """Open the engine anew when users or roles changed, once no query runs; sessions end by it."""
        if self.access.entries == self._applied:
            return
        try:
            with self._gate.alone(ACCESS_WAIT_S), self._lock:
                if self.access.entries != self._applied:
                    self._reopen()
        except TimeoutError:
            raise EngineError.of(
                159, "TIMEOUT_EXCEEDED", "a change of users or roles waits for the queries that run: end them first"
            ) from None

    def _reopen(self) -> None:
        self.close()
        try:
            self._connection = self._opened()
        except RuntimeError as error:
            self.access.entries = copy.deepcopy(self._applied)
            self._connection = self._opened()
            raise EngineError.of(36, "BAD_ARGUMENTS", f"the grants made last are undone: {error}") from None
        self._applied = copy.deepcopy(self.access.entries)

    def _opened(self) -> Any:
        configuration = self.access.write()
        return _connect(f"{self._path}?config-file={configuration}" if configuration else self._path)

    def _connected(self) -> Any:
        return _connect(self._path)


def _insert(handle: Any, insert: Insert, request: QueryRequest) -> QueryResult:
    for name, value in request.parameters.items():
        handle.query(f"SET param_{name} = {quoted_text(value)}")
    result = insert_from_file(handle, insert.head, insert.format, insert.data)
    return QueryResult(b"", "", 0, result.rows_read())


def _query(handle: Any, request: QueryRequest) -> QueryResult:
    sql = with_own_ids(_one_statement(request.sql))
    result = handle.query(sql, request.default_format, params=dict(request.parameters))
    body = result.bytes()
    if request.revision and _format_of(sql, request) == "Native":
        body = for_revision(body, request.revision, lambda: _types(handle, sql, request))
    return _result(sql, body, result, request)


def _result(sql: str, body: bytes, result: Any, request: QueryRequest) -> QueryResult:
    has_format = body or _FORMAT.search(sql)
    return QueryResult(body, _format_of(sql, request) if has_format else "", result.rows_read(), result.rows_written())


def _format_of(sql: str, request: QueryRequest) -> str:
    clause = _FORMAT.search(sql)
    return clause[1] if clause else request.default_format


def _types(handle: Any, sql: str, request: QueryRequest) -> Mapping[str, str]:
    """Types of a query's columns with the zones that Native of revision 0 leaves out; none if it is no SELECT."""
    try:
        described = handle.query(
            f"DESCRIBE TABLE ({_FORMAT.sub('', sql)})", "JSONCompact", params=dict(request.parameters)
        )
    except (chdb.ChdbError, RuntimeError):
        return {}
    return {row[0]: row[1] for row in json.loads(described.bytes())["data"]}


def _one_statement(sql: bytes) -> str:
    """Check that a text is one statement for a server.  Raises EngineError."""
    try:
        text = sql.decode()
    except UnicodeDecodeError:
        raise EngineError.of(62, "SYNTAX_ERROR", "Syntax error: not UTF-8") from None
    if uses_a_file(sql):
        raise EngineError.of(475, "INTO_OUTFILE_NOT_ALLOWED", "files are for clients: neither INTO OUTFILE nor INFILE")
    if len(statements(text)) > 1:
        raise EngineError.of(62, "SYNTAX_ERROR", "Syntax error: Multi-statements are not allowed")
    return text


def _formatted(handle: Any, sql: str) -> str:
    parameters = {"statement": sql}
    result = handle.query("SELECT formatQuerySingleLine({statement:String})", "TSVRaw", params=parameters)
    return str(result.bytes().decode().removesuffix("\n"))


def _engine_error(message: str, user: str) -> EngineError:
    code = _CODE.search(message)
    # chDB puts words of its own before the engine's message, and knows one user alone
    text = (
        message[code.start() :].replace(f"DB::Exception: {ADMINISTRATOR}: ", f"DB::Exception: {user}: ") if code else ""
    )
    return EngineError(int(code[1]), text) if code else EngineError(1002, message)


def _connect(path: str) -> Any:
    return chdb.connect(path)  # type: ignore[no-untyped-call]  # chdb leaves it untyped
