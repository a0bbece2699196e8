"""HTTP server of the local ClickHouse: chDB, the engine in process, behind ClickHouse's HTTP interface.

`python -m sinks.chdb.server --path DIR --port N` serves one data folder to clickhouse-connect, JDBC, curl and BI tools
as a server would: queries with server-side parameters and settings, inserts in any format, compression by HTTP and in
ClickHouse's own blocks, Native at a driver's revision, sessions, external tables, error codes in
`X-ClickHouse-Exception-Code`.  KILL QUERY ends a query by its `query_id`, and so does its client by going away.

It binds to loopback and lets everybody do everything there, until CREATE USER makes a user; then a request has a
user's rights, after its password.  Anywhere else it wants a password of the user `default` in `CHDB_SERVER_PASSWORD`.
A page in a browser may not use it.
"""

import argparse
import asyncio
import hmac
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from aiohttp import web

from sinks.chdb.encodings import MAX_BODY_BYTES, accepted_encoding, compressed_blocks, encoded
from sinks.chdb.engine import ChdbEngine
from sinks.chdb.http_request import Credentials, credentials, is_loopback, query_request
from sinks.chdb.queries import kills_queries
from sinks.chdb.request import ADMINISTRATOR, EngineError, QueryRequest, QueryResult
from sinks.chdb.sqltext import reads_only

ENGINE_THREADS = 8
PASSWORD = "CHDB_SERVER_PASSWORD"

_CONTENT_TYPES = {
    "JSON": "application/json; charset=UTF-8",
    "JSONCompact": "application/json; charset=UTF-8",
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
    "CSV": "text/csv; charset=UTF-8",
}
_STATUS = {516: 403, 497: 403, 60: 404, 81: 404, 47: 404, 159: 408, 241: 500, 252: 500, 48: 501}
_BAD_REQUESTS = {
    6, 26, 27, 33, 36, 38, 40, 41, 43, 53, 62, 70, 72, 89, 115, 117, 131, 164, 216, 271, 372, 373, 374, 456, 457, 475,
}  # fmt: skip
_KILL_AGAIN_S = 0.05


class ChdbServer:
    """HTTP interface of ClickHouse over one engine."""

    def __init__(self, engine: ChdbEngine, password: str | None) -> None:
        self._engine = engine
        self._password = password
        self._threads = ThreadPoolExecutor(ENGINE_THREADS, thread_name_prefix="chdb")
        self._killers = ThreadPoolExecutor(1, thread_name_prefix="chdb-kill")
        self._ending: set[asyncio.Task[None]] = set()

    def app(self) -> web.Application:
        """Make the aiohttp application."""
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_get("/ping", _ok)
        app.router.add_get("/replicas_status", _ok)
        app.router.add_route("*", "/", self._handle)
        return app

    async def _handle(self, request: web.Request) -> web.Response:
        headers = {"X-ClickHouse-Timezone": self._engine.timezone, "X-ClickHouse-Server-Display-Name": "chdb"}
        try:
            user = self._authenticated(request)
            query = await query_request(request, user)
            headers["X-ClickHouse-Query-Id"] = query.query_id
            if not query.sql.strip():
                return web.Response(text="Ok.\n", headers=headers)
            result = await self._run(query)
        except EngineError as error:
            return self._error_response(request, error, headers)
        return _response(request, result, headers)

    async def _run(self, query: QueryRequest) -> QueryResult:
        """Run a query in a thread.  When its client goes away, one that only reads is ended."""
        threads = self._killers if kills_queries(query.sql) else self._threads
        running = threads.submit(self._engine.run, query)
        answer = asyncio.wrap_future(running)
        try:
            return await asyncio.shield(answer)
        except asyncio.CancelledError:
            answer.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
            if reads_only(query.sql):
                task = asyncio.create_task(self._end(running, query.query_id))
                self._ending.add(task)
                task.add_done_callback(self._ending.discard)
            raise

    async def _end(self, running: Future[QueryResult], query_id: str) -> None:
        """Kill a query until it has ended: it may not have begun yet."""
        while not running.cancel() and not running.done():
            await asyncio.get_running_loop().run_in_executor(self._killers, self._engine.kill, query_id)
            await asyncio.sleep(_KILL_AGAIN_S)

    def _authenticated(self, request: web.Request) -> str:
        """Check who asks, and return the user.  Raises EngineError."""
        if "Origin" in request.headers or not (self._password or is_loopback(request.host)):
            raise EngineError.of(497, "ACCESS_DENIED", "web pages may not use this server")
        given = credentials(request)
        if self._engine.access.has_users and given.user != ADMINISTRATOR:
            is_right = self._engine.access.authenticated(given.user, given.password)
        else:
            is_right = self._is_administrator(given)
        if not is_right:
            raise EngineError.of(
                516, "AUTHENTICATION_FAILED", "password is incorrect, or there is no user with such name"
            )
        return given.user if self._engine.access.has_users else ADMINISTRATOR

    def _is_administrator(self, given: Credentials) -> bool:
        return not self._password or hmac.compare_digest(given.password.encode(), self._password.encode())

    def _error_response(self, request: web.Request, error: EngineError, headers: Mapping[str, str]) -> web.Response:
        body = f"{error} (version {self._engine.version})\n".encode()
        return web.Response(
            status=_STATUS.get(error.code, 400 if error.code in _BAD_REQUESTS else 500),
            body=compressed_blocks(body) if request.query.get("compress") == "1" else body,
            headers={**headers, "X-ClickHouse-Exception-Code": str(error.code)},
            content_type="text/plain",
            charset="utf-8",
        )


