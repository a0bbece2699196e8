"""Clients that people have connect to the local ClickHouse as to a server: each reads, writes, sees errors, cancels.

What a client of another language does is in `tests/support/clients`; a change of our server that one of them would
notice is seen here.
"""

import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import clickhouse_connect
import pandas as pd
import pytest
import sqlalchemy
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError
from sqlalchemy.exc import DatabaseError as SqlalchemyError

from streams.local.servers import LocalServer
from tests.support.chdb_server import FOR_EVER, ask, running
from tests.support.client_programs import seen_by
from tests.support.commands import until

COLUMNS = {
    "id": "UInt64", "text": "String", "low": "LowCardinality(String)", "maybe": "Nullable(Int32)",
    "at": "DateTime64(3, 'UTC')", "list": "Array(String)", "dims": "Map(String, String)", "yes": "Bool",
    "ratio": "Float64", "pair": "Tuple(UInt8, String)",
}  # fmt: skip
ROWS: list[list[Any]] = [
    [1, "a", "x", None, 1767323045678, ["p", "q"], {"country": "BR"}, True, 0.25, [7, "t"]],
    [2, "ü'", "y", -5, 0, [], {}, False, -1e300, [0, ""]],
]
"""Rows as JSON has them; the instant is in milliseconds."""
BIG = [1_000_000, 999_999_000_000]
"""Rows of the big answer, and the sum of its numbers and of the texts that say them."""


@dataclass(frozen=True)
class Place:
    """A database with the table `kinds`, which has a column of each type that ours have, and a view of it."""

    url: str
    database: str

    @property
    def host_and_port(self) -> str:
        """As drivers want it that know the protocol."""
        return urlsplit(self.url).netloc

    def connect(self) -> Client:
        """clickhouse-connect's own client."""
        where = urlsplit(self.url)
        return clickhouse_connect.get_client(host=where.hostname, port=where.port or 0, database=self.database)


@pytest.fixture
def place(server: LocalServer, request: pytest.FixtureRequest) -> Place:
    name = "".join(letter if letter.isalnum() else "_" for letter in request.node.name)
    columns = ", ".join(f"{column} {kind}" for column, kind in COLUMNS.items())
    values = ("(1, 'a', 'x', NULL, '2026-01-02 03:04:05.678', ['p', 'q'], {'country': 'BR'}, true, 0.25, (7, 't')), "
              "(2, 'ü\\'', 'y', -5, 0, [], {}, false, -1e300, (0, ''))")  # fmt: skip
    assert ask(server.address, f"CREATE DATABASE {name}") == (200, "")
    for sql in (f"CREATE TABLE kinds ({columns}) ENGINE = MergeTree ORDER BY id COMMENT 'one of each'",
                f"INSERT INTO kinds VALUES {values}", "CREATE VIEW seen AS SELECT * FROM kinds"):  # fmt: skip
        assert ask(server.address, sql, database=name) == (200, "")
    return Place(server.address, name)


@pytest.fixture
def client(place: Place) -> Iterator[Client]:
    with closing(place.connect()) as made:
        yield made


