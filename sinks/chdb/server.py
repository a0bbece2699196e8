"""HTTP server of the local ClickHouse: chDB, the engine in process, behind ClickHouse's HTTP interface.

`python -m sinks.chdb.server --path DIR --port N` serves one data folder to clickhouse-connect, curl and BI tools as a
server would: queries with server-side parameters and settings, inserts in any format, lz4, zstd and gzip both ways,
error codes in `X-ClickHouse-Exception-Code`.

It has no users or grants, and no state between requests (`session_id` is accepted and ignored).  It binds to loopback;
anywhere else it wants a password in `CHDB_SERVER_PASSWORD`.  A page in a browser may not use it.
"""

import argparse
import asyncio
import base64
import gzip
import hmac
import ipaddress
import json
import os
import re
import signal
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import lz4.frame  # type: ignore[import-untyped]  # ships no stubs
from aiohttp import web
from backports import zstd

from sinks.chdb.engine import ChdbEngine, EngineError, QueryRequest, QueryResult

MAX_BODY_BYTES = 1 << 30
ENGINE_THREADS = 8
PASSWORD = "CHDB_SERVER_PASSWORD"

_NOT_SETTINGS = {
    "query", "database", "user", "password", "default_format", "session_id", "session_timeout", "session_check",
    "query_id", "quota_key", "role", "compress", "decompress", "buffer_size", "wait_end_of_query",
    "send_progress_in_http_headers", "http_headers_progress_interval_ms", "enable_http_compression",
    "client_protocol_version", "cancel_http_readonly_queries_on_client_close",
}  # fmt: skip
_NAME = re.compile(r"\w+\Z")
_CONTENT_TYPES = {
    "JSON": "application/json; charset=UTF-8",
    "JSONCompact": "application/json; charset=UTF-8",
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
    "CSV": "text/csv; charset=UTF-8",
}
_STATUS = {516: 403, 497: 403, 60: 404, 81: 404, 47: 404, 159: 408, 241: 500, 252: 500, 48: 501}
_BAD_REQUESTS = {6, 26, 27, 33, 36, 38, 41, 43, 53, 62, 70, 72, 115, 117, 164, 456, 457, 475}


class ChdbServer:
    """HTTP interface of ClickHouse over one engine."""

    def __init__(self, engine: ChdbEngine, password: str | None) -> None:
        self._engine = engine
        self._password = password
        self._threads = ThreadPoolExecutor(ENGINE_THREADS, thread_name_prefix="chdb")

    def app(self) -> web.Application:
        """Make the aiohttp application."""
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_get("/ping", _ok)
        app.router.add_get("/replicas_status", _ok)
        app.router.add_route("*", "/", self._handle)
        return app

    async def _handle(self, request: web.Request) -> web.Response:
        query_id = request.query.get("query_id") or str(uuid.uuid4())
        headers = {
            "X-ClickHouse-Query-Id": query_id,
            "X-ClickHouse-Timezone": self._engine.timezone,
            "X-ClickHouse-Server-Display-Name": "chdb",
        }
        try:
            self._check_access(request)
            query = await _query_request(request)
            if not query.sql.strip():
                return web.Response(text="Ok.\n", headers=headers)
            result = await asyncio.get_running_loop().run_in_executor(self._threads, self._engine.run, query)
        except EngineError as error:
            return self._error_response(error, headers)
        return _response(request, result, headers)

    def _check_access(self, request: web.Request) -> None:
        if "Origin" in request.headers or not (self._password or _is_loopback(request.host)):
            raise EngineError(497, "Code: 497. DB::Exception: web pages may not use this server. (ACCESS_DENIED)")
        if self._password and not hmac.compare_digest(_password_given(request).encode(), self._password.encode()):
            raise EngineError(516, "Code: 516. DB::Exception: password is incorrect. (AUTHENTICATION_FAILED)")

    def _error_response(self, error: EngineError, headers: Mapping[str, str]) -> web.Response:
        return web.Response(
            status=_STATUS.get(error.code, 400 if error.code in _BAD_REQUESTS else 500),
            text=f"{error} (version {self._engine.version})\n",
            headers={**headers, "X-ClickHouse-Exception-Code": str(error.code)},
        )


async def _ok(_: web.Request) -> web.Response:
    return web.Response(text="Ok.\n")


