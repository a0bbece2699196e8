"""The ledger's views on ClickHouse: every trigger ends in one way, and who answered, how late, and for how many."""

import datetime

import pytest

from schemas.events import Decision, Record
from sinks.clickhouse.client import ClickHouse, connect
from sinks.clickhouse.erasures import ClickHouseErasures
from sinks.clickhouse.migrate import migrate, released
from sinks.rows import digest
from sinks.warehouse import Row
from streams.local.servers import LocalServer
from tests.support.commands import until
from tests.support.ledger_rows import ANSWERED, ASKED, DECIDED, put

DAY_MS = 86_400_000
PENDING = DECIDED._replace(outcome="pending", survey_id=None, lag_ms=None, version=0)
REFUSED = DECIDED._replace(outcome="suppressed", reason="opted_out", survey_id=None, lag_ms=None)


def trigger(number: int, decision: Decision, **changes: object) -> Decision:
    """The decision about another trigger."""
    return decision._replace(**{"decision_id": f"d{number}", "trigger_id": f"t{number}", **changes})  # type: ignore[arg-type]  # names and values of its fields


def ledger(database: ClickHouse, columns: str) -> list[Row]:
    return database.query(f"SELECT {columns} FROM ledger ORDER BY day, rule, trigger_type")


def test_triggers_are_sent_suppressed_or_pending(database: ClickHouse) -> None:
    """For each day, rule and type the three add up to the triggers; a trigger without a rule has a row too."""
    put(database, trigger(1, DECIDED), trigger(2, PENDING), trigger(3, REFUSED, rule="care"), trigger(4, REFUSED))
    put(database, trigger(5, REFUSED, rule=None, reason="no_rule", trigger_ms=DAY_MS), ASKED, ANSWERED)
    put(database, trigger(6, REFUSED, trigger_type="case.solved", reason="cancelled"))
    found = ledger(database, "day, rule, trigger_type, triggers, sent, suppressed, pending, answered")
    first, second = datetime.date(1970, 1, 1), datetime.date(1970, 1, 2)
    assert found == [
        (first, "care", "order.delivered", 1, 0, 1, 0, 0),
        (first, "delivered", "case.solved", 1, 0, 1, 0, 0),
        (first, "delivered", "order.delivered", 3, 1, 1, 1, 1),
        (second, None, "order.delivered", 1, 0, 1, 0, 0),
    ]
    by_reason = database.query("SELECT rule, reason, sum(triggers) FROM suppressed_by_reason GROUP BY ALL ORDER BY ALL")
    assert by_reason == [
        ("care", "opted_out", 1), ("delivered", "cancelled", 1), ("delivered", "opted_out", 1), (None, "no_rule", 1)
    ]  # fmt: skip


def test_the_final_decision_replaces_the_pending_one(database: ClickHouse) -> None:
    """In any order of arrival and however often: version 0 never comes back over what was decided."""
    put(database, PENDING)
    assert ledger(database, "triggers, sent, pending") == [(1, 0, 1)]
    put(database, DECIDED, PENDING, DECIDED, PENDING)
    put(database, PENDING)
    assert ledger(database, "triggers, sent, pending") == [(1, 1, 0)]


def breakdown(database: ClickHouse, columns: str, where: str = "segment = 'all'") -> list[Row]:
    return database.query(f"SELECT {columns} FROM response_breakdown WHERE {where} ORDER BY ALL")


def test_rate_and_lag_by_everything_that_moves_them(database: ClickHouse) -> None:
    """A row for each segment, channel, rule, survey, question and version; a reminder is no further dispatch."""
    asked = [ASKED._replace(survey_id=f"s{n}", lag_ms=1_000 * n) for n in range(5)]
    answers = [ANSWERED._replace(survey_id=f"s{n}", answered_ms=5_000 + 100 * n) for n in (1, 2, 3)]
    put(database, *asked, *asked[:2], asked[1]._replace(reminder=1, due_ms=7_000, version=2), *answers)
    put(database, answers[2]._replace(counted=False, flag="voided", version=2))
    put(database, ASKED._replace(survey_id="x", question_version=2, channel=None))
    columns = (
        "segment, channel, rule, survey, question, question_version, dispatched, answered, rate, "
        "median_lag_to_sending_ms, p95_lag_to_sending_ms, median_lag_to_answer_ms, p95_lag_to_answer_ms"
    )
    assert breakdown(database, columns) == [
        ("all", "email", "delivered", "delivery", "nps", 1, 5, 2, 0.4, 2_000.0, 3_800.0, 150.0, 195.0),
        ("all", None, "delivered", "delivery", "nps", 2, 1, 0, 0.0, 4_000.0, 4_000.0, None, None),
    ]
    assert breakdown(database, "dispatched", "segment = 'country=BR' AND question_version = 1") == [(5,)]
    assert database.query("SELECT segment, dispatched, answered FROM response_rate WHERE segment = 'all'") == [
        ("all", 6, 2)
    ]


