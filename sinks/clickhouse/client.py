"""Adapter of the warehouse port to ClickHouse, over clickhouse-connect's HTTP client.

Inserts are synchronous and need no deduplication by the server: rows replace each other by key and version.  Values
are bound by the server, never written into SQL.  A client belongs to one thread.
"""

import logging
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import IO, Any, cast
from urllib.parse import unquote, urlsplit

import clickhouse_connect
import urllib3
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DataError, Error, ProgrammingError
from clickhouse_connect.driver.httputil import get_pool_manager_options

from schemas import http
from sinks.warehouse import Misconfigured, Refused, Row, Unavailable, WarehouseError

for _name in ("urllib3", "clickhouse_connect"):  # both log each retry at length; the sinks log it once
    logging.getLogger(_name).setLevel(logging.CRITICAL)

INSERT_SETTINGS = {"async_insert": 0, "insert_deduplicate": 0, "max_partitions_per_insert_block": 0}
"""Settings of every insert: no coalescing; no dropping of a block that was there before, as replicated tables do; and
no bound on partitions, for one insert may hold years of history."""

PIECE_BYTES = 1 << 20
"""Size of the pieces in which an answer is streamed."""

READ_ONLY = {"readonly": 2}
"""Setting under which a query changes neither data nor this setting, but may set others."""

REFUSED = {
    6: "CANNOT_PARSE_TEXT", 26: "CANNOT_PARSE_QUOTED_STRING", 27: "CANNOT_PARSE_INPUT_ASSERTION_FAILED",
    33: "CANNOT_READ_ALL_DATA", 36: "BAD_ARGUMENTS", 38: "CANNOT_PARSE_DATE", 41: "CANNOT_PARSE_DATETIME",
    53: "TYPE_MISMATCH", 69: "ARGUMENT_OUT_OF_BOUND", 70: "CANNOT_CONVERT_TYPE", 72: "CANNOT_PARSE_NUMBER",
    117: "INCORRECT_DATA", 128: "TOO_LARGE_ARRAY_SIZE", 131: "TOO_LARGE_STRING_SIZE",
    190: "SIZES_OF_ARRAYS_DONT_MATCH", 321: "VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE",
    349: "CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN", 376: "CANNOT_PARSE_UUID", 407: "DECIMAL_OVERFLOW",
    467: "CANNOT_PARSE_BOOL", 469: "VIOLATED_CONSTRAINT", 691: "UNKNOWN_ELEMENT_OF_ENUM",
}  # fmt: skip
"""Error codes that mean "these rows are bad".  A code in neither list means "not now": rows are kept, not lost."""

MISCONFIGURED = {
    16: "NO_SUCH_COLUMN_IN_TABLE", 20: "NUMBER_OF_COLUMNS_DOESNT_MATCH", 47: "UNKNOWN_IDENTIFIER", 60: "UNKNOWN_TABLE",
    62: "SYNTAX_ERROR", 81: "UNKNOWN_DATABASE", 115: "UNKNOWN_SETTING",
    192: "UNKNOWN_USER", 193: "WRONG_PASSWORD", 475: "INTO_OUTFILE_NOT_ALLOWED", 497: "ACCESS_DENIED",
    516: "AUTHENTICATION_FAILED",
}  # fmt: skip
READONLY = 164
"""Refusal of a query that writes under READ_ONLY; of anything else, that the server may not write just now."""

_UNWRITABLE = (DataError, TypeError, ValueError, AttributeError, OverflowError, IndexError, struct.error)


_CERTIFICATE_ADVICE = ": set NPS_CLICKHOUSE_CA to the file of the authority that signed it"


