"""What every warehouse promises, the shipped fake and ClickHouse alike; then what is ClickHouse's own."""

import datetime
import random
import re
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Protocol

import pytest

from schemas.codec import versions
from schemas.events import SurveyDispatch
from schemas.oncall import Bands, WindowFall, WindowFalls, encode
from sinks.chdb.sqltext import statements
from sinks.clickhouse import comments
from sinks.clickhouse.client import Address, ClickHouse, connect
from sinks.clickhouse.layout import PLAIN, Layout
from sinks.clickhouse.migrate import VIEWS, Edited, Migration, migrate, released, role_statements, views_of
from sinks.memory import Memory
from sinks.rows import LINEAGE, TABLES, column_of
from sinks.warehouse import Misconfigured, Refused, Row, Unavailable, Warehouse
from streams.local.servers import LocalServer, local_clickhouse
from tests.support.warehouses import memory_warehouse

UTC = datetime.UTC
PANES = TABLES["nps.panes"].columns
ANSWERS = TABLES["nps.answers"].columns
DISPATCHES = TABLES["nps.dispatches"].columns
ROLLING = TABLES["nps.rolling"].columns
FALLS = TABLES["nps.falls"].columns
BANDS = ("promoters", "passives", "detractors")
DAY_MS = 86_400_000
RECENT_MS = (time.time_ns() // 1_000_000 // DAY_MS - 2) * DAY_MS
"""The day before yesterday, at midnight UTC: audited by default, and kept in every table."""


def moment(ms: int) -> datetime.datetime:
    return datetime.datetime(1970, 1, 1) + datetime.timedelta(milliseconds=ms)


def pane(segment: str = "all", start_ms: int = 0, tally: tuple[int, int, int] = (1, 0, 0), version: int = 1,
         partition: int = 0, resolution: str = "day", supplement: int = 0) -> Row:  # fmt: skip
    return (
        segment,
        resolution,
        start_ms,
        partition,
        *tally,
        "prog",
        version,
        supplement,
        "nps.panes",
        0,
        version,
        1_000,
    )


def answer(survey: str, score: object, band: str | None, at_ms: int = 0, version: int = 1, counted: bool = True) -> Row:
    segments, dimensions = ["all", "country=BR"], {"country": "BR"}
    fields: Row = (survey, "c1", "post_purchase", "delivered", "o1", "shop", f"r-{survey}", 1, score, band, "nice",
              counted, None if counted else "voided", 0, at_ms, 2_000, segments, dimensions)  # fmt: skip
    return (*fields, "prog", version, "nps.answers", 0, version, 3_000)


def dispatch(survey: str, reminder: int = 0) -> Row:
    fields: Row = (survey, "c1", "post_purchase", "delivered", "shop", "t1", 0, "o1", 0, 9, ["all", "country=BR"], {})
    asked: Row = ("nps", 1, "email", None, reminder, 5, 1.0)
    return (*fields, "prog", *asked, 1, "nps.dispatches", 0, 1, 3_000)


class Rows(Protocol):
    def __call__(self, table: str, columns: Sequence[str]) -> list[Row]: ...


@pytest.fixture(params=["memory", "clickhouse"])
def warehouse(request: pytest.FixtureRequest) -> Warehouse:
    return memory_warehouse() if request.param == "memory" else request.getfixturevalue("database")


@pytest.fixture
def seen(warehouse: Warehouse) -> Rows:
    """What a reader sees before any merge."""

    def rows(table: str, columns: Sequence[str]) -> list[Row]:
        if isinstance(warehouse, Memory):
            return sorted(tuple(row[name] for name in columns) for row in warehouse.rows(table))
        assert isinstance(warehouse, ClickHouse)
        return sorted(warehouse.query(f"SELECT {', '.join(columns)} FROM {table} FINAL"))

    return rows


# -- the contract ----------------------------------------------------------------------------------------------------


def test_the_highest_version_of_a_key_wins(warehouse: Warehouse, seen: Rows) -> None:
    """Redelivery and late writes of older versions change nothing, in one insert or in several."""
    warehouse.insert("panes", PANES, [pane(tally=(1, 0, 0), version=5), pane(tally=(9, 9, 9), version=4)])
    warehouse.insert("panes", PANES, [pane(tally=(2, 0, 0), version=6), pane("b", version=1)])
    warehouse.insert("panes", PANES, [pane(tally=(1, 0, 0), version=5), pane(partition=1, tally=(0, 0, 3))])
    found = seen("panes", ("segment", "source_partition", "promoters", "detractors"))
    assert found == [("all", 0, 2, 0), ("all", 1, 0, 3), ("b", 0, 1, 0)]


def test_nothing_to_write_is_no_error(warehouse: Warehouse, seen: Rows) -> None:
    """An empty insert is none."""
    warehouse.insert("panes", PANES, [])
    assert seen("panes", ("segment",)) == []


def test_nested_and_null_values_arrive(warehouse: Warehouse, seen: Rows) -> None:
    """Lists, maps and nulls are kept."""
    warehouse.insert("answers", ANSWERS, [answer("s1", None, None, counted=False)])
    columns = ("survey_id", "score", "band", "segments", "dimensions", "counted")
    assert seen("answers", columns) == [("s1", None, None, ["all", "country=BR"], {"country": "BR"}, False)]


@pytest.mark.parametrize(
    "bad",
    [pane(version=-1), pane(version=1 << 64), pane(segment=None), pane(tally=("x", 0, 0)), pane(tally=(1 << 63, 0, 0))],  # type: ignore[arg-type]
    ids=["negative version", "huge version", "no segment", "text for a count", "huge count"],
)  # fmt: skip
def test_bad_rows_are_refused_whole(warehouse: Warehouse, seen: Rows, bad: Row) -> None:
    """One row that does not fit refuses its insert and writes none of it; without it the rest passes."""
    rows = [pane("a"), bad, pane("b")]
    with pytest.raises(Refused):
        warehouse.insert("panes", PANES, rows)
    assert seen("panes", ("segment",)) == []
    warehouse.insert("panes", PANES, [rows[0], rows[2]])
    assert seen("panes", ("segment",)) == [("a",), ("b",)]


@pytest.mark.parametrize(("table", "columns"), [("nowhere", ("a",)), ("panes", ("segment", "nowhere"))])
def test_a_missing_table_or_column_stops_us(warehouse: Warehouse, table: str, columns: tuple[str, ...]) -> None:
    """It is not the row's fault, and waiting does not help: the error says to migrate."""
    with pytest.raises(Misconfigured, match="run `nps migrate`"):
        warehouse.insert(table, columns, [tuple("x" for _ in columns)])


def test_a_fake_can_be_away() -> None:
    """The fake plays an outage: nothing is written until it is back."""
    memory = memory_warehouse()
    memory.away = True
    with pytest.raises(Unavailable):
        memory.insert("panes", PANES, [pane()])
    memory.away = False
    memory.insert("panes", PANES, [pane()])
    assert len(memory.rows("panes")) == 1


# -- tables, migrations ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("topic", TABLES)
def test_every_field_is_a_column(database: ClickHouse, topic: str) -> None:
    """A table has the record's fields in their order, then the lineage; instants are instants."""
    table = TABLES[topic]
    found = database.query("SELECT name, type FROM system.columns WHERE database = currentDatabase() AND "
                           "table = {t:String} AND default_kind = '' ORDER BY position", {"t": table.name})  # fmt: skip
    assert [name for name, _ in found] == list(table.columns)
    assert tuple(name for name, _ in found[-4:]) == LINEAGE
    if table.record and not table.stored:
        fields = [str(field["name"]) for field in versions(table.record)[-1]["fields"]]
        assert len(fields) == len(found) - len(LINEAGE)
        for field, (name, kind) in zip(fields, found, strict=False):
            if field == "time" or (field.endswith("_ms") and field != "lag_ms"):
                assert (name != field, kind) == (True, "DateTime64(3, 'UTC')"), "a time, and named as one"
            else:
                assert name == field
    assert not [name for name, kind in found if str(name).endswith("_ms") and name != "lag_ms"]
    assert {kind for name, kind in found if name == "lag_ms"} <= {"Int64", "Nullable(Int64)"}, "no instant: it lasts"


def test_what_is_not_stored_is_named() -> None:
    """Of a dispatch everything but credential and personal values; of an erasure no id of a person or of an event."""
    left_out = {"personalisation", "token"}
    fields = {column_of(field["name"]) for field in versions(SurveyDispatch)[-1]["fields"]}
    assert set(DISPATCHES) - set(LINEAGE) == fields - left_out
    kept = {"erasure_id", "customer_sha256", "source", "erased_at", "received_at", "program", "version"}
    assert set(TABLES["nps.erasures"].columns) - set(LINEAGE) - {"done_at", "emptied_rows"} == kept


def test_migrations_are_applied_once(fresh: ClickHouse) -> None:
    """A second run applies nothing; a new file alone is applied; each is recorded."""
    assert migrate(fresh) == []
    more = Migration(9000, "9000_more.sql", "CREATE TABLE IF NOT EXISTS more (a Int8) ENGINE=Memory; -- ; done")
    assert migrate(fresh, PLAIN, [*released(), more]) == ["9000_more.sql"]
    assert migrate(fresh, PLAIN, [*released(), more]) == []
    numbers = fresh.query("SELECT number FROM schema_migrations FINAL ORDER BY number")
    assert numbers == [(VIEWS,), *((migration.number,) for migration in [*released(), more])]


def test_views_follow_the_program(database: ClickHouse) -> None:
    """Other dimensions make the views anew, once; a view that was dropped is there again; the rows stay."""
    database.insert("panes", PANES, [pane(), pane("country=BR")])
    layout = Layout(("country",), (("country",),))
    assert [migrate(database, layout), migrate(database, layout)] == [["views"], []]
    assert database.query("SELECT country, sum(n) FROM nps_by_day GROUP BY country") == [("BR", 1)]
    database.command("DROP VIEW nps_by_day")
    assert migrate(database, layout) == ["views"]
    assert database.query("SELECT country, sum(n) FROM nps_by_day GROUP BY country") == [("BR", 1)]


@pytest.mark.parametrize("name", ["channel", "n", "it's", "back`tick", "a b", "Ü", "select", "a.b", "100%", "x\\y"])
def test_a_dimension_may_have_any_name(database: ClickHouse, name: str) -> None:
    """Each is a column of the views, under a name of its own where another column has it."""
    migrate(database, Layout((name, "country"), ((name, "country"), ("country",))))
    column = f"dimension_{name}" if name in comments.columns() else name
    segment = f"{name}=%25 %2C%3D,country=BR"
    row = list(answer("s1", 9, "promoter", RECENT_MS))
    row[ANSWERS.index("segments")] = ["all", segment, "country=BR"]
    row[ANSWERS.index("dimensions")] = {name: "% ,=", "country": "BR"}
    database.insert("answers", ANSWERS, [tuple(row)])
    database.insert("panes", PANES, [pane(s, RECENT_MS - RECENT_MS % DAY_MS) for s in ("all", segment, "country=BR")])
    chosen = "`" + column.replace("\\", "\\\\").replace("`", "\\`") + "`"
    for view in ("nps_by_day", "fact_answers"):
        assert database.query(f"SELECT {chosen}, country, n FROM {view}") == [("% ,=", "BR", 1)]
    shown = database.query(f"SELECT combination, {chosen}, country FROM nps_by_segment")
    assert set(shown) == {("all", None, None), (f"{name},country", "% ,=", "BR"), ("country", None, "BR")}


def test_an_edited_migration_is_refused(fresh: ClickHouse) -> None:
    """A released file may not change: the run stops before touching anything and names the file."""
    first, *others = released()
    edited = Migration(first.number, first.name, first.text + "\n-- harmless?")
    extra = Migration(9000, "9000_more.sql", "CREATE TABLE IF NOT EXISTS more (a Int8) ENGINE=Memory")
    with pytest.raises(Edited, match=f"{first.name} was edited after it was applied: restore it"):
        migrate(fresh, PLAIN, [edited, *others, extra])
    assert ("more",) not in fresh.query("SHOW TABLES")


def test_migrations_may_run_at_the_same_time(server: LocalServer) -> None:
    """Several runs at once all succeed and leave what one would."""
    connections = [connect(f"{server.address}/at_once") for _ in range(4)]
    errors: list[Exception] = []

    def run(connection: ClickHouse) -> None:
        try:
            migrate(connection)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(connection,)) for connection in connections]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    recorded = connections[0].query("SELECT number, checksum FROM schema_migrations FINAL ORDER BY number")
    made = [views_of(PLAIN), *released()]
    assert recorded == [(migration.number, migration.checksum) for migration in made]