async def _ok(_: web.Request) -> web.Response:
    return web.Response(text="Ok.\n")


def _response(request: web.Request, result: QueryResult, headers: dict[str, str]) -> web.Response:
    summary = {"read_rows": str(result.read_rows), "written_rows": str(result.written_rows)}
    headers["X-ClickHouse-Summary"] = json.dumps(summary)
    headers["Content-Type"] = _CONTENT_TYPES.get(result.format, "application/octet-stream")
    if result.format:
        headers["X-ClickHouse-Format"] = result.format
    body = compressed_blocks(result.body) if request.query.get("compress") == "1" else result.body
    if body and request.query.get("enable_http_compression") == "1":
        encoding = accepted_encoding(request.headers.get("Accept-Encoding", ""))
        if encoding:
            body = encoded(body, encoding)
            headers["Content-Encoding"] = encoding
    return web.Response(body=body, headers=headers)


async def _serve(engine: ChdbEngine, host: str, port: int, password: str | None) -> None:
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    runner = web.AppRunner(
        ChdbServer(engine, password).app(), auto_decompress=False, access_log=None, handler_cancellation=True
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        address = runner.addresses[0]
        sys.stdout.write(f"chDB {engine.version} is ready at http://{address[0]}:{address[1]}\n")
        sys.stdout.flush()
        await stop.wait()
    finally:
        await runner.cleanup()


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT.  The exit status is 0, or 2 when the server cannot start."""
    parser = argparse.ArgumentParser(prog="python -m sinks.chdb.server", description="chDB over ClickHouse's HTTP")
    parser.add_argument("--path", type=Path, required=True, help="data folder; made when missing")
    parser.add_argument("--port", type=int, required=True, help="0 takes a free one and says which")
    parser.add_argument("--host", default="127.0.0.1", help="address to bind to (default: loopback)")
    options = parser.parse_args(arguments)
    password = os.environ.get(PASSWORD) or None
    try:
        if not (password or is_loopback(options.host)):
            raise OSError(f"{options.host} is not loopback: set {PASSWORD}, or leave --host out")
        engine = ChdbEngine(options.path)
        try:
            asyncio.run(_serve(engine, options.host, options.port, password))
        finally:
            engine.close()
    except OSError as error:
        sys.stderr.write(f"chdb_server: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
