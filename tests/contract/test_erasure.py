"""Erasing a customer: nothing names the person any more, nothing brings the person back, and no figure moves."""

import time

import pytest

from schemas.events import SurveyResponse
from schemas.topics import ANSWERS, DEAD_LETTERS, ERASURES
from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.erasures import ClickHouseErasures
from sinks.erasure.process import LOOK_MS, SETTLE_MS, STEP_MS, ErasureProcess
from sinks.memory import Memory
from sinks.personal import PERSONAL
from sinks.rows import TABLES, digest, is_instant
from sinks.warehouse import Row
from tests.support.commands import BOUND_S
from tests.support.ledger_rows import (
    ALERTED,
    ANSWERED,
    ASKED,
    CODEC,
    DECIDED,
    ERASED,
    JUDGED,
    dead_letter,
    insert,
    put,
    rows_of,
)  # fmt: skip
from tests.support.warehouses import memory_warehouse

ADA = "Ada-1"
OLD = (
    DECIDED._replace(customer_id=ADA, trigger_id="Ada-t", correlation_id="Ada-o", cause_id="Ada-x"),
    ASKED._replace(customer_id=ADA, trigger_id="Ada-t", correlation_id="Ada-o"),
    ANSWERED._replace(customer_id=ADA, correlation_id="Ada-o", response_id="Ada-r", comment="I am Ada"),
    ANSWERED._replace(customer_id=ADA, correlation_id="Ada-o", comment="Ada again", revision=2, version=2),
    ALERTED._replace(customer_id=ADA, correlation_id="Ada-o", comment="Ada was here"),
    JUDGED._replace(customer_id=ADA, themes=["Ada"]),
)
NEW = (
    DECIDED._replace(decision_id="d2", customer_id=ADA, trigger_id="t2", trigger_ms=11_000, survey_id="s2"),
    ASKED._replace(survey_id="s2", customer_id=ADA, trigger_id="t2", trigger_ms=11_000),
    ANSWERED._replace(survey_id="s2", customer_id=ADA, sent_ms=12_000),
    ALERTED._replace(alert_id="a2", dedup_key="s2", customer_id=ADA, answered_ms=13_000),
    JUDGED._replace(survey_id="s2", customer_id=ADA, sent_ms=12_000),
)
OTHERS = (
    DECIDED._replace(decision_id="d3", customer_id="Bo", trigger_id="t3", survey_id="s3"),
    ASKED._replace(survey_id="s3", customer_id="Bo", trigger_id="t3"),
    ANSWERED._replace(survey_id="s3", customer_id="Bo"),
    ALERTED._replace(alert_id="a3", dedup_key="s3", customer_id="Bo"),
    JUDGED._replace(survey_id="s3", customer_id="Bo"),
)
GONE = ERASED._replace(customer_id=ADA)
VIEWS = ("fact_answers", "fact_invitations", "fact_decisions", "fact_alerts", "nps_by_survey", "score_histogram",
         "nps_by_day", "nps_by_segment", "response_rate", "response_breakdown", "ledger", "suppressed_by_reason",
         "detractor_queue", "ledger_audit", "audit")  # fmt: skip


class Clock:
    """A wall clock that is set by hand."""

    def __init__(self) -> None:
        self.now_ms = 1_000_000

    def __call__(self) -> int:
        return self.now_ms

    def after(self, ms: int) -> None:
        self.now_ms += ms


@pytest.fixture(params=["memory", "clickhouse"])
def warehouse(request: pytest.FixtureRequest) -> Memory | ClickHouse:
    if request.param == "memory":
        return memory_warehouse()
    database: ClickHouse = request.getfixturevalue("database")
    return database


@pytest.fixture
def clock() -> Clock:
    return Clock()


def erasure(warehouse: Memory | ClickHouse, clock: Clock) -> ErasureProcess:
    return ErasureProcess(
        warehouse if isinstance(warehouse, Memory) else ClickHouseErasures(warehouse), warehouse, clock
    )