def test_every_statement_may_run_again() -> None:
    """Each released statement says IF NOT EXISTS or OR REPLACE, so that two runs at once do no harm."""
    for migration in [*released(), views_of(PLAIN)]:
        for statement in statements(migration.text):
            assert "IF NOT EXISTS" in statement or "OR REPLACE" in statement, statement


def test_partitions_follow_from_the_key() -> None:
    """Rows replace each other only inside a partition: a partition is a function of its table's key, or absent."""
    for statement in statements(PLAIN.render(released()[0].text)):
        if "PARTITION BY" in statement:
            by, key = re.findall(r"(?:PARTITION|ORDER) BY (.+)", statement)
            assert set(re.findall(r"\w+", by.replace("toYYYYMM", ""))) <= set(re.findall(r"\w+", key))


def test_statements_for_a_cluster_are_sql(database: ClickHouse) -> None:
    """Every statement names the cluster, every table is replicated, and ClickHouse's parser takes them all."""
    layout = Layout(("country",), (("country",),), "my`cluster")
    texts = [text for one in [*released(), views_of(layout)] for text in statements(layout.render(one.text))]
    for text in [*texts, *role_statements(layout)]:
        assert text.count(" ON CLUSTER `my\\`cluster`") == 1, text
        assert ("ENGINE = Replicated" in text) == ("CREATE TABLE" in text)
        database.command(f"EXPLAIN AST {text}")
    assert "CLUSTER" not in "".join(PLAIN.render(one.text) for one in [*released(), views_of(PLAIN)])