@dataclass(frozen=True, slots=True)
class Address:
    """Address of ClickHouse with user and database; its `repr` hides the password."""

    scheme: str
    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str

    @classmethod
    def of(cls, dsn: str) -> "Address":
        """Parse `http[s]://[user[:password]@]host[:port][/database]`.  Raises ValueError."""
        parts = urlsplit(dsn)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
            raise ValueError("NPS_CLICKHOUSE_URL must look like http://user:password@host:8123/nps")
        return cls(
            parts.scheme,
            parts.hostname,
            parts.port or (8443 if parts.scheme == "https" else 8123),
            unquote(parts.username or "default"),
            unquote(parts.password or ""),
            parts.path.strip("/") or "nps",
        )

    @property
    def url(self) -> str:
        """Address of the server alone, without user, password and database."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


class ClickHouse:
    """Connection to ClickHouse, for one thread.  See `connect`, which waits for the server."""

    def __init__(self, address: Address, client: Client) -> None:
        self._address = address
        self._client = client
        self._types: dict[str, dict[str, Any]] = {}

    @property
    def database(self) -> str:
        """Name of the database that unqualified names mean."""
        return self._address.database

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Write these rows, durable on return.  Raises Refused, Unavailable or Misconfigured."""
        if not rows:
            return
        try:
            with _translated(self._address):
                types = self._types.get(table) or self._describe(table)
                self._client.insert(
                    table,
                    rows,
                    column_names=columns,
                    column_types=[types[c] for c in columns],
                    settings=INSERT_SETTINGS,
                )
        except Refused:
            # the table may have changed under us; the next insert looks again
            self._types.pop(table, None)
            raise
        except KeyError as missing:
            self._types.pop(table, None)
            raise Misconfigured(f"table {table} has no column {missing}: run `nps migrate`") from None

    def query(self, sql: str, parameters: Mapping[str, object] | None = None) -> list[Row]:
        """Return the rows of a query whose `{name:Type}` parameters the server binds.  Raises WarehouseError."""
        with _translated(self._address):
            return [tuple(row) for row in self._client.query(sql, parameters=dict(parameters or {})).result_rows]

    def table(self, sql: str, *, writes: bool = False) -> tuple[Sequence[str], list[Row]]:
        """Return column names and rows of a query, for printing; it may change something only with `writes`.

        Raises WarehouseError.
        """
        with _translated(self._address, reads=not writes):
            result = self._client.query(sql, settings={} if writes else READ_ONLY)
            return result.column_names, [tuple(row) for row in result.result_rows]

    def stream(self, sql: str, form: str, *, writes: bool = False) -> Iterator[bytes]:
        """Yield the answer to a query in pieces, in one of ClickHouse's formats.  Raises WarehouseError.

        The server holds the answer back until it is whole, so that none ends in the middle unseen.
        """
        settings = {"wait_end_of_query": 1, **({} if writes else READ_ONLY)}
        with _translated(self._address, reads=not writes):
            answer = cast("IO[bytes]", self._client.raw_stream(sql, settings=settings, fmt=form))
        with closing(answer):
            while True:
                with _translated(self._address):
                    piece = answer.read(PIECE_BYTES)
                if not piece:
                    return
                yield piece

    def command(self, sql: str, parameters: Mapping[str, object] | None = None, *, anywhere: bool = False) -> None:
        """Run one statement that returns nothing; `anywhere` means outside the database.  Raises WarehouseError."""
        with _translated(self._address):
            self._client.raw_query(sql, parameters=dict(parameters or {}), use_database=not anywhere)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _describe(self, table: str) -> dict[str, Any]:
        context = self._client.create_insert_context(table)
        self._types[table] = dict(zip(context.column_names, context.column_types, strict=True))
        return self._types[table]


