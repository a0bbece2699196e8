"""Where a statement of SQL ends, and where posted data starts."""

import pytest

from sinks.chdb.sqltext import insert_with_data, statements


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