def test_roles_show_readers_no_person(database: ClickHouse) -> None:
    """The statements parse; `nps_reader` may read views alone, and every view; `nps_personal` may read every table."""
    texts = role_statements(PLAIN)
    for text in texts:
        database.query(f"EXPLAIN AST {text}")
    granted = [text.split() for text in texts if text.split()[0] == "GRANT" and text.split()[1] == "SELECT"]
    reader = {words[3] for words in granted if words[-1] == "nps_reader"}
    personal = {words[3] for words in granted if words[-1] == "nps_personal"}
    kinds = database.query("SELECT name, engine FROM system.tables WHERE database = currentDatabase()")
    assert reader == {name for name, engine in kinds if engine == "View"} - {"detractor_queue_personal"}
    assert personal == {table.name for table in TABLES.values()} | {"detractor_queue_personal"}
    shown = "SELECT name FROM system.columns WHERE database = currentDatabase() AND table IN {views:Array(String)}"
    columns = database.query(shown, {"views": sorted(reader)})
    assert {name for (name,) in columns}.isdisjoint({"customer_id", "comment", "correlation_id", "survey_id", "value"})


def test_every_table_view_and_column_says_what_it_is(database: ClickHouse) -> None:
    """As BI tools ask for it; what was changed by hand is written anew, and no comment is of nothing."""
    here = "database = currentDatabase()"
    database.command("ALTER TABLE nps_current COMMENT COLUMN nps 'the score', MODIFY COMMENT ''")
    migrate(database)
    shown = "SELECT column_name, column_comment FROM information_schema.columns WHERE table_schema = currentDatabase()"
    found = database.query(shown)
    assert not [name for name, text in found if not text]
    assert ("nps", "Net Promoter Score, 100·(promoters - detractors)/n, to two decimals, half to even; null without "
                   "answers.") in found  # fmt: skip
    assert not database.query(f"SELECT name FROM system.tables WHERE {here} AND comment = ''")
    assert not set(comments.columns()) - {name for name, _ in found}


