"""ClickHouse's HTTP interface as drivers use it beyond a query: blocks, revisions, ids, sessions, tables they bring."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest
import urllib3

from sinks.chdb.encodings import compressed_blocks, decompressed_blocks
from tests.support.chdb_server import FOR_EVER, HTTP, ask, fetched, running, serving
from tests.support.commands import until

INFO = b"\x01\x00\x02\xff\xff\xff\xff\x00"
VALUES = {
    "UInt64": "number", "Bool": "(number % 2)", "Float64": "(number / 3)", "String": "repeat('ü', number)",
    "FixedString(3)": "'abc'", "Decimal(9, 2)": "number", "Decimal(38, 5)": "number", "Date": "'2026-01-02'",
    "DateTime64(3, 'UTC')": "number", "IPv6": "'::1'", "Enum8('a, (b' = 1)": "'a, (b'",
    "UUID": "'11111111-2222-3333-4444-555555555555'",
    "Nullable(String)": "if(number = 1, NULL, 'x')", "Nullable(Nothing)": "NULL", "IntervalDay": "toIntervalDay(1)",
    "LowCardinality(String)": "toString(number % 2)", "LowCardinality(Nullable(FixedString(2)))": "'ab'",
    "Array(String)": "range(number)", "Array(Array(LowCardinality(String)))": "[range(number), []]",
    "Array(LowCardinality(String))": "[]", "Map(LowCardinality(String), Array(UInt8))": "map('a', range(number))",
    "Tuple(UInt8, LowCardinality(String))": "(1, 'x')", "Tuple(`a b` UInt8, c Nullable(String))": "(1, NULL)",
    "Tuple()": "tuple()", "Point": "(1., 2.)", "Polygon": "[[(1., 2.)], []]", "Nested(a UInt8, b String)": "[(1, 'x')]",
    "SimpleAggregateFunction(max, UInt64)": "number",
}  # fmt: skip
"""A type, and of what its values are cast from the number of the row."""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("chdb")) as (found, _):
        yield found


def native(url: str, columns: str, revision: int = 0, rows: int = 3) -> bytes:
    fields = {"client_protocol_version": str(revision)} if revision else {}
    status, body = fetched(url, f"SELECT {columns} FROM numbers({rows}) FORMAT Native", **fields)
    assert status == 200, body
    return body


def test_answers_come_in_compressed_blocks(url: str) -> None:
    """With `compress=1`, an error too, as ClickHouse's drivers read it."""
    status, body = fetched(url, "SELECT number FROM numbers(1000000)", compress="1")
    assert (status, decompressed_blocks(body)) == (200, b"".join(b"%d\n" % n for n in range(1_000_000)))
    status, body = fetched(url, "SELECT nope", compress="1")
    assert (status, decompressed_blocks(body)[:9]) == (404, b"Code: 47.")


def test_requests_come_in_compressed_blocks(url: str) -> None:
    """With `decompress=1`; a block that was changed on the way is refused, and nothing is written."""
    ask(url, "CREATE TABLE IF NOT EXISTS sent (n UInt32) ENGINE = Memory")
    packed = compressed_blocks(b"".join(b"%d\n" % n for n in range(500_000)))
    spoilt = packed[:-1] + bytes((packed[-1] ^ 1,))
    assert "CHECKSUM_DOESNT_MATCH" in ask(url, "INSERT INTO sent FORMAT TSV", spoilt, decompress="1")[1]
    assert "CANNOT_READ_ALL_DATA" in ask(url, "INSERT INTO sent FORMAT TSV", packed[:-1], decompress="1")[1]
    assert ask(url, "INSERT INTO sent FORMAT TSV", packed, decompress="1") == (200, "")
    assert ask(url, "SELECT count(), sum(n) FROM sent") == (200, "500000\t124999750000\n")