@pytest.mark.parametrize("nulls", [0, 1])
def test_a_sampled_customer_stands_for_many(database: ClickHouse, nulls: int) -> None:
    """Horvitz-Thompson: weights are 1/probability, whatever the reader's settings; the weighted NPS follows."""
    put(database, *(ASKED._replace(survey_id=f"s{n}", probability=0.1 if n else 1.0) for n in range(5)))
    put(database, ANSWERED._replace(survey_id="s0"), ANSWERED._replace(survey_id="s1", score=2, band="detractor"))
    columns = "dispatched, answered, rate, represented, answers_represented, weighted_rate, weighted_nps"
    found = database.query(
        f"SELECT {columns} FROM response_breakdown WHERE segment = 'all' SETTINGS join_use_nulls = {nulls}"
    )
    assert found == [(5, 2, 0.4, 41.0, 11.0, 0.2683, -81.82)]


REMINDED = ASKED._replace(reminder=1)
ANOTHERS = REFUSED._replace(decision_id="d9", customer_id="another")
"""The same source and id under another customer: another trigger."""

WELL: tuple[Record, ...] = (DECIDED, ASKED, REMINDED, ANSWERED, trigger(2, PENDING), trigger(3, REFUSED), ANOTHERS)


def test_the_audit_is_silent_when_all_is_well(database: ClickHouse) -> None:
    """Sent, reminded, answered, pending and suppressed triggers, redelivered too, are no finding."""
    put(database, *WELL, *WELL)
    assert database.query("SELECT * FROM ledger_audit") == []


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ((ASKED._replace(survey_id="x"),), "dispatch without a decision to send"),
        ((trigger(4, DECIDED, survey_id="x"),), "decision to send without a dispatch"),
        ((trigger(4, DECIDED, survey_id="x"), REMINDED._replace(survey_id="x")), "reminder without a first message"),
        ((ANSWERED._replace(survey_id="x"),), "answer without a dispatch"),
        ((REFUSED._replace(decision_id="d9"),), "two decisions of one trigger"),
        ((trigger(4, REFUSED, reason=None),), "outcome and reason contradict each other"),
        ((trigger(4, PENDING, reason="opted_out"),), "outcome and reason contradict each other"),
    ],
)  # fmt: skip
def test_the_audit_finds_what_cannot_be(database: ClickHouse, wrong: tuple[Record, ...], problem: str) -> None:
    """Each contradiction is a row that names the Kafka record it lies in."""
    put(database, *WELL, *wrong)
    found = database.query("SELECT problem, kafka_topic FROM ledger_audit")
    assert problem in {row[0] for row in found}
    assert {str(row[1]) for row in found} <= {"nps.decisions", "nps.dispatches", "nps.answers"}


def test_rows_from_before_the_migration_are_whole(server: LocalServer) -> None:
    """What an older sink loaded gets lag, question, weight and customer; it is replaced and erased as ever."""
    older, database = (connect(f"{server.address}/upgraded") for _ in range(2))
    migrate(older, released()[:2])
    old = [name for name in ASKED._fields if name not in ASKED._fields[13:22]]
    kept = tuple(getattr(ASKED, name) for name in old)
    older.insert("dispatches", old, [kept, kept])
    older.insert("dead_letters", ["origin_topic", "key"], [("nps.responses", "c1")])
    migrate(database)
    columns = "question, question_version, channel, reminder, lag_ms, probability"
    assert database.query(f"SELECT {columns} FROM dispatches FINAL") == [("delivery", 1, None, 0, 4_000, 1.0)]
    assert database.query("SELECT customer_id FROM dead_letters") == [("c1",)]
    put(database, ASKED._replace(version=2), ASKED._replace(reminder=1))
    assert database.query("SELECT reminder, question FROM dispatches FINAL ORDER BY ALL") == [(0, "nps"), (1, "nps")]
    erasures, until_ms = ClickHouseErasures(database), {digest("c1"): 10_000}
    named = erasures.count_rows(until_ms).total()
    erasures.empty(until_ms)
    until(lambda: not erasures.is_emptying(), "emptied")
    assert (named >= 4, erasures.count_rows(until_ms).total()) == (True, 0)