# -- views -----------------------------------------------------------------------------------------------------------


def test_score_and_interval(database: ClickHouse) -> None:
    """50/30/20 gives 30.0 and 13.97 to 44.18 over two partitions, before any merge; no answers give null, never 0."""
    old = pane(start_ms=DAY_MS, tally=(99, 0, 0), version=1)
    halves = [
        pane(start_ms=DAY_MS, tally=(20, 30, 5), version=2),
        pane(start_ms=DAY_MS, tally=(30, 0, 15), partition=1),
    ]
    emptied = pane(start_ms=2 * DAY_MS, tally=(0, 0, 0))
    database.insert("panes", PANES, [old])
    database.insert("panes", PANES, [*halves, emptied])
    columns = "day, promoters, passives, detractors, answers, nps, low, high, margin"
    assert database.query(f"SELECT {columns} FROM segment_nps_by_day ORDER BY day") == [
        (datetime.date(1970, 1, 2), 50, 30, 20, 100, 30.0, 13.97, 44.18, 15.11),
        (datetime.date(1970, 1, 3), 0, 0, 0, 0, None, None, None, None),
    ]


@pytest.mark.parametrize("tally", [(1, 0, 0), (0, 0, 1), (0, 5, 0), (7, 1, 3), (123, 45, 67), (1, 0, 799), (3, 29, 0)])
def test_the_warehouse_computes_what_the_stream_computes(database: ClickHouse, tally: tuple[int, int, int]) -> None:
    """Score and interval of a tally are the same, to the last digit, in the domain and in the views."""
    from streams.domain.nps import Tally, interval, score

    database.insert("panes", PANES, [pane(tally=tally)])
    expected = (score(Tally(*tally)), *(interval(Tally(*tally)) or ()))
    for view in ("segment_nps_by_day", "nps_by_day", "nps_by_segment"):
        assert database.query(f"SELECT nps, low, high, margin FROM {view}") == [expected]


