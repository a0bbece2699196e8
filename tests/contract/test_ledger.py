"""The ledger's views on ClickHouse: every trigger ends in one way, and who answered, how late, and for how many."""

import datetime
import time

import pytest

from schemas.events import Decision, PaneTally, Record, SegmentNps
from schemas.topics import PANES, ROLLING
from sinks.clickhouse.client import ClickHouse
from sinks.warehouse import Row
from tests.support.ledger_rows import ANSWERED, ASKED, DECIDED, insert, put

DAY_MS = 86_400_000
AUDIT = "ledger_audit_between(since = '1970-01-01', until = '2100-01-01')"
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
    found = ledger(database, "day, rule, trigger_type, triggers, sent, suppressed, pending")
    first, second = datetime.date(1970, 1, 1), datetime.date(1970, 1, 2)
    assert found == [
        (first, "care", "order.delivered", 1, 0, 1, 0),
        (first, "delivered", "case.solved", 1, 0, 1, 0),
        (first, "delivered", "order.delivered", 3, 1, 1, 1),
        (second, None, "order.delivered", 1, 0, 1, 0),
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


def breakdown(database: ClickHouse, columns: str) -> list[Row]:
    return database.query(f"SELECT {columns} FROM response_breakdown ORDER BY ALL")


def test_rate_and_lag_by_everything_that_moves_them(database: ClickHouse) -> None:
    """A row for each day, channel, rule, survey, question and version; a reminder is no further dispatch."""
    asked = [ASKED._replace(survey_id=f"s{n}", lag_ms=1_000 * n) for n in range(5)]
    answers = [ANSWERED._replace(survey_id=f"s{n}", answered_ms=5_000 + 100 * n) for n in (1, 2, 3)]
    put(database, *asked, *asked[:2], asked[1]._replace(reminder=1, due_ms=7_000, version=2), *answers)
    put(database, answers[2]._replace(counted=False, flag="voided", version=2))
    put(database, ASKED._replace(survey_id="x", question_version=2, channel=None))
    columns = (
        "channel, rule, survey, question, question_version, dispatched, answered, rate, "
        "median_lag_to_sending_ms, p95_lag_to_sending_ms, median_lag_to_answer_ms, p95_lag_to_answer_ms"
    )
    assert breakdown(database, columns) == [
        ("email", "delivered", "delivery", "nps", 1, 5, 2, 0.4, 2_000.0, 3_800.0, 150.0, 195.0),
        (None, "delivered", "delivery", "nps", 2, 1, 0, 0.0, 4_000.0, 4_000.0, None, None),
    ]
    assert database.query("SELECT sum(dispatched), sum(answered) FROM response_rate") == [(6, 2)]


@pytest.mark.parametrize("nulls", [0, 1])
def test_a_sampled_customer_stands_for_many(database: ClickHouse, nulls: int) -> None:
    """Horvitz-Thompson: weights are 1/probability, whatever the reader's settings; the weighted NPS follows."""
    put(database, *(ASKED._replace(survey_id=f"s{n}", probability=0.1 if n else 1.0) for n in range(5)))
    put(database, ANSWERED._replace(survey_id="s0"), ANSWERED._replace(survey_id="s1", score=2, band="detractor"))
    columns = "dispatched, answered, rate, represented, answers_represented, weighted_rate, weighted_nps"
    found = database.query(f"SELECT {columns} FROM response_breakdown SETTINGS join_use_nulls = {nulls}")
    assert found == [(5, 2, 0.4, 41.0, 11.0, 0.2683, -81.82)]


REMINDED = ASKED._replace(reminder=1)
ANOTHERS = REFUSED._replace(decision_id="d9", customer_id="another")
"""The same source and id under another customer: another trigger."""

WELL: tuple[Record, ...] = (DECIDED, ASKED, REMINDED, ANSWERED, trigger(2, PENDING), trigger(3, REFUSED), ANOTHERS)


def test_the_audit_is_silent_when_all_is_well(database: ClickHouse) -> None:
    """Sent, reminded, answered, pending and suppressed triggers, redelivered too, are no finding."""
    put(database, *WELL, *WELL)
    assert database.query(f"SELECT * FROM {AUDIT}") == []


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
        ((ANSWERED._replace(band="passive", version=2),), "band and score contradict each other"),
        ((ANSWERED._replace(band=None, version=2),), "band and score contradict each other"),
        ((ANSWERED._replace(score=None, version=2),), "band and score contradict each other"),
        ((ANSWERED._replace(score=8, version=2),), "band and score contradict each other"),
        ((ANSWERED._replace(score=6, band="passive", version=2),), "band and score contradict each other"),
        ((ANSWERED._replace(customer_id="c2", version=2),), "answer of another customer than was asked"),
        ((ANSWERED._replace(answered_ms=90_000, version=2),), "answer that counts after its survey expired"),
    ],
)  # fmt: skip
def test_the_audit_finds_what_cannot_be(database: ClickHouse, wrong: tuple[Record, ...], problem: str) -> None:
    """Each contradiction is a row that names the Kafka record it lies in."""
    put(database, *WELL, *wrong)
    found = database.query(f"SELECT problem, kafka_topic FROM {AUDIT}")
    assert problem in {row[0] for row in found}
    assert {str(row[1]) for row in found} <= {"nps.decisions", "nps.dispatches", "nps.answers"}