def record(warehouse: Memory | ClickHouse, one: ErasureProcess, clock: Clock) -> None:
    """As the loader does: the row first, then it is taken."""
    put(warehouse, GONE, loaded_ms=clock())
    one.take(everything(warehouse, ERASURES.name))


def everything(warehouse: Memory | ClickHouse, topic: str) -> list[Row]:
    """The rows of a topic's table, as the loader writes them."""
    table = TABLES[topic]
    if isinstance(warehouse, Memory):
        return [tuple(row[name] for name in table.columns) for row in warehouse.rows(table.name)]
    columns = (f"toUnixTimestamp64Milli({c})" if is_instant(c) else c for c in table.columns)
    return warehouse.query(f"SELECT {', '.join(columns)} FROM {table.name} FINAL")


def naming(warehouse: Memory | ClickHouse, word: str) -> list[Row]:
    """Whatever row of whatever table holds this word anywhere, merged away or not."""
    if isinstance(warehouse, Memory):
        return [row for topic in TABLES for row in everything(warehouse, topic) if word in str(row)]
    tables = [table.name for table in TABLES.values()]
    named = "position(toString(tuple(*)), {word:String}) > 0"
    found = (
        warehouse.query(f"SELECT '{t}', hex(toString(tuple(*))) FROM {t} WHERE {named}", {"word": word}) for t in tables
    )
    return [(row[0], bytes.fromhex(str(row[1])).decode(errors="replace")) for rows in found for row in rows]


def settle(warehouse: Memory | ClickHouse, one: ErasureProcess, clock: Clock, ms: int = SETTLE_MS) -> None:
    """Let what was begun come to its end, and so much time pass."""
    deadline = time.monotonic() + BOUND_S
    while not isinstance(warehouse, Memory) and ClickHouseErasures(warehouse).is_emptying():
        assert time.monotonic() < deadline, "emptying did not come to its end"
        time.sleep(0.02)
    clock.after(max(ms, STEP_MS))
    one.advance()


def finished(warehouse: Memory | ClickHouse) -> list[tuple[object, object]]:
    """When each erasure was done, and how many rows it emptied."""
    done, rows = map(TABLES[ERASURES.name].columns.index, ("done_at", "emptied_rows"))
    return [(row[done], row[rows]) for row in everything(warehouse, ERASURES.name)]


def test_no_text_is_forgotten_by_oversight() -> None:
    """Each column of each table is emptied, or stands here as one that names nobody."""
    lineage = {"program", "version", "kafka_topic", "kafka_partition", "kafka_offset", "loaded_at"}
    instants_and_numbers = {
        "triggered_at", "decided_at", "due_at", "expires_at", "sent_at", "answered_at", "received_at", "origin_at",
        "lag_ms", "score", "revision", "reminder", "probability", "question_version", "counted", "origin_partition",
        "origin_offset", "death", "died_at",
    }  # fmt: skip
    # ids made of hashes, words of the program and of closed lists, dimensions that are few-valued
    words = {
        "survey_id", "decision_id", "alert_id", "dedup_key", "survey", "rule", "question", "channel", "outcome",
        "reason", "flag", "band", "status", "severity", "segments", "dimensions", "trigger_type", "trigger_source",
        "response_source", "origin_topic", "source", "letter_id", "model",
    }  # fmt: skip
    for table in TABLES.values():
        if table.name in PERSONAL:
            named = set(PERSONAL[table.name].emptied)
            assert named <= set(table.columns)
            assert set(table.columns) - named <= lineage | instants_and_numbers | words, table.name
    assert {table.name for table in TABLES.values()} - set(PERSONAL) == {
        "panes",
        "falls",
        "rolling",
        "erasures",
        "letter_actions",
    }