def test_the_warehouse_rounds_as_the_stream_does(database: ClickHouse) -> None:
    """All tallies of up to 40 answers and thousands of large ones, each a segment of its own: no digit differs."""
    from streams.domain.nps import Tally, interval, score

    r = random.Random(12)
    tallies = [(p, n - p - d, d) for n in range(1, 41) for p in range(n + 1) for d in range(n - p + 1)]
    tallies += [(r.randrange(10 ** r.randrange(1, 10)), r.randrange(10**8), 1) for _ in range(10_000)]
    database.insert("panes", PANES, [pane(tally=tally, segment=str(at)) for at, tally in enumerate(tallies)])
    found = database.query("SELECT nps, low, high, margin FROM nps_by_segment ORDER BY toUInt32(segment)")
    assert found == [(score(Tally(*tally)), *(interval(Tally(*tally)) or ())) for tally in tallies]


def test_nps_by_segment_sums_days_alone(database: ClickHouse) -> None:
    """Lifetime counts come from day panes; minutes and hours would count each answer again."""
    rows = [pane(start_ms=day * DAY_MS, tally=(2, 1, 1), resolution=r) for day in (0, 400) for r in ("day", "minute")]
    database.insert("panes", PANES, rows)
    assert database.query("SELECT segment, promoters, answers, nps FROM nps_by_segment") == [("all", 4, 8, 25.0)]