def instant(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def expected() -> list[tuple[object, ...]]:
    """The rows as Python's drivers give them."""
    return [(*row[:4], instant(row[4]), *row[5:9], tuple(row[9])) for row in ROWS]


def inserted(place: Place) -> str:
    found = ask(place.url, "SELECT count(), uniqExact(text), any(dims['k']), any(list) FROM kinds WHERE id >= 10",
                database=place.database)  # fmt: skip
    return found[1]


# -- Python ----------------------------------------------------------------------------------------------------------


def test_clickhouse_connect(client: Client, place: Place) -> None:
    """Every type there and back, a big answer, an error with its code, temporary tables of its session."""
    found = client.query("SELECT * FROM kinds ORDER BY id", column_formats={"at": "native"})
    assert [(*row[:4], row[4].replace(tzinfo=UTC), *row[5:]) for row in found.result_rows] == expected()
    assert [kind.name for kind in found.column_types] == list(COLUMNS.values())
    client.insert("kinds", [[10 + n, *found.result_rows[0][1:]] for n in range(3)], column_names=list(COLUMNS))
    assert client.query("SELECT count() FROM kinds WHERE text = 'a'").result_rows == [(4,)]
    big = client.query("SELECT number, toString(number) FROM numbers(1000000)").result_columns
    assert [len(big[0]), sum(big[0]) + sum(map(int, big[1]))] == BIG
    with pytest.raises(DatabaseError) as error:
        client.query("SELECT nope FROM kinds")
    assert error.value.code == 47
    client.command("CREATE TEMPORARY TABLE own (n UInt8)")
    client.insert("own", [[7]], column_names=["n"])
    assert client.query("SELECT n FROM own").result_rows == [(7,)]


def test_clickhouse_connect_cancels(client: Client, place: Place) -> None:
    """From another connection, by the id that it gave the query; the error says that it was cancelled."""
    errors = []

    def read() -> None:
        with pytest.raises(DatabaseError) as error:
            client.query(FOR_EVER, settings={"query_id": "by-connect"})
        errors.append(error.value.code)

    reader = threading.Thread(target=read)
    reader.start()
    until(lambda: "by-connect" in running(place.url), "it runs")
    with closing(place.connect()) as other:
        other.command("KILL QUERY WHERE query_id = 'by-connect' SYNC")
    reader.join()
    assert errors == [394]


def test_pandas(client: Client, place: Place) -> None:
    """A frame of every type is read and written; a million rows make one, too."""
    frame = client.query_df("SELECT * FROM kinds ORDER BY id")
    assert list(frame.columns) == list(COLUMNS)
    assert frame["at"].dt.tz_localize(None).tolist() == [pd.Timestamp(row[4], unit="ms") for row in ROWS]
    frame["id"] += 9
    client.insert_df("kinds", frame)
    again = client.query_df("SELECT * FROM kinds WHERE id >= 10 ORDER BY id")
    pd.testing.assert_frame_equal(again, frame)
    big = client.query_df("SELECT number, toString(number) AS text FROM numbers(1000000)")
    assert [len(big), int(big["number"].sum() + big["text"].astype("int64").sum())] == BIG


def test_sqlalchemy(place: Place) -> None:
    """Its inspector finds tables, views with their text, and columns; a reflected table is read and written."""
    engine = sqlalchemy.create_engine(f"clickhousedb://{place.host_and_port}/{place.database}")
    inspector = sqlalchemy.inspect(engine)
    assert place.database in inspector.get_schema_names()
    # the dialect asks SHOW TABLES, which has views, too
    assert (inspector.get_table_names(), inspector.get_view_names()) == (["kinds", "seen"], ["seen"])
    assert [column["name"] for column in inspector.get_columns("seen")] == list(COLUMNS)
    table = sqlalchemy.Table("kinds", sqlalchemy.MetaData(), autoload_with=engine)
    with engine.begin() as connection:
        # the dialect knows no text of any view (get_view_definition); the server has it where SQL's standard says
        views = "SELECT view_definition FROM information_schema.views WHERE table_name = 'seen'"
        assert str(connection.execute(sqlalchemy.text(views)).scalar()).startswith("SELECT ")
        rows = connection.execute(sqlalchemy.select(table).order_by(table.c.id)).fetchall()
        assert [(*row[:4], row[4].replace(tzinfo=UTC), *row[5:]) for row in rows] == expected()
        connection.execute(table.insert().values(id=10, text="it's", list=["a", "b"]))
        assert inserted(place) == "1\t1\t\t['a','b']\n"
        numbers = connection.execute(sqlalchemy.text("SELECT number, toString(number) FROM numbers(1000000)"))
        big = numbers.fetchall()
        assert [len(big), sum(number + int(text) for number, text in big)] == BIG
        with pytest.raises(SqlalchemyError, match=r"code: 47"):
            connection.execute(sqlalchemy.text("SELECT nope FROM kinds"))
    engine.dispose()


# -- other languages -------------------------------------------------------------------------------------------------


@pytest.mark.client("jdbc")
def test_jdbc(place: Place) -> None:
    """By its default settings, with the metadata that Metabase and DBeaver ask for; `cancel` kills by the id."""
    seen = seen_by("jdbc", f"jdbc:clickhouse://{place.host_and_port}/{place.database}")
    assert (seen["row"], seen["big"], seen["error"]) == (ROWS, [BIG], [[47, True]])
    assert (seen["inserted"], inserted(place)) == ([3], "3\t1\tv\t['a','b\\'']\n")
    assert seen["cancelled"] == [394]
    assert seen["late"] == [[0, 159, "ServerException"], [1, 0, "TimeoutException"]]
    assert (seen["product"], seen["keys"]) == (["ClickHouse"], [True])
    assert seen["tables"] == [[["kinds", "TABLE"], ["seen", "VIEW"]]]
    assert seen["columns"] == [COLUMNS]
    assert {place.database, "system"} <= set(seen["schemas"][0])  # type: ignore[call-overload]
    until(lambda: not running(place.url), "what timed out runs no more")


@pytest.mark.client("go")
@pytest.mark.parametrize("compression", ["none", "gzip", "lz4", "zstd"])
def test_clickhouse_go(place: Place, compression: str) -> None:
    """Native at its revision, with zones, by each compression; a context that ends ends the query."""
    seen = seen_by("go", place.host_and_port, place.database, compression)
    assert (seen["row"], seen["big"], seen["error"]) == (ROWS, [BIG], [47])
    assert seen["zone"] == [[1767323045, "Asia/Tokyo"]]
    assert (seen["inserted"], inserted(place)) == ([3], "3\t1\tv\t['a','b\\'']\n")
    assert (seen["cancelled"], seen["running"]) == ([True], [0])


@pytest.mark.client("node")
@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_clickhouse_js(place: Place, compression: str) -> None:
    """Streams, parameters, a session, and a signal that aborts a query."""
    seen = seen_by("node", place.url, place.database, compression)
    assert (seen["ping"], seen["row"], seen["big"]) == ([True], ROWS, [BIG])
    assert seen["error"] == [[47, "UNKNOWN_IDENTIFIER"]]
    assert (seen["inserted"], inserted(place)) == ([3], "3\t1\tv\t['a','b\\'']\n")
    assert (seen["cancelled"], seen["running"]) == (["The user aborted a request."], [0])
    assert seen["session"] == [[{"n": 7}]]