@pytest.mark.parametrize("type_name", VALUES)
def test_native_of_a_revision_has_the_same_columns(url: str, type_name: str) -> None:
    """Of each type: block info, and before each column's data a byte that says that it is stored as usual."""
    tested, marker = f"{VALUES[type_name]}::{type_name} AS a", "number::UInt8 AS b"
    heads, bodies = [], [native(url, tested), native(url, marker)]
    for body, name in zip(bodies, (type_name, "UInt8"), strict=True):
        at = body.index(name.encode()) + len(name.encode())
        heads.append((body[2:at], body[at:]))
    columns = b"".join(head + b"\x00" + data for head, data in heads)
    assert native(url, f"{tested}, {marker}", 54_454) == INFO + b"\x02\x03" + columns
    before = b"".join(head + data for head, data in heads)
    assert native(url, f"{tested}, {marker}", 54_453) == INFO + b"\x02\x03" + before


def test_native_of_a_revision_names_zones(url: str) -> None:
    """Revision 0 leaves them out of a DateTime; a newer one has them, in each of many blocks."""
    columns = "toDateTime(number, 'Asia/Tokyo') AS t, number"
    assert b"Asia/Tokyo" not in native(url, columns)
    body = native(url, columns, 54_460, 200_000)
    assert body.count(b"DateTime('Asia/Tokyo')") == body.count(INFO + b"\x02") > 1


def test_native_of_a_type_without_layout(url: str) -> None:
    """It is refused in a line that says what to do; revision 0 has it."""
    assert native(url, "'{}'::JSON AS a")
    status, text = ask(url, "SELECT '{}'::JSON AS a FORMAT Native", client_protocol_version="54460")
    assert (status, "JSON in Native for a driver: cast it to String" in text) == (501, True)


def test_a_query_is_killed_by_its_id(url: str) -> None:
    """The id that the client gave is in system.processes, nobody else can take it, and KILL QUERY finds it."""
    with ThreadPoolExecutor() as threads:
        endless = threads.submit(ask, url, FOR_EVER, query_id="mine")
        until(lambda: "mine" in running(url), "it runs")
        assert "QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING" in ask(url, "SELECT 1", query_id="mine")[1]
        assert ask(url, "KILL QUERY WHERE query_id = 'other' SYNC") == (200, "")
        assert "finished" in ask(url, "KILL QUERY WHERE query_id = {id:String} SYNC", param_id="mine")[1]
        status, text = endless.result()
    assert (status, "Code: 394" in text) == (500, True)


def test_more_queries_than_threads_can_be_killed(url: str) -> None:
    """Killing does not wait behind those that it is to end."""
    with ThreadPoolExecutor(20) as threads:
        endless = [threads.submit(ask, url, FOR_EVER, query_id=f"many-{n}") for n in range(12)]
        while not all(query.done() for query in endless):
            assert ask(url, "KILL QUERY WHERE query_id LIKE 'many-%' ASYNC")[0] == 200
        assert all("Code: 394" in query.result()[1] for query in endless)


def test_a_client_that_goes_away_ends_its_query(url: str) -> None:
    """No thread and no core is kept busy for nobody."""
    with pytest.raises(urllib3.exceptions.ReadTimeoutError):
        HTTP.request("POST", f"{url}/?query_id=left", body=FOR_EVER.encode(), timeout=1.0)
    until(lambda: "left" not in running(url), "its query has ended")


def test_a_query_ends_after_its_longest_time(url: str) -> None:
    """`max_execution_time`, as drivers set it for a timeout, is ClickHouse's own error."""
    status, text = ask(url, FOR_EVER, max_execution_time="1")
    assert (status, "TIMEOUT_EXCEEDED" in text) == (408, True)