def test_a_supplement_adds_to_its_pane(database: ClickHouse) -> None:
    """What came after a pane was gone is a row of its own: it replaces none, whatever its version, and is summed."""
    rows = [pane(tally=(2, 1, 1), version=5), pane(tally=(1, 0, 0), version=9, supplement=7)]
    database.insert("panes", PANES, [*rows, pane(tally=(1, 0, 1), version=10, supplement=7)])
    assert database.query("SELECT segment, promoters, passives, detractors FROM nps_by_segment") == [("all", 3, 1, 2)]
    assert database.query("SELECT promoters, detractors FROM nps_by_day") == [(3, 2)]


def test_nps_current_is_the_latest_window(database: ClickHouse) -> None:
    """Of each segment and window the newest as-of counts, and of that the highest version; nulls stay null."""

    def window(as_of_ms: int, n: int, nps: float | None, version: int) -> Row:
        fields = ("all", "24h", RECENT_MS, RECENT_MS + as_of_ms, n, 0, 0, n, nps, nps, nps, nps, True, 5, "prog")
        return (*fields, version, "nps.rolling", 0, version, 9)

    database.insert("rolling", ROLLING, [window(60_000, 3, 1.5, 7), window(120_000, 4, 2.5, 8)])
    database.insert("rolling", ROLLING, [window(120_000, 0, None, 9), window(60_000, 9, 9.5, 10)])
    found = database.query("SELECT segment, window, window_end, answers, nps, low, version FROM nps_current")
    assert found == [("all", "24h", moment(RECENT_MS + 120_000), 0, None, None, 9)]


def test_segment_falls_is_the_newest_judgement(database: ClickHouse) -> None:
    """Of each segment the newest close counts, and of that the highest version; a window without answers is no row."""

    def judged(window: str, before: tuple[int, int, int], after: tuple[int, int, int], z: float | None) -> WindowFall:
        bands = [Bands(**dict(zip(BANDS, tally, strict=True))) for tally in (before, after)]
        least = None if z is None else 12.5
        return WindowFall(
            window=window, start_ms=0, before=bands[0], after=bands[1], z=z, threshold=4.0, smallest=least
        )

    def row(hour: int, version: int, *windows: WindowFall) -> Row:
        text = encode(WindowFalls(windows=windows))
        return ("country=BR", RECENT_MS + hour * 3_600_000, text, "prog", version, "nps.falls", 0, version, 9)

    low = judged("1d", (50, 30, 20), (30, 30, 40), 4.25)
    few, none = judged("6h", (1, 0, 0), (0, 0, 0), None), judged("3d", (0, 0, 0), (0, 0, 0), None)
    database.insert("falls", FALLS, [row(2, 7, few, low, none), row(2, 6, none), row(1, 9, none, few)])
    found = database.query(
        "SELECT segment, combination, window, closed_at, answers_before, nps_before, answers, nps, change, evidence, "
        "is_fall, smallest_fall FROM segment_falls ORDER BY window"
    )
    closed_at = moment(RECENT_MS + 2 * 3_600_000)
    assert found == [
        ("country=BR", "country", "1d", closed_at, 100, 30.0, 100, -10.0, -40.0, 4.25, True, 12.5),
        ("country=BR", "country", "6h", closed_at, 1, 100.0, 0, None, None, None, False, None),
    ]


def test_response_rate_counts_surveys_once(database: ClickHouse) -> None:
    """Dispatched and answered are counted per segment and survey; no redelivery, reminder or withdrawn answer adds."""
    database.insert("dispatches", DISPATCHES, [dispatch(f"s{n}") for n in range(4)])
    database.insert("dispatches", DISPATCHES, [dispatch("s0"), dispatch("s0", 1), dispatch("s1", 1)])
    database.insert("answers", ANSWERS, [answer("s0", 9, "promoter"), answer("s1", 2, "detractor")])
    database.insert("answers", ANSWERS, [answer("s1", 2, "detractor", version=2, counted=False)])
    found = database.query("SELECT day, survey, rule, dispatched, answered, rate FROM response_rate")
    assert found == [(datetime.date(1970, 1, 1), "post_purchase", "delivered", 4, 1, 0.25)]