def test_rows_from_before_the_erasure_lose_the_person(warehouse: Memory | ClickHouse, clock: Clock) -> None:
    """Every version of every row of the customer is emptied; later rows and other customers keep theirs."""
    put(warehouse, *OLD, *NEW, *OTHERS)
    response = SurveyResponse("tool", "r", "answered", 7, ADA, "s1", 3, "Ada died", False, None)
    of_bo = response._replace(customer_id="Bo", comment="of Bo")
    insert(warehouse, DEAD_LETTERS, rows_of(dead_letter(ADA.encode(), b"Ada, cut off", 1)))
    insert(warehouse, DEAD_LETTERS, rows_of(dead_letter(b"somebody", CODEC.encode(response), 2)))
    insert(warehouse, DEAD_LETTERS, rows_of(dead_letter(b"Bo", CODEC.encode(of_bo), 3)))
    one = erasure(warehouse, clock)
    record(warehouse, one, clock)
    one.advance()
    settle(warehouse, one, clock)
    left = [row for row in naming(warehouse, "Ada") if "of Bo" not in str(row)]
    assert len(left) == len(NEW), left
    assert len(naming(warehouse, "Bo")) == len(OTHERS) + 1
    assert [done for done, _ in finished(warehouse)] == [clock()]
    reasons = [row[3] for row in everything(warehouse, DEAD_LETTERS)]
    assert reasons == ["wrong_key"] * 3, "a dead letter keeps its place and reason"


def rows_of_view(database: ClickHouse, view: str) -> list[str]:
    """Its rows, without the comment's presence and the language, which go, and without what time passes in."""
    return sorted(map(str, database.query(f"SELECT * EXCEPT('^(has_comment|locale|age_s)$') FROM {view}")))


def test_no_figure_moves(fresh: ClickHouse, clock: Clock) -> None:
    """Every view returns the same before and after, and the statements that emptied hold nobody's name."""
    put(fresh, *OLD, *NEW, *OTHERS)
    before = {view: rows_of_view(fresh, view) for view in VIEWS}
    one = erasure(fresh, clock)
    record(fresh, one, clock)
    one.advance()
    settle(fresh, one, clock)
    assert {view: rows_of_view(fresh, view) for view in VIEWS} == before
    assert sum(len(rows) for rows in before.values()) > 10
    told = fresh.query("SELECT command FROM system.mutations WHERE database = currentDatabase()")
    assert len(told) == len(PERSONAL)
    assert not [command for (command,) in told if "Ada" in str(command)]


def test_one_row_says_what_was_done(warehouse: Memory | ClickHouse, clock: Clock) -> None:
    """The audit row holds a digest, when it was done and how many rows named the customer; redelivery adds nothing."""
    put(warehouse, *OLD, *OTHERS)
    one = erasure(warehouse, clock)
    record(warehouse, one, clock)
    one.advance()
    assert [done for done, _ in finished(warehouse)] == [0]
    settle(warehouse, one, clock)
    rows = len(OLD) if isinstance(warehouse, ClickHouse) else len(OLD) - 1  # one of them replaced another
    assert finished(warehouse) == [(clock(), rows)]
    assert digest(ADA) in str(everything(warehouse, ERASURES.name))
    done_ms = clock()
    restarted = erasure(warehouse, clock)
    restarted.look()
    for loader in (one, restarted):
        clock.after(60_000)
        record(warehouse, loader, clock)
        settle(warehouse, loader, clock)
        settle(warehouse, loader, clock)
    assert finished(warehouse) == [(done_ms, rows)]
    assert naming(warehouse, "Ada") == []


def test_what_slipped_in_is_emptied_too(warehouse: Memory | ClickHouse, clock: Clock) -> None:
    """A row that another loader wrote meanwhile is found when the erasure is checked; only then is it done."""
    one = erasure(warehouse, clock)
    put(warehouse, *OLD)
    record(warehouse, one, clock)
    one.advance()
    settle(warehouse, one, clock, 0)
    assert naming(warehouse, "Ada") == []
    put(warehouse, *OLD)
    settle(warehouse, one, clock)
    assert [done for done, _ in finished(warehouse)] == [0]
    settle(warehouse, one, clock)
    assert (naming(warehouse, "Ada"), finished(warehouse)[0][0]) == ([], clock())


