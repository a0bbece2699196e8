"""The local ClickHouse answers as a server would: to clickhouse-connect, to plain HTTP, and to signals."""

import gzip
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError
from urllib3.util import make_headers

from tests.support.chdb_server import HTTP, ask, serving
from tests.support.commands import BOUND_S


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("chdb")) as (found, _):
        yield found


@contextmanager
def client(url: str, **options: object) -> Iterator[Client]:
    where = urlsplit(url)
    made = clickhouse_connect.get_client(host=where.hostname, port=where.port, **options)  # type: ignore[arg-type]
    try:
        yield made
    finally:
        made.close()


@pytest.mark.parametrize("compress", ["lz4", "zstd", "gzip", False])
def test_native_inserts_and_queries_pass_with_every_compression(url: str, compress: str | bool) -> None:
    """What clickhouse-connect inserts, in many blocks, it reads back, whatever compression was negotiated."""
    with client(url, compress=compress) as there:
        there.command("DROP TABLE IF EXISTS packed")
        there.command("CREATE TABLE packed (n UInt32, words Array(String), m Map(String, String)) ENGINE=Memory")
        rows = [(n, ["all", f"s={n}"], {"k": "it's\t;\n"}) for n in range(100_000)]
        there.insert("packed", rows, column_names=["n", "words", "m"])
        assert there.query("SELECT * FROM packed ORDER BY n").result_rows == rows


def test_parameters_are_bound_by_the_server(url: str) -> None:
    """Quotes, tabs, backslashes and nulls pass through parameters unharmed, and cannot leave them."""
    nasty = "it's a\ttab \\ and '; DROP TABLE x"
    with client(url) as there:
        found = there.query("SELECT {a:String}, {b:Int64}, {c:Array(String)}, {d:Nullable(String)}",
                            parameters={"a": nasty, "b": -7, "c": ["x", "y'z"], "d": None})  # fmt: skip
    assert found.result_rows == [(nasty, -7, ["x", "y'z"], None)]


def test_settings_end_with_their_request(url: str) -> None:
    """A setting holds for the request that carries it and for no other."""
    with client(url) as there:
        one = there.query("SELECT getSetting('max_threads')", settings={"max_threads": 1}).result_rows
        other = there.query("SELECT getSetting('max_block_size')", settings={"max_threads": 2}).result_rows
        after = there.query("SELECT changed FROM system.settings WHERE name = 'max_threads'").result_rows
    assert (one, other[0][0] > 2, after) == ([(1,)], True, [(0,)])


@pytest.mark.parametrize(
    ("sql", "code", "status"),
    [("SELECT nope", "47", 404), ("SELEKT 1", "62", 400), ("SELECT * FROM no_table", "60", 404),
     ("SELECT 1; SELECT 2", "62", 400), ("SELECT throwIf(1)", "395", 500)],
)  # fmt: skip
def test_errors_carry_their_code(url: str, sql: str, code: str, status: int) -> None:
    """An error has ClickHouse's number in its header, its name in its text, and a telling status."""
    reply = HTTP.request("POST", url, body=sql.encode())
    assert (reply.headers["X-ClickHouse-Exception-Code"], reply.status) == (code, status)
    assert reply.data.startswith(f"Code: {code}. DB::Exception:".encode())
    with client(url) as there, pytest.raises(DatabaseError) as error:
        there.command(sql)
    assert error.value.code == int(code)


def test_a_refused_insert_writes_nothing(url: str) -> None:
    """A row that does not parse refuses its whole insert with a parse error."""
    ask(url, "CREATE TABLE IF NOT EXISTS numbers_only (n UInt8) ENGINE=MergeTree ORDER BY n")
    status, text = ask(url, "INSERT INTO numbers_only FORMAT TSV", b"1\nnot a number\n")
    assert status == 400
    assert "CANNOT_PARSE" in text
    assert ask(url, "SELECT count() FROM numbers_only") == (200, "0\n")