def test_the_audit_recounts_the_panes(database: ClickHouse) -> None:
    """No row when panes equal the answers, also after an edit; one row for each pane that differs."""
    at_ms = RECENT_MS + 82_739_000  # 22:58:59
    starts = {"minute": at_ms - 59_000, "hour": at_ms - 3_539_000, "day": RECENT_MS}
    database.insert("answers", ANSWERS, [answer("s1", 3, "detractor", at_ms), answer("s2", 7, "passive", at_ms)])
    database.insert(
        "answers", ANSWERS, [answer("s1", 9, "promoter", at_ms, version=2), answer("s3", 1, "detractor", counted=False)]
    )
    for segment in ("all", "country=BR"):
        database.insert("panes", PANES, [pane(segment, start, (0, 1, 1), 1, 0, name) for name, start in starts.items()])
    assert len(database.query("SELECT * FROM audit")) == 6
    for segment in ("all", "country=BR"):
        halves = [((1, 0, 0), 0), ((0, 1, 0), 1)]
        rows = [pane(segment, s, tally, 2, part, name) for name, s in starts.items() for tally, part in halves]
        database.insert("panes", PANES, rows)
    assert database.query("SELECT * FROM audit") == []
    ghost = pane("ghost", RECENT_MS, (0, 0, 0))
    database.insert("panes", PANES, [pane("all", starts["hour"], (2, 0, 0), 3, 0, "hour"), ghost])
    found = database.query("SELECT segment, resolution, answers_promoters, panes_promoters FROM audit")
    assert found == [("all", "hour", 1, 2)]


@pytest.mark.parametrize(("age_days", "minutes", "hours"), [(3, True, True), (60, False, True), (500, False, False)])
def test_the_audit_knows_what_is_kept(database: ClickHouse, age_days: int, minutes: bool, hours: bool) -> None:
    """Of any time that it is asked for: days always, hours and minutes while they are kept."""
    at_ms = RECENT_MS - age_days * DAY_MS
    database.insert("answers", ANSWERS, [answer("s1", 9, "promoter", at_ms)])
    day = moment(at_ms).date()
    found = database.query(
        f"SELECT resolution FROM audit_between(since = '{day}', until = '{day}') WHERE segment = 'all'"
    )
    expected = {("day",), *([("minute",)] if minutes else []), *([("hour",)] if hours else [])}
    assert set(found) == expected
    assert database.query("SELECT count() FROM audit") == [(6 if age_days < 7 else 0,)]
    after = f"audit_between(since = '{day + datetime.timedelta(1)}', until = '2100-01-01')"
    assert database.query(f"SELECT count() FROM {after}") == [(0,)]


def test_panes_of_minutes_and_hours_go_in_time(database: ClickHouse) -> None:
    """With the merges: minutes after thirty days, hours after four hundred, days never."""
    rows = [
        pane(start_ms=RECENT_MS - age * DAY_MS, resolution=r) for age in (1, 60, 500) for r in ("minute", "hour", "day")
    ]
    database.insert("panes", PANES, rows)
    database.command("OPTIMIZE TABLE panes FINAL")
    kept = database.query("SELECT resolution, count() FROM panes FINAL GROUP BY resolution ORDER BY resolution")
    assert kept == [("day", 3), ("hour", 2), ("minute", 1)]


# -- the adapter -----------------------------------------------------------------------------------------------------


def test_years_of_history_go_in_at_once(database: ClickHouse) -> None:
    """Ten years of months in one insert are not refused for too many partitions."""
    database.insert("panes", PANES, [pane(start_ms=month * 31 * DAY_MS) for month in range(120)])
    assert database.query("SELECT uniqExact(_partition_id) FROM panes") == [(120,)]


def test_instants_keep_their_milliseconds(database: ClickHouse) -> None:
    """Integer milliseconds arrive as the same instant, to the millisecond."""
    database.insert("answers", ANSWERS, [answer("s1", 9, "promoter", at_ms=1_700_000_000_123)])
    assert database.query("SELECT toUnixTimestamp64Milli(answered_at) FROM answers") == [(1_700_000_000_123,)]