def test_a_session_keeps_its_tables_and_settings(url: str) -> None:
    """For itself alone; what came with a request ends with it there, too."""
    mine = {"session_id": "kept"}
    ask(url, "CREATE TEMPORARY TABLE own (n UInt8)", **mine)
    ask(url, "SET max_block_size = 123", **mine)
    assert ask(url, "INSERT INTO own VALUES (7)", max_block_size="99", database="system", **mine) == (200, "")
    found = "SELECT n, getSetting('max_block_size'), currentDatabase() FROM own"
    assert ask(url, found, **mine) == (200, "7\t123\tdefault\n")
    assert ask(url, found, max_block_size="5", **mine) == (200, "7\t5\tdefault\n")
    assert ask(url, found, method="GET", **mine) == (200, "7\t123\tdefault\n")
    assert "READONLY" in ask(url, "INSERT INTO own VALUES (8)", method="GET", **mine)[1]
    assert ask(url, "INSERT INTO own VALUES (8)", **mine) == (200, "")
    assert "UNKNOWN_TABLE" in ask(url, found)[1]


def test_a_session_ends(url: str) -> None:
    """After its time; then it is not found, or begins anew."""
    ask(url, "CREATE TEMPORARY TABLE own (n UInt8)", session_id="short", session_timeout="0")
    assert "SESSION_NOT_FOUND" in ask(url, "SELECT 1", session_id="short", session_check="1")[1]
    assert "UNKNOWN_TABLE" in ask(url, "SELECT n FROM own", session_id="short")[1]
    assert "INVALID_SESSION_TIMEOUT" in ask(url, "SELECT 1", session_id="long", session_timeout="9999")[1]


def test_one_request_at_a_time_uses_a_session(url: str) -> None:
    """Another one is refused, as by a server."""
    with ThreadPoolExecutor() as threads:
        endless = threads.submit(ask, url, FOR_EVER, query_id="locks", session_id="locked")
        until(lambda: "locks" in running(url), "it runs")
        assert "SESSION_IS_LOCKED" in ask(url, "SELECT 1", session_id="locked")[1]
        ask(url, "KILL QUERY WHERE query_id = 'locks' SYNC")
        assert "Code: 394" in endless.result()[1]
    assert ask(url, "SELECT 1", session_id="locked") == (200, "1\n")


def test_sessions_are_bounded(url: str) -> None:
    """At a hundred a new one ends the idle one that would end first, for drivers leave theirs behind; no other."""
    for number in range(101):
        kept = {"session_id": f"one-of-many-{number}", "session_timeout": "600" if number else "500"}
        assert ask(url, "CREATE TEMPORARY TABLE own (n UInt8)", **kept) == (200, "")
    there = [
        ask(url, "EXISTS TEMPORARY TABLE own", session_id=f"one-of-many-{n}", session_check="1") for n in (0, 1, 100)
    ]
    assert ["SESSION_NOT_FOUND" in there[0][1], *there[1:]] == [True, (200, "1\n"), (200, "1\n")]
    for number in range(101):
        ask(url, "SELECT 1", session_id=f"one-of-many-{number}", session_timeout="0")


def test_a_request_brings_tables(url: str) -> None:
    """Each as a file with its columns; they are gone after it, in a session too."""
    query = "SELECT name, _2 FROM people JOIN places ON id = _1 ORDER BY id"
    fields: Mapping[str, str | tuple[str, bytes]] = {"query": query,
              "people_structure": "id UInt8, name String", "people_format": "CSV",
              "places_types": "UInt8,Enum8('x, y' = 1)", "people": ("people", b'1,"a,b"\n2,c\n'),
              "places": ("places", b"2\tx, y\n1\tx, y\n")}  # fmt: skip
    for session in ("", "?session_id=brought", "?session_id=brought"):
        reply = HTTP.request("POST", f"{url}/{session}", fields=fields)
        assert (reply.status, reply.data) == (200, b"a,b\tx, y\nc\tx, y\n")
    assert "UNKNOWN_TABLE" in ask(url, "SELECT * FROM people", session_id="brought")[1]


def test_files_are_for_clients(url: str) -> None:
    """The server's own are neither read nor written for anybody."""
    for sql in ("SELECT 1 INTO OUTFILE 'x'", "INSERT INTO sent FROM INFILE '/etc/hostname' FORMAT TSV"):
        assert "files are for clients" in ask(url, sql)[1]