async def _query_request(request: web.Request) -> QueryRequest:
    fields = dict(request.query)
    if request.content_type == "multipart/form-data":
        form = await request.post()
        if any(not isinstance(value, str) for value in form.values()):
            raise EngineError(48, "Code: 48. DB::Exception: external data is not supported. (NOT_IMPLEMENTED)")
        fields |= {name: value for name, value in form.items() if isinstance(value, str)}
        body = b""
    else:
        body = _decompressed(await request.read(), request.headers.get("Content-Encoding", ""))
    query = fields.get("query", "").encode()
    # ClickHouse answers GET read-only, so that a link cannot change data
    readonly = {"readonly": "2"} if request.method in ("GET", "HEAD") else {}
    return QueryRequest(
        sql=query + b"\n" + body if query and body else query or body,
        database=fields.get("database") or request.headers.get("X-ClickHouse-Database"),
        parameters=_parameters(fields),
        settings=_settings(fields) | readonly,
        default_format=fields.get("default_format") or request.headers.get("X-ClickHouse-Format") or "TabSeparated",
    )


def _parameters(fields: Mapping[str, str]) -> dict[str, str]:
    parameters = {name[len("param_") :]: value for name, value in fields.items() if name.startswith("param_")}
    for name in parameters:
        if not _NAME.match(name):
            raise EngineError(457, f"Code: 457. DB::Exception: bad parameter name {name!r}. (BAD_QUERY_PARAMETER)")
    return parameters


def _settings(fields: Mapping[str, str]) -> dict[str, str]:
    if fields.get("compress") == "1" or fields.get("decompress") == "1":
        raise EngineError(48, "Code: 48. DB::Exception: use Accept-Encoding and Content-Encoding. (NOT_IMPLEMENTED)")
    settings = {k: v for k, v in fields.items() if k not in _NOT_SETTINGS and not k.startswith("param_")}
    for name in settings:
        if not _NAME.match(name):
            raise EngineError(115, f"Code: 115. DB::Exception: Unknown setting {name!r}. (UNKNOWN_NAME)")
    return settings


def _response(request: web.Request, result: QueryResult, headers: dict[str, str]) -> web.Response:
    summary = {"read_rows": str(result.read_rows), "written_rows": str(result.written_rows)}
    headers["X-ClickHouse-Summary"] = json.dumps(summary)
    headers["Content-Type"] = _CONTENT_TYPES.get(result.format, "application/octet-stream")
    if result.format:
        headers["X-ClickHouse-Format"] = result.format
    body = result.body
    if body and request.query.get("enable_http_compression") == "1":
        encoding = _accepted_encoding(request.headers.get("Accept-Encoding", ""))
        if encoding:
            body = _COMPRESSORS[encoding](body)
            headers["Content-Encoding"] = encoding
    return web.Response(body=body, headers=headers)


def _accepted_encoding(header: str) -> str | None:
    offered = {part.split(";")[0].strip() for part in header.split(",")}
    return next((encoding for encoding in _COMPRESSORS if encoding in offered), None)


def _decompressed(body: bytes, encoding: str) -> bytes:
    if not encoding or encoding == "identity":
        return body
    try:
        return bytes(_DECOMPRESSORS[encoding](body))
    except KeyError:
        known = ", ".join(_DECOMPRESSORS)
        raise EngineError(48, f"Code: 48. DB::Exception: use {known}, not {encoding}. (NOT_IMPLEMENTED)") from None
    except (RuntimeError, zstd.ZstdError, OSError, EOFError) as error:
        raise EngineError(271, f"Code: 271. DB::Exception: bad {encoding} body: {error} (CANNOT_DECOMPRESS)") from None


def _password_given(request: web.Request) -> str:
    kind, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if kind == "Basic":
        try:
            return base64.b64decode(encoded).decode().partition(":")[2]
        except ValueError:
            return ""
    return request.headers.get("X-ClickHouse-Key") or request.query.get("password", "")


def _is_loopback(host: str) -> bool:
    name = host.rsplit(":", 1)[0].strip("[]") if not host.endswith("]") else host.strip("[]")
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _decompress_lz4_frames(body: bytes) -> bytes:
    """Decompress every frame: drivers send one a block of rows, and lz4.frame.decompress stops after the first."""
    parts: list[bytes] = []
    while body:
        frame = lz4.frame.LZ4FrameDecompressor()
        parts.append(frame.decompress(body))
        if not frame.eof:
            raise EOFError("the last frame is cut short")
        body = frame.unused_data or b""
    return b"".join(parts)


_COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "lz4": lz4.frame.compress,
    "zstd": zstd.compress,
    "gzip": lambda body: gzip.compress(body, compresslevel=1),
}
_DECOMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "lz4": _decompress_lz4_frames,
    "zstd": zstd.decompress,
    "gzip": gzip.decompress,
}


async def _serve(engine: ChdbEngine, host: str, port: int, password: str | None) -> None:
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    runner = web.AppRunner(ChdbServer(engine, password).app(), auto_decompress=False, access_log=None)
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
        if not (password or _is_loopback(options.host)):
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