def test_values_are_bound_not_written(database: ClickHouse) -> None:
    """A parameter cannot leave its place."""
    nasty = "x' OR 1 = 1 --"
    assert database.query("SELECT count() FROM panes WHERE segment = {s:String}", {"s": nasty}) == [(0,)]
    assert database.query("SELECT {s:String}", {"s": nasty}) == [(nasty,)]


class Grumpy(ThreadingHTTPServer):
    """Passes for ClickHouse while connecting, then answers everything with `reply`: status and code."""

    reply: tuple[int, str | None] = (200, None)


class Answers(BaseHTTPRequestHandler):
    server: Grumpy

    def do_GET(self) -> None:
        self._reply(200, None, b"Ok.\n")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if b"version()" in body:
            self._reply(200, None, b"26.9.2.1\tUTC\n")
        elif b"system.settings" in body:
            self._reply(200, None, b"")
        else:
            status, code = self.server.reply
            self._reply(status, code, f"Code: {code}. DB::Exception: grumpy".encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _reply(self, status: int, code: str | None, body: bytes) -> None:
        self.send_response(status)
        if code:
            self.send_header("X-ClickHouse-Exception-Code", code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def grumpy() -> Iterator[Grumpy]:
    server = Grumpy(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (500, "252", Unavailable), (500, "241", Unavailable), (500, "243", Unavailable), (500, "164", Unavailable),
        (500, "242", Unavailable), (503, None, Unavailable), (502, None, Unavailable), (500, "9999", Unavailable),
        (400, "27", Refused), (500, "349", Refused), (500, "469", Refused),
        (404, "60", Misconfigured), (403, "516", Misconfigured), (403, "497", Misconfigured),
    ],
)  # fmt: skip
def test_answers_fall_into_three_kinds(grumpy: Grumpy, status: int, code: str | None, error: type[Exception]) -> None:
    """Too many parts, memory, disk and read-only mean "not now"; parse errors mean "bad rows"; rights mean "stop"."""
    grumpy.reply = (status, code)
    database = connect(f"http://127.0.0.1:{grumpy.server_port}/nps")
    with pytest.raises(error) as raised:
        database.query("SELECT 1")
    assert "\n" not in str(raised.value)


def test_nobody_there_is_said_in_one_line() -> None:
    """A server that does not come within the bound is named, with what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(Unavailable) as raised:
            connect(f"http://127.0.0.1:{port}/nps", within_s=0.5)
    message = f"cannot reach ClickHouse at 127.0.0.1:{port} after 0.5 s: start it or set NPS_CLICKHOUSE_URL"
    assert str(raised.value) == message


def test_an_insert_to_a_server_that_left_is_kept(tmp_path: Path) -> None:
    """A server that went away is Unavailable, in a few words, and the batch kept; back again, the insert works."""
    with local_clickhouse(tmp_path) as first:
        database = connect(f"{first.address}/nps")
        migrate(database)
        port = int(first.address.rsplit(":", 1)[1])
    with pytest.raises(Unavailable) as raised:
        database.insert("panes", PANES, [pane()])
    assert str(raised.value) == f"ClickHouse at 127.0.0.1:{port}: does not answer (Connection refused)"
    with local_clickhouse(tmp_path, port):
        database.insert("panes", PANES, [pane()])
        assert database.query("SELECT count() FROM panes") == [(1,)]


def test_addresses_are_read_and_passwords_masked() -> None:
    """Defaults are filled in, escapes undone, and no password is printed."""
    address = Address.of("https://bob:p%40ss@db.example/")
    assert (address.user, address.password, address.port, address.database) == ("bob", "p@ss", 8443, "nps")
    assert "p@ss" not in repr(address)
    assert Address.of("http://localhost/other") == Address("http", "localhost", 8123, "default", "", "other")
    for bad in ("localhost:8123", "clickhouse://localhost", "http://", "http://localhost/nps?x=1"):
        with pytest.raises(ValueError, match="NPS_CLICKHOUSE_URL"):
            Address.of(bad)