def test_an_insert_that_fails_while_it_is_stored_is_no_success(url: str) -> None:
    """Rows that parse and then break a constraint are refused, as by a server; none of them is there."""
    with client(url) as there:
        there.command("DROP TABLE IF EXISTS strict")
        there.command("CREATE TABLE strict (n UInt8, CONSTRAINT small CHECK n < 9) ENGINE = MergeTree ORDER BY n")
        with pytest.raises(DatabaseError) as error:
            there.insert("strict", [[1], [9]], column_names=["n"])
        assert error.value.code == 469
        assert there.query("SELECT count() FROM strict").result_rows == [(0,)]


def test_plain_http_works_as_with_curl(url: str) -> None:
    """Ping, query in the URL, data in the body, formats and a compressed body work without a driver."""
    assert HTTP.request("GET", f"{url}/ping").data == b"Ok.\n"
    assert ask(url, method="GET") == (200, "Ok.\n")
    assert ask(url, "SELECT 1, 'a'", method="GET") == (200, "1\ta\n")
    assert ask(url, "SELECT 1 AS x FORMAT JSONEachRow") == (200, '{"x":1}\n')
    assert ask(url, "SELECT 1 AS x", default_format="CSVWithNames") == (200, '"x"\n1\n')
    ask(url, "CREATE TABLE IF NOT EXISTS posted (a UInt8, b String) ENGINE=MergeTree ORDER BY a")
    assert ask(url, "", b'INSERT INTO posted (a, b) FORMAT JSONEachRow {"a":1,"b":"FORMAT; x"}') == (200, "")
    assert ask(url, "", b"INSERT INTO posted VALUES (2, 'two')") == (200, "")
    packed = gzip.compress(b"3,three\n")
    HTTP.request("POST", f"{url}/?{urlencode({'query': 'INSERT INTO posted FORMAT CSV'})}", body=packed,
                 headers={"Content-Encoding": "gzip"})  # fmt: skip
    assert ask(url, "SELECT * FROM posted ORDER BY a") == (200, "1\tFORMAT; x\n2\ttwo\n3\tthree\n")


def test_a_link_cannot_change_data(url: str) -> None:
    """GET is read-only, and neither a page in a browser nor a rebound name gets in."""
    status, text = ask(url, "CREATE DATABASE sneaky", method="GET")
    assert (status, "READONLY" in text) == (400, True)
    for headers in ({"Origin": "https://elsewhere.example"}, {"Host": "rebound.example:8123"}):
        assert HTTP.request("POST", url, body=b"SELECT 1", headers=headers).status == 403


def test_data_outlives_the_server_and_signals_end_it_cleanly(tmp_path: Path) -> None:
    """Both signals stop the server with status 0; the folder holds its rows; a second server on it is refused."""
    with serving(tmp_path) as (url, server):
        ask(url, "CREATE TABLE kept (n UInt8) ENGINE=MergeTree ORDER BY n")
        ask(url, "INSERT INTO kept FORMAT TSV", b"7\n")
        command = [sys.executable, "-m", "sinks.chdb.server", "--path", str(tmp_path), "--port", "0"]
        second = subprocess.run(command, capture_output=True, text=True, timeout=BOUND_S)
        assert (second.returncode, f"cannot open {tmp_path}: another" in second.stderr) == (2, True)
        server.send_signal(signal.SIGTERM)
        assert server.wait(BOUND_S) == 0
    with serving(tmp_path) as (url, server):
        assert ask(url, "SELECT n FROM kept") == (200, "7\n")
        server.send_signal(signal.SIGINT)
        assert server.wait(BOUND_S) == 0


def test_beyond_loopback_a_password_is_needed(tmp_path: Path) -> None:
    """Without a password only loopback may be bound; with one, every request must bring it."""
    command = [sys.executable, "-m", "sinks.chdb.server", "--path", str(tmp_path), "--port", "0", "--host", "0.0.0.0"]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=BOUND_S)
    assert (refused.returncode, "CHDB_SERVER_PASSWORD" in refused.stderr) == (2, True)
    with serving(tmp_path, CHDB_SERVER_PASSWORD="s3cret") as (url, _):
        assert ask(url, "SELECT 1")[0] == 403
        allowed = HTTP.request("POST", url, body=b"SELECT 1", headers=make_headers(basic_auth="default:s3cret"))
        assert (allowed.status, allowed.data) == (200, b"1\n")
        with client(url, username="default", password="s3cret") as there:
            assert there.query("SELECT 1").result_rows == [(1,)]