def test_rows_that_come_later_are_emptied_before_they_are_written(warehouse: Memory | ClickHouse, clock: Clock) -> None:
    """Known to every loader: the one that took the erasure, one that starts later, one that looks now and then."""
    witness, late = erasure(warehouse, clock), OLD[2]
    witness.look()
    put(warehouse, late, NEW[2], OTHERS[2])
    came = everything(warehouse, ANSWERS.name)
    assert witness.emptied("answers", came) is came, "nobody is erased yet, so nothing is looked at"
    one = erasure(warehouse, clock)
    record(warehouse, one, clock)
    starting = erasure(warehouse, clock)
    starting.look()
    clock.after(LOOK_MS)
    witness.look()
    for loader in (one, witness, starting):
        rows = loader.emptied("answers", came)
        assert sorted(str(row[1]) for row in rows) == ["", ADA, "Bo"]
        assert next(row for row in rows if row[1] == "")[8:12] == (9, "promoter", None, True)
        assert loader.emptied("panes", came) is came


def test_whoever_takes_over_finishes(warehouse: Memory | ClickHouse, clock: Clock) -> None:
    """An erasure whose loader died is found undone and brought to its end."""
    put(warehouse, *OLD)
    record(warehouse, erasure(warehouse, clock), clock)
    second = erasure(warehouse, clock)
    second.advance()
    settle(warehouse, second, clock)
    assert (naming(warehouse, "Ada"), [done for done, _ in finished(warehouse)]) == ([], [clock()])


def test_many_are_erased_at_once(database: ClickHouse, clock: Clock) -> None:
    """Three thousand erasures of one batch are one emptying for each thousand, and each counts its own rows."""
    people = [f"Ada-{n}" for n in range(3_000)]
    answers = [ANSWERED._replace(survey_id=f"s{n}", customer_id=who) for n, who in enumerate(people)]
    rows: list[Row] = [(*record, ANSWERS.name, 0, n, 9) for n, record in enumerate(answers)]
    insert(database, ANSWERS.name, rows)
    one = erasure(database, clock)
    gone = [GONE._replace(erasure_id=f"e{n}", customer_id=who) for n, who in enumerate(people)]
    stored = TABLES[ERASURES.name].stored
    assert stored is not None
    insert(database, ERASURES.name, [(*stored(e), ERASURES.name, 0, n, clock()) for n, e in enumerate(gone)])
    one.look()
    one.advance()
    settle(database, one, clock)
    assert naming(database, "Ada") == []
    assert set(finished(database)) == {(clock(), 1)}
    mutations = database.query("SELECT toUInt32(count()) FROM system.mutations WHERE database = currentDatabase()")[0][
        0
    ]
    assert isinstance(mutations, int)
    assert mutations <= 3 * len(PERSONAL)


def test_a_flood_of_erasures_is_done_part_by_part(warehouse: Memory | ClickHouse, clock: Clock) -> None:
    """What finds no room waits in the warehouse, whoever recorded it; in the end all are done, each counted once."""
    people = [f"Ada-{n}" for n in range(13)]
    put(warehouse, *(ANSWERED._replace(survey_id=f"s{n}", customer_id=who) for n, who in enumerate(people)))
    stored = TABLES[ERASURES.name].stored
    assert stored is not None
    gone = [GONE._replace(erasure_id=f"e{n:02}", customer_id=who) for n, who in enumerate(people)]
    rows: list[Row] = [(*stored(e), ERASURES.name, 0, n, clock()) for n, e in enumerate(gone)]
    erasures = warehouse if isinstance(warehouse, Memory) else ClickHouseErasures(warehouse)
    one = ErasureProcess(erasures, warehouse, clock, SETTLE_MS, most_at_once=4)
    insert(warehouse, ERASURES.name, rows)
    one.take(rows)
    for _ in range(8):
        one.advance()
        assert len(one._under_way) <= 4
        settle(warehouse, one, clock)
    assert naming(warehouse, "Ada") == []
    assert [emptied for _, emptied in finished(warehouse)] == [1] * 13
    assert all(done for done, _ in finished(warehouse))
