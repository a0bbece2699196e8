"""Records to rows, the dead letters' envelope, where SQL ends, and finding the bad row."""

from collections.abc import Sequence

import pytest
from confluent_kafka import Message
from hypothesis import given
from hypothesis import strategies as st

from schemas.codec import Codec
from schemas.deadletters import NAMES, Death, Header, NotADeadLetter, unwrap, wrap
from schemas.errors import FuseBlown
from schemas.events import PaneTally, Wakeup
from schemas.topics import DEAD_LETTERS, PANES
from sinks.chdb.sqltext import insert_with_data, statements
from sinks.rows import LINEAGE, TABLES, decode
from sinks.warehouse import Refused, Row
from sinks.writing import RefusalFuse, write

CODEC = Codec()
PANE = PaneTally("all", "day", 0, 3, 1, 2, 3, "prog", 7)
HEADERS = st.lists(st.tuples(st.text(), st.none() | st.binary()), max_size=8)
TEXT = st.text(st.characters(codec="utf-8"))
DEATHS = st.builds(Death, TEXT, TEXT, TEXT, st.integers(), st.integers(), st.integers())


def message(topic: str, value: bytes | None, headers: list[Header] | None = None, offset: int = 5) -> Message:
    return Message(topic=topic, partition=2, offset=offset, key=b"k", value=value, timestamp=(1, 1_234),
                   headers=headers)  # type: ignore[arg-type]  # a list of str | bytes, in the stubs  # fmt: skip


def named(topic: str, row: Row) -> dict[str, object]:
    return dict(zip(TABLES[topic].columns, row, strict=True))


# -- rows --------------------------------------------------------------------------------------------------------------


def test_a_row_is_its_record_and_its_lineage() -> None:
    """The record's fields in order, then topic, partition, offset and load time; each row beside its message."""
    sent = message(PANES.name, CODEC.encode(PANE))
    parts, rejects = decode(CODEC, [sent], loaded_ms=99)
    assert parts[PANES.name].rows == [(*PANE, PANES.name, 2, 5, 99)]
    assert (parts[PANES.name].messages, rejects) == ([sent], [])
    assert TABLES[PANES.name].columns == (*PaneTally._fields, *LINEAGE)


def test_one_bad_record_costs_only_itself() -> None:
    """What does not decode is rejected with the codec's reason; its neighbours pass, in order."""
    good = [message(PANES.name, CODEC.encode(PANE._replace(version=n)), offset=n) for n in range(2)]
    bad = [message(PANES.name, b"junk"), message(PANES.name, CODEC.encode(Wakeup("c", 1))),
           message(PANES.name, CODEC.encode(PANE)[:-1]), message("nps.answers", None)]  # fmt: skip
    parts, rejects = decode(CODEC, [bad[0], good[0], bad[1], bad[2], good[1], bad[3]], loaded_ms=0)
    assert [row[8] for row in parts[PANES.name].rows] == [0, 1]
    assert [reject.reason for reject in rejects] == ["undecodable", "wrong_type", "undecodable", "no_value"]
    assert [reject.message for reject in rejects] == bad


def test_a_deletion_on_a_compacted_topic_is_passed_over() -> None:
    """Kafka may forget the pane; the warehouse keeps it."""
    parts, rejects = decode(CODEC, [message(PANES.name, None)], loaded_ms=0)
    assert (parts[PANES.name].rows, rejects) == ([], [])


def test_a_dead_letter_keeps_where_it_lay() -> None:
    """Origin, reason, bytes and original headers become columns; its own place is the lineage and the version."""
    death = Death("too_late", "8 days", "nps.responses", 4, 77, 555)
    parts, _ = decode(CODEC, [message(DEAD_LETTERS, b"\xff", wrap([("a", None)], death))], loaded_ms=0)
    row = named(DEAD_LETTERS, parts[DEAD_LETTERS].rows[0])
    assert (row["origin_topic"], row["origin_partition"], row["origin_offset"]) == ("nps.responses", 4, 77)
    assert (row["reason"], row["detail"], row["origin_ms"]) == ("too_late", "8 days", 555)
    assert (row["key"], row["value"], row["headers"]) == (b"k", b"\xff", [("a", b"")])
    assert (row["version"], row["kafka_topic"], row["kafka_offset"]) == (5, DEAD_LETTERS, 5)


def test_a_dead_letter_without_a_label_is_kept() -> None:
    """Whoever wrote it, it becomes a row at its own place."""
    parts, rejects = decode(CODEC, [message(DEAD_LETTERS, None, [("x", b"y")])], loaded_ms=0)
    row = named(DEAD_LETTERS, parts[DEAD_LETTERS].rows[0])
    assert (row["origin_topic"], row["origin_offset"], row["reason"], rejects) == (DEAD_LETTERS, 5, "unlabelled", [])
    assert (row["value"], row["headers"], row["origin_ms"]) == (None, [("x", b"y")], 1_234)


# -- the envelope ------------------------------------------------------------------------------------------------------


@given(HEADERS, DEATHS)
def test_an_envelope_opens_to_what_was_sealed(original: list[Header], death: Death) -> None:
    """Original headers and the death come back exactly."""
    assert unwrap(wrap(original, death)) == (original, death)


@given(HEADERS, DEATHS, DEATHS)
def test_dying_twice_keeps_the_first_death_inside(original: list[Header], first: Death, second: Death) -> None:
    """The last death is the outer one; under it lies the record as it was when it died again."""
    inner = wrap(original, first)
    assert unwrap(wrap(inner, second)) == (inner, second)


@pytest.mark.parametrize(
    "headers", [None, [], [("nps.dead.reason", b"x")], [(name, b"x") for name in NAMES], [(n, None) for n in NAMES]]
)
def test_other_headers_are_no_envelope(headers: list[Header] | None) -> None:
    """Missing, partial or unreadable labels are refused."""
    with pytest.raises(NotADeadLetter):
        unwrap(headers)


# -- SQL ---------------------------------------------------------------------------------------------------------------


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


# -- finding the bad row -----------------------------------------------------------------------------------------------


class Picky:
    """Refuses any insert with a negative number in it, and remembers the rest in order."""

    def __init__(self) -> None:
        self.written: list[Row] = []

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        if any(int(str(row[0])) < 0 for row in rows):
            raise Refused("negative")
        self.written += rows


@given(st.lists(st.integers(-3, 20), min_size=1, max_size=60))
def test_halving_writes_the_good_and_finds_the_bad(numbers: list[int]) -> None:
    """Every good row is written once, in order, and exactly the bad ones come back, by place."""
    picky = Picky()
    refused = write(picky, "t", ("n",), [(number,) for number in numbers], RefusalFuse(100))
    assert [row.index for row in refused] == [at for at, number in enumerate(numbers) if number < 0]
    assert picky.written == [(number,) for number in numbers if number >= 0]


def test_the_fuse_blows_when_row_after_row_is_refused() -> None:
    """It counts across batches, and one row written starts it anew."""
    picky, fuse = Picky(), RefusalFuse(2)
    for _ in range(3):
        write(picky, "t", ("n",), [(-1,), (-1,), (1,)], fuse)
    write(picky, "t", ("n",), [(-1,), (-1,)], fuse)
    with pytest.raises(FuseBlown, match="table t refused 3 rows in a row, the last because negative"):
        write(picky, "t", ("n",), [(-1,)], fuse)