@pytest.mark.parametrize(
    "fine",
    [
        (ANSWERED._replace(score=None, band=None, counted=False, flag="no_score", version=2),),
        *((ANSWERED._replace(score=score, band=band, version=2),) for score, band in
          ((0, "detractor"), (6, "detractor"), (7, "passive"), (8, "passive"), (10, "promoter"))),
        (ANSWERED._replace(answered_ms=90_000, counted=False, flag="expired", version=2),),
        (ANSWERED._replace(answered_ms=89_999, version=2),),
        (ANSWERED._replace(customer_id="", version=2),),
        (ASKED._replace(customer_id="", version=2),),
    ],
)  # fmt: skip
def test_the_audit_lets_be_what_can_be(database: ClickHouse, fine: tuple[Record, ...]) -> None:
    """Every band of its score, an answer too late that does not count, rows whose customer was erased."""
    put(database, *WELL, *fine)
    assert database.query(f"SELECT * FROM {AUDIT}") == []


HOUR_MS = 3_600_000
NOW_MS = time.time_ns() // 1_000_000 + HOUR_MS  # still ahead when a loaded machine comes to the last case
END_MS = (NOW_MS // 60_000 + 1) * 60_000
OLD_MS = END_MS - 10 * DAY_MS
PROBLEM = "rolling row that is not the sum of its panes"


def pane(start_ms: int, counts: tuple[int, int, int], offset: int, resolution: str = "minute", **where: int) -> Row:
    tally = PaneTally(
        "all", resolution, start_ms, where.get("source", 0), *counts, "prog", where.get("version", offset)
    )
    return (*tally, "nps.panes", 0, offset, NOW_MS - where.get("age_ms", 0))


def rolled(window: str, start_ms: int, end_ms: int, counts: tuple[int, int, int], version: int, offset: int = 0) -> Row:
    n = sum(counts)
    row = SegmentNps(
        "all", window, start_ms, end_ms, *counts, n, None, None, None, None, False, end_ms, "prog", version
    )
    return (*row, "nps.rolling", 0, offset, NOW_MS)


DAY_END_MS = NOW_MS // DAY_MS * DAY_MS + DAY_MS
PANES_OF_ALL = [
    pane(END_MS - 60_000, (1, 0, 2), 10), pane(END_MS - HOUR_MS, (1, 0, 0), 11), pane(END_MS, (0, 9, 0), 12),
    pane(END_MS - HOUR_MS - 60_000, (0, 0, 7), 13), pane(END_MS - 60_000, (0, 1, 0), 14, source=1),
    pane(DAY_END_MS - DAY_MS, (5, 5, 5), 15, "day"), pane(DAY_END_MS - 90 * DAY_MS, (1, 1, 1), 16, "day"),
    pane(DAY_END_MS - 91 * DAY_MS, (8, 8, 8), 17, "day"),
]  # fmt: skip
HOUR_ROW = ("1h", END_MS - HOUR_MS, END_MS)
EPOCH = 1 << 48


@pytest.mark.parametrize(
    ("rows", "panes", "findings"),
    [
        pytest.param([rolled(*HOUR_ROW, (2, 1, 2), 14)], [], 0, id="the sum"),
        pytest.param([rolled("90d", DAY_END_MS - 90 * DAY_MS, DAY_END_MS, (6, 6, 6), 17)], [], 0, id="the sum of days"),
        pytest.param([rolled(*HOUR_ROW, (2, 1, 3), 14)], [], 1, id="not the sum"),
        pytest.param([rolled("90d", DAY_END_MS - 90 * DAY_MS, DAY_END_MS, (6, 6, 5), 17)], [], 1, id="not of days"),
        pytest.param([rolled(*HOUR_ROW, (1, 1, 2), 10)], [], 0, id="a pane that is newer, and just came"),
        pytest.param(
            [rolled(*HOUR_ROW, (2, 1, 2), 14)], [pane(END_MS - 60_000, (2, 0, 2), 20, age_ms=2 * HOUR_MS)], 1,
            id="a pane that is not taken in",
        ),
        pytest.param(
            [rolled("1h", OLD_MS, OLD_MS + HOUR_MS, (0, 0, 0), 14)],
            [pane(OLD_MS + 60_000, (1, 0, 0), 20, age_ms=2 * HOUR_MS)], 0,
            id="a late answer in a window that emptied long ago",
        ),
        pytest.param([rolled("1h", OLD_MS, OLD_MS + HOUR_MS, (0, 0, 1), 14)], [], 1, id="no panes at all"),
        pytest.param(
            [rolled(*HOUR_ROW, (2, 1, 3), 13), rolled(*HOUR_ROW, (2, 1, 2), 14, 1)], [], 0, id="an older version"
        ),
        pytest.param(
            [rolled("1h", END_MS - HOUR_MS - 60_000, END_MS - 60_000, (7, 7, 7), 14), rolled(*HOUR_ROW, (2, 1, 2), 14)],
            [], 0, id="an older row",
        ),
        pytest.param(
            [rolled(*HOUR_ROW, (1, 0, 0), EPOCH | 3)], [
                pane(END_MS - 60_000, (0, 0, 0), 2, version=EPOCH | 5), pane(END_MS - 60_000, (0, 0, 0), 3, source=1,
                                                                             version=EPOCH | 5),
            ], 0, id="a newer epoch with lower offsets",
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("nulls", [0, 1])
def test_rolling_rows_are_the_sums_of_their_panes(
    database: ClickHouse, rows: list[Row], panes: list[Row], findings: int, nulls: int
) -> None:
    """At each row's own version, in the panes that its window is summed from."""
    insert(database, ROLLING.name, rows)
    insert(database, PANES.name, [*PANES_OF_ALL, *panes])
    found = database.query(f"SELECT problem, kafka_topic FROM ledger_audit SETTINGS join_use_nulls = {nulls}")
    assert found == [(PROBLEM, "nps.rolling")] * findings