def connect(dsn: str, *, ca: str = "", within_s: float = 60.0, timeout_s: float = 65.0, suffix: str = "") -> ClickHouse:
    """Wait up to `within_s` seconds for the server, then connect; each request may then take `timeout_s` seconds.

    `ca` is the file of the authority that signed its certificate, empty for those that the machine trusts; `suffix` is
    added to the name of the database.  Raises
    ValueError for a bad address or file, Unavailable when nobody answers in time, Misconfigured for a bad user and for
    a certificate that is not trusted.
    """
    address = Address.of(dsn)
    address = replace(address, database=address.database + suffix)
    pool = _pool(address, ca)
    deadline = time.monotonic() + within_s
    while (problem := _problem(pool, address)) is not None:
        if time.monotonic() >= deadline:
            where = f"{address.host}:{address.port}"
            raise Unavailable(
                f"cannot reach ClickHouse at {where} after {within_s:g} s: start it or set NPS_CLICKHOUSE_URL{problem}"
            )
        time.sleep(0.25)
    with _translated(address):
        client = clickhouse_connect.get_client(
            interface=address.scheme,
            host=address.host,
            port=address.port,
            username=address.user,
            password=address.password,
            pool_mgr=pool,
            send_receive_timeout=int(timeout_s),
            autogenerate_session_id=False,
            form_encode_query_params=True,  # in the URL they would stand in access logs, and be too long
        )
    # named after connecting, because before the first migration it does not exist
    client.database = address.database
    return ClickHouse(address, client)


def _pool(address: Address, ca: str) -> urllib3.PoolManager:
    """Make the pool of connections, through the proxy where there is one."""
    try:
        context = http.tls_context(ca) if address.scheme == "https" else None
    except ValueError as error:
        raise ValueError(f"NPS_CLICKHOUSE_CA: {error}") from error
    options = {"socket_options": get_pool_manager_options()["socket_options"], "maxsize": 8}
    return http.pool_for(address.url, context=context, **options)


def _problem(pool: urllib3.PoolManager, address: Address) -> str | None:
    """Ask the server whether it is there; None when it is, else what is known of why not.

    Raises Misconfigured for a certificate that is not trusted.
    """
    try:
        status = pool.request("GET", f"{address.url}/ping", timeout=2.0).status
    except urllib3.exceptions.HTTPError as error:
        if http.is_about_certificates(error):
            where = f"{address.host}:{address.port}"
            raise Misconfigured(f"ClickHouse at {where}: {http.tls_trouble(error)}{_CERTIFICATE_ADVICE}") from error
        problem = http.tls_trouble(error)
        return f" ({problem})" if problem else ""
    return None if status == 200 else f" (it answered {status})"


@contextmanager
def _translated(address: Address, *, reads: bool = False) -> Iterator[None]:
    where = f"{address.host}:{address.port}"
    try:
        yield
    except WarehouseError:
        raise
    except _UNWRITABLE as error:
        raise Refused(f"these rows do not fit: {type(error).__name__} {_one_line(error)}") from error
    except Error as error:
        if error.code in REFUSED:
            raise Refused(_one_line(error)) from error
        misconfigured = error.code in MISCONFIGURED or (reads and error.code == READONLY)
        if misconfigured or isinstance(error, ProgrammingError):
            raise Misconfigured(f"ClickHouse at {where}: {_one_line(error)}{_advice(error.code)}") from error
        raise Unavailable(f"ClickHouse at {where}: {_one_line(error)}") from error
    except (ClickHouseError, urllib3.exceptions.HTTPError, OSError) as error:
        raise Unavailable(f"ClickHouse at {where}: {_one_line(error)}") from error


def _advice(code: int | None) -> str:
    if code in (16, 60, 81):
        return ": run `nps migrate`"
    if code == READONLY:
        return ": `nps query` only reads without --write, and a user may have no right to write"
    return ": check the user in NPS_CLICKHOUSE_URL" if code in (192, 193, 497, 516) else ""


def _one_line(error: Exception) -> str:
    """Format an error in one line; of a failed connection the cause alone, not the query sent over it."""
    if http.is_about_certificates(error):
        return f"{http.tls_trouble(error)}{_CERTIFICATE_ADVICE}"
    root = _root_cause(error)
    if isinstance(root, OSError | urllib3.exceptions.HTTPError) and getattr(error, "code", None) is None:
        return f"does not answer ({getattr(root, 'strerror', None) or str(root) or type(root).__name__})"[:500]
    return " ".join(str(error).split())[:500]


def _root_cause(error: BaseException) -> BaseException:
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error
