"""Request to the local ClickHouse, its result and its error, as HTTP server and engine pass them to each other."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

ADMINISTRATOR = "default"
"""User that may do everything."""


class EngineError(Exception):
    """Error of the engine, or of the server in its name; `code` is ClickHouse's own number."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code

    @classmethod
    def of(cls, code: int, name: str, text: str) -> Self:
        """Make an error that reads as ClickHouse's own: its number, the text, its name."""
        return cls(code, f"Code: {code}. DB::Exception: {text}. ({name})")


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """Session of a request: kept for `timeout_s` seconds after it, and there already if it is `known`."""

    name: str
    timeout_s: float
    known: bool


@dataclass(frozen=True, slots=True)
class ExternalTable:
    """Table that a request brings with it: columns as in CREATE TABLE, and rows in a format."""

    name: str
    structure: str
    format: str
    data: bytes


@dataclass(frozen=True, slots=True)
class QueryRequest:
    """Request to the engine; `database` is None for the default one, `revision` that of Native, 0 for none."""

    sql: bytes
    database: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    default_format: str = "TabSeparated"
    query_id: str = ""
    user: str = ADMINISTRATOR
    roles: tuple[str, ...] = ()
    session: SessionRequest | None = None
    revision: int = 0
    tables: tuple[ExternalTable, ...] = ()


@dataclass(frozen=True, slots=True)
class QueryResult:
    """Result of a request: the bytes in `format`, or none, and the numbers of rows read and written."""

    body: bytes
    format: str
    read_rows: int
    written_rows: int
