"""Where a statement of SQL ends, where posted data starts, what a statement does and which names it has."""

import pytest

from sinks.chdb.sqltext import (
    first_words,
    insert_with_data,
    qualified_targets,
    reads_only,
    replaced_table,
    replaced_words,
    split_arguments,
    statements,
    uses_a_file,
)


def test_statements_end_at_semicolons_of_their_own() -> None:
    """Semicolons in strings, names and comments end nothing; comments alone are no statement."""
    text = "-- one; two\nSELECT ';', 'it''s; \\';' ; /* a;b */ ; SELECT `x;y` AS \"z;\" -- last;\n"
    assert statements(text) == ["-- one; two\nSELECT ';', 'it''s; \\';'", 'SELECT `x;y` AS "z;" -- last;']
    assert statements(" ;; -- nothing") == []


@pytest.mark.parametrize(
    ("query", "head", "kind", "data"),
    [
        (b"INSERT INTO t (a, b) FORMAT Native\n\x01\x02\n", "INSERT INTO t (a, b) ", "Native", b"\x01\x02\n"),
        (b"INSERT INTO t FORMAT TSV\n\n1", "INSERT INTO t ", "TSV", b"\n1"),
        (b'insert into "FORMAT" (`format`) format JSONEachRow {"a":"FORMAT"}', 'insert into "FORMAT" (`format`) ',
         "JSONEachRow", b'{"a":"FORMAT"}'),
        (b"/* FORMAT */ INSERT INTO t SETTINGS x='FORMAT y' FORMAT CSV",
         "/* FORMAT */ INSERT INTO t SETTINGS x='FORMAT y' ", "CSV", b""),
    ],
)  # fmt: skip
def test_posted_data_starts_after_the_format(query: bytes, head: str, kind: str, data: bytes) -> None:
    """The statement ends before FORMAT; one line end at most belongs to it, the rest is data."""
    found = insert_with_data(query)
    assert found is not None
    assert (found.head, found.format, bytes(found.data)) == (head, kind, data)


@pytest.mark.parametrize(
    "query",
    [b"SELECT 1 FORMAT TSV", b"INSERT INTO t SELECT 1 FORMAT TSV", b"INSERT INTO t VALUES (1)", b"", b"INSERT INTO t",
     b"INSERT INTO t FROM INFILE 'x' FORMAT CSV", b"WITH 1 AS x SELECT x FORMAT CSV", b"INSERT INTO t FORMAT"],
)  # fmt: skip
def test_other_statements_carry_no_data(query: bytes) -> None:
    """Only INSERT … FORMAT is followed by data."""
    assert insert_with_data(query) is None


@pytest.mark.parametrize(
    ("sql", "reads"),
    [("-- DROP\nselect 1", True), ("WITH 1 AS x SELECT x", True), ("(SELECT 1) UNION ALL SELECT 2", True),
     ("(SELECT 1)", True), ("SHOW TABLES", True), ("WITH 1 AS x INSERT INTO t SELECT x", False), ("SET a = 1", False),
     ("INSERT INTO t SELECT 1", False), ("DROP TABLE t", False), ("KILL QUERY WHERE 1", False)],
)  # fmt: skip
def test_what_only_reads(sql: str, reads: bool) -> None:
    """By its first word; one in parentheses is a query."""
    assert reads_only(sql.encode()) is reads


def test_first_words() -> None:
    """In capitals, past comments; strings and names are none."""
    assert first_words(b"/* a */ kill -- b\n query WHERE 1") == (b"KILL", b"QUERY")
    assert first_words(b"  ") == (b"", b"")


@pytest.mark.parametrize(
    ("sql", "uses"),
    [("SELECT 1 INTO OUTFILE 'x'", True), ("INSERT INTO t FROM INFILE 'x' FORMAT TSV", True),
     ("SELECT 'INTO OUTFILE'", False), ("SELECT infile FROM t", False)],
)  # fmt: skip
def test_files_of_a_client(sql: str, uses: bool) -> None:
    """Only where the two words stand together, outside of strings."""
    assert uses_a_file(sql.encode()) is uses


@pytest.mark.parametrize(
    ("text", "name", "arguments"),
    [("UInt8", "UInt8", []), ("Tuple()", "Tuple", []), ("DateTime64(3, 'A,(B')", "DateTime64", ["3", "'A,(B'"]),
     ("Map(String, Tuple(`a, b` UInt8, c Array(Int8)))", "Map", ["String", "Tuple(`a, b` UInt8, c Array(Int8))"])],
)  # fmt: skip
def test_types_are_split_into_arguments(text: str, name: str, arguments: list[str]) -> None:
    """At the commas of their own parentheses alone."""
    assert split_arguments(text) == (name, arguments)


def test_tables_of_a_grant_get_their_database() -> None:
    """Those that have none; columns and other words stay."""
    grant = "GRANT SELECT(a, b) ON p, INSERT ON x.y, ALTER ON *, DROP ON *.*"
    assert qualified_targets(grant, "d") == "GRANT SELECT(a, b) ON `d`.p, INSERT ON x.y, ALTER ON `d`.*, DROP ON *.*"


def test_names_are_replaced() -> None:
    """Bare words and tables that are read, never inside strings or longer names."""
    sql = "query_id = 'query_id' AND p.query_id = query_ID"
    assert replaced_words(sql, "query_id", "(x)") == "(x) = 'query_id' AND p.query_id = (x)"
    sql = "SELECT 'FROM system.processes' FROM system.processes p JOIN system . processes USING x, system.processes"
    found = "SELECT 'FROM system.processes' FROM (y) p JOIN (y) USING x, system.processes"
    assert replaced_table(sql, "system", "processes", "(y)") == found
