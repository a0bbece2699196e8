"""Tables of a rebuild in the real engine: adopted whole or not at all, wherever the command or the server stops."""

from collections.abc import Iterator, Mapping
from contextlib import closing

import pytest

from schemas.topics import ALERTS, ANSWERS, DECISIONS, DISPATCHES, ERASURES, PANES
from sinks.clickhouse.client import Address, ClickHouse, connect
from sinks.clickhouse.erasures import ClickHouseErasures
from sinks.clickhouse.layout import PLAIN, Layout
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.rebuilt import ADOPTED, ADOPTING, ALL, BEGUN, SUFFIX, RebuiltTables, Span
from sinks.rows import TABLES, digest, row_of
from sinks.warehouse import Misconfigured, Row
from streams.commands.rebuild import adopt, made
from streams.errors import BadSettings
from streams.local.servers import local_clickhouse
from tests.support.ledger_rows import DECIDED

TOPICS = (DECISIONS, DISPATCHES, ANSWERS, ALERTS, ERASURES, PANES)
SPAN = Span(0, {topic.name: [10] for topic in TOPICS}, 0, "program", True)
TABLE = TABLES[DECISIONS.name]


class Killed(Exception):
    """The process is gone."""


class Mortal(ClickHouse):
    """A connection of a process that dies before so many more statements that change something."""

    left = 1_000

    def command(self, sql: str, parameters: object = None, *, anywhere: bool = False) -> None:
        self._live()
        super().command(sql, anywhere=anywhere)

    def insert(self, table: str, columns: object, rows: object) -> None:
        self._live()
        super().insert(table, columns, rows)  # type: ignore[arg-type]

    @classmethod
    def _live(cls) -> None:
        if cls.left == 0:
            raise Killed
        cls.left -= 1


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with local_clickhouse(tmp_path_factory.mktemp("rebuilt")) as server:
        yield f"{server.address}/nps"


@pytest.fixture
def databases(address: str) -> Iterator[tuple[ClickHouse, ClickHouse]]:
    """The database in force and that of a rebuild, both empty."""
    with closing(connect(address)) as in_force, closing(connect(address, suffix=SUFFIX)) as beside:
        for database in (in_force, beside):
            database.command(f"DROP DATABASE IF EXISTS {database.database} SYNC", anywhere=True)
        migrate(in_force, PLAIN)
        yield in_force, beside


def mortal(database: ClickHouse) -> Mortal:
    return Mortal(database._address, database._client)


def decided(database: ClickHouse, id_: str, reason: str, topic: str, offset: int) -> None:
    """Write a decision."""
    record = DECIDED._replace(decision_id=id_, reason=reason, version=offset)
    database.insert(TABLE.name, TABLE.columns, [row_of(TABLE, record, (topic, 0, offset, 1_000))])


def reasons(database: ClickHouse) -> dict[object, object]:
    return {row[0]: row[1] for row in database.query("SELECT decision_id, reason FROM decisions FINAL")}


def filled(in_force: ClickHouse, beside: ClickHouse) -> RebuiltTables:
    """A rebuild that found another reason for `a` and a lost decision `b`; `c` came since."""
    decided(in_force, "a", "wrong", DECISIONS.name, 5)
    decided(in_force, "c", "new", DECISIONS.name, 10)
    tables = RebuiltTables(in_force, beside, PLAIN)
    tables.create(SPAN)
    decided(beside, "a", "right", "rebuild", 5)
    decided(beside, "b", "found", "rebuild", 6)
    return tables


def interrupted(tables: RebuiltTables) -> None:
    """A rebuild in which somebody presses Ctrl-C."""
    with made(tables, SPAN):
        assert tables.state()[0] == BEGUN
        raise KeyboardInterrupt


OLD = {"a": "wrong", "c": "new"}
NEW = {"a": "right", "b": "found", "c": "new"}


def test_differences_are_told_and_late_rows_are_not(databases: tuple[ClickHouse, ClickHouse]) -> None:
    """What differs, what is lost, and nothing of what came since."""
    in_force, beside = databases
    tables = filled(in_force, beside)
    counted = {one.table: one for one in tables.compare(SPAN)}
    assert counted["decisions"][1:] == (1, 2, 1, 2)
    assert [row[1] for row in tables.differing_rows("decisions", 20)] == ["a", "b"]
    assert sum(one.differing for one in counted.values()) == 2


def test_killed_anywhere_one_of_both_is_in_force(databases: tuple[ClickHouse, ClickHouse]) -> None:
    """Before every statement in turn: the old tables are in force or the new ones, and a second try completes it."""
    in_force, beside = databases
    seen, statement = set(), 0
    while True:
        for database in (in_force, beside):
            database.command(f"DROP DATABASE IF EXISTS {database.database} SYNC", anywhere=True)
        migrate(in_force, PLAIN)
        filled(in_force, beside).compare(SPAN)
        Mortal.left = statement
        try:
            RebuiltTables(mortal(in_force), mortal(beside), PLAIN).adopt(SPAN)
        except Killed:
            is_new = reasons(in_force) == NEW
            assert is_new or reasons(in_force) == OLD
            seen.add(is_new)
        else:
            break
        RebuiltTables(in_force, beside, PLAIN).adopt(SPAN)
        assert reasons(in_force) == NEW
        statement += 1
    assert seen == {False, True}
    assert RebuiltTables(in_force, beside, PLAIN).state()[0] == ADOPTED
    assert reasons(beside) == OLD


