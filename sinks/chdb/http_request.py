"""Reader of requests in ClickHouse's HTTP interface: who asks, and for what."""

import base64
import ipaddress
import re
import uuid
from collections.abc import Mapping
from typing import NamedTuple

from aiohttp import web

from sinks.chdb.encodings import decoded, decompressed_blocks
from sinks.chdb.request import ADMINISTRATOR, EngineError, ExternalTable, QueryRequest, SessionRequest
from sinks.chdb.sessions import MAX_TIMEOUT_S
from sinks.chdb.sqltext import split_arguments

SESSION_TIMEOUT_S = 60.0
"""Time in seconds for which a session is kept that does not say for how long."""

_NOT_SETTINGS = {
    "query", "database", "user", "password", "default_format", "session_id", "session_timeout", "session_check",
    "query_id", "quota_key", "role", "compress", "decompress", "buffer_size", "wait_end_of_query",
    "send_progress_in_http_headers", "http_headers_progress_interval_ms", "enable_http_compression",
    "client_protocol_version", "cancel_http_readonly_queries_on_client_close", "log_comment",
}  # fmt: skip
_NAME = re.compile(r"\w+\Z")
_OF_A_TABLE = ("_format", "_types", "_structure")


class Credentials(NamedTuple):
    """Name and password that a request gives, each empty if it gives none."""

    user: str
    password: str


def credentials(request: web.Request) -> Credentials:
    """Read user and password: of Basic authentication, of ClickHouse's headers, or in the URL."""
    kind, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if kind == "Basic":
        try:
            user, _, password = base64.b64decode(encoded).decode().partition(":")
        except ValueError:
            return Credentials("", "")
        return Credentials(user or ADMINISTRATOR, password)
    return Credentials(
        request.headers.get("X-ClickHouse-User") or request.query.get("user") or ADMINISTRATOR,
        request.headers.get("X-ClickHouse-Key") or request.query.get("password", ""),
    )


async def query_request(request: web.Request, user: str) -> QueryRequest:
    """Read what a user asks for.  Raises EngineError."""
    fields = dict(request.query)
    tables: tuple[ExternalTable, ...] = ()
    if request.content_type == "multipart/form-data":
        body = b""
        files: dict[str, bytes] = {}
        for name, value in (await request.post()).items():
            if isinstance(value, str):
                fields[name] = value
            else:
                files[name] = value.file.read() if isinstance(value, web.FileField) else bytes(value)
        tables = _tables(files, fields)
    else:
        body = decoded(await request.read(), request.headers.get("Content-Encoding", ""))
        body = decompressed_blocks(body) if fields.get("decompress") == "1" else body
    query = fields.get("query", "").encode()
    # ClickHouse answers GET read-only, so that a link cannot change data
    readonly = {"readonly": "2"} if request.method in ("GET", "HEAD") else {}
    return QueryRequest(
        sql=query + b"\n" + body if query and body else query or body,
        database=fields.get("database") or request.headers.get("X-ClickHouse-Database"),
        parameters=_parameters(fields),
        settings=_settings(fields) | readonly,
        default_format=fields.get("default_format") or request.headers.get("X-ClickHouse-Format") or "TabSeparated",
        query_id=fields.get("query_id") or str(uuid.uuid4()),
        user=user,
        roles=tuple(request.query.getall("role", ())),
        session=_session(fields),
        revision=_number(fields, "client_protocol_version", 0),
        tables=tables,
    )


def is_loopback(host: str) -> bool:
    """True for an address or name, with or without a port, of this machine alone."""
    name = host.rsplit(":", 1)[0].strip("[]") if not host.endswith("]") else host.strip("[]")
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _tables(files: Mapping[str, bytes], fields: dict[str, str]) -> tuple[ExternalTable, ...]:
    """Find the tables that come as files, each with its columns and format in fields of its own."""
    tables = []
    for name, data in files.items():
        format_name = fields.pop(f"{name}_format", "TabSeparated")
        structure, types = fields.pop(f"{name}_structure", ""), fields.pop(f"{name}_types", "")
        if not _NAME.match(name) or not _NAME.match(format_name):
            raise EngineError.of(36, "BAD_ARGUMENTS", f"bad name or format of the external table {name!r}")
        if not (structure or types):
            raise EngineError.of(
                36, "BAD_ARGUMENTS", f"external table {name}: {name}_structure or {name}_types is missing"
            )
        numbered = (f"_{number} {kind}" for number, kind in enumerate(split_arguments(f"({types})")[1], 1))
        tables.append(ExternalTable(name, structure or ", ".join(numbered), format_name, data))
    return tuple(tables)


def _parameters(fields: Mapping[str, str]) -> dict[str, str]:
    parameters = {name[len("param_") :]: value for name, value in fields.items() if name.startswith("param_")}
    for name in parameters:
        if not _NAME.match(name):
            raise EngineError.of(457, "BAD_QUERY_PARAMETER", f"bad parameter name {name!r}")
    return parameters


def _settings(fields: Mapping[str, str]) -> dict[str, str]:
    settings = {k: v for k, v in fields.items() if k not in _NOT_SETTINGS and not k.startswith("param_")}
    for name in settings:
        if not _NAME.match(name):
            raise EngineError.of(115, "UNKNOWN_SETTING", f"Unknown setting {name!r}")
    return settings


def _session(fields: Mapping[str, str]) -> SessionRequest | None:
    name = fields.get("session_id")
    if not name:
        return None
    timeout_s = _number(fields, "session_timeout", int(SESSION_TIMEOUT_S))
    if timeout_s > MAX_TIMEOUT_S:
        raise EngineError.of(374, "INVALID_SESSION_TIMEOUT", f"session_timeout is more than {MAX_TIMEOUT_S:g} seconds")
    return SessionRequest(name, timeout_s, fields.get("session_check") == "1")


def _number(fields: Mapping[str, str], name: str, default: int) -> int:
    text = fields.get(name, "")
    if text and not (text.isascii() and text.isdigit()):
        raise EngineError.of(72, "CANNOT_PARSE_NUMBER", f"{name} is no number: {text!r}")
    return int(text or default)