def test_an_exchange_that_the_server_left_half_done_is_completed(databases: tuple[ClickHouse, ClickHouse]) -> None:
    """The tables' ids tell which were exchanged; none is exchanged twice."""
    in_force, beside = databases
    tables = filled(in_force, beside)
    tables.compare(SPAN)
    tables._note(ADOPTING, SPAN)
    in_force.command("EXCHANGE TABLES nps.decisions AND nps_rebuild.decisions")
    uuids = {str(row[0]) for row in beside.query("SELECT uuid FROM system.tables WHERE database = 'nps_rebuild'")}
    tables.adopt(SPAN)
    assert reasons(in_force) == NEW
    made = beside.query("SELECT told FROM rebuild WHERE state = 'uuids'")[0][0]
    names = "('" + "', '".join(ALL) + "')"
    now = in_force.query(f"SELECT uuid FROM system.tables WHERE database = 'nps' AND name IN {names}")
    assert len(now) == len(ALL)
    assert all(str(row[0]) in str(made) for row in now), uuids


def test_tables_migrated_since_are_not_adopted(databases: tuple[ClickHouse, ClickHouse]) -> None:
    """A column more on one side would be lost, or be missing to whoever reads."""
    in_force, beside = databases
    tables = filled(in_force, beside)
    tables.compare(SPAN)
    in_force.command("ALTER TABLE decisions ADD COLUMN more String")
    with pytest.raises(Misconfigured, match="run `nps rebuild` again"):
        tables.adopt(SPAN)
    assert reasons(in_force) == OLD


def test_erasures_empty_the_tables_of_a_rebuild(databases: tuple[ClickHouse, ClickHouse]) -> None:
    """Nobody is done with while a table beside those in force names the customer."""
    in_force, beside = databases
    filled(in_force, beside)
    erasures, until_ms = ClickHouseErasures(in_force), {digest(DECIDED.customer_id): 1 << 50}
    assert erasures.count_rows(until_ms).total() == 4
    erasures.empty(until_ms)
    while erasures.is_emptying():
        pass
    assert erasures.count_rows(until_ms).total() == 0
    assert {row[0] for row in beside.query("SELECT customer_id FROM decisions")} == {""}


class Dropping(ClickHouse):
    """A connection during whose first look at the tables somebody drops a rebuild."""

    dropped = False

    def query(self, sql: str, parameters: Mapping[str, object] | None = None) -> list[Row]:
        rows = super().query(sql, parameters)
        if "system.tables" in sql and not self.dropped:
            self.dropped = True
            self.command("DROP DATABASE nps_rebuild SYNC", anywhere=True)
        return rows


def test_a_rebuild_dropped_meanwhile_ends_no_loader(databases: tuple[ClickHouse, ClickHouse]) -> None:
    """What is gone names nobody; the erasure goes on with the tables in force."""
    in_force, beside = databases
    filled(in_force, beside)
    erasures = ClickHouseErasures(Dropping(in_force._address, in_force._client))
    assert erasures.count_rows({digest(DECIDED.customer_id): 1 << 50}).total() == 2


def test_what_is_not_complete_is_never_adopted(databases: tuple[ClickHouse, ClickHouse]) -> None:
    """Ctrl-C drops what was made; what a kill left there is refused, and made anew by the next run."""
    in_force, beside = databases
    tables = RebuiltTables(in_force, beside, PLAIN)
    with pytest.raises(KeyboardInterrupt):
        interrupted(tables)
    assert tables.state()[0] == ""
    filled(in_force, beside)
    with pytest.raises(BadSettings, match="no finished rebuild"):
        adopt(tables, beside.database)
    with made(tables, SPAN):
        assert reasons(beside) == {}
    assert reasons(in_force) == OLD


def test_what_another_program_decided_is_not_adopted(databases: tuple[ClickHouse, ClickHouse]) -> None:
    """Workers keep what they have counted: their next rows would lie among another program's."""
    tables, span = filled(*databases), SPAN._replace(adoptable=False)
    tables.compare(span)
    with pytest.raises(BadSettings, match="run the workers with that program"):
        adopt(tables, "nps_rebuild")
    assert reasons(databases[0]) == OLD


def test_a_cluster_exchanges_everywhere() -> None:
    """Every statement that makes or moves a table names the cluster."""
    said: list[str] = []

    class Listening(ClickHouse):
        def command(self, sql: str, parameters: object = None, *, anywhere: bool = False) -> None:
            said.append(sql)

    one = Listening.__new__(Listening)
    one._address = Address.of("http://127.0.0.1:1/nps")
    tables = RebuiltTables(one, one, Layout(cluster="c"))
    tables._exchange([*ALL])
    tables.drop()
    assert all(sql.removesuffix(" SYNC").endswith("ON CLUSTER `c`") for sql in said), said
