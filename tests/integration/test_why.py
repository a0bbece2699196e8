"""`nps why` tells a customer's story as ClickHouse has it: in order, with reasons in words, and nobody else's."""

from collections.abc import Iterator

import pytest

from schemas.reasons import Reason
from schemas.topics import DEAD_LETTERS
from sinks.clickhouse.client import ClickHouse, connect
from sinks.clickhouse.erasures import ClickHouseErasures
from sinks.clickhouse.migrate import migrate
from sinks.erasure.process import ErasureProcess
from streams.local.servers import LocalServer, local_clickhouse
from tests.support.commands import done, until
from tests.support.ledger_rows import (
    ALERTED,
    ANSWERED,
    ASKED,
    DECIDED,
    ERASED,
    dead_letter,
    insert,
    put,
    rows_of,
)  # fmt: skip

MINUTE_MS = 60_000
ALL = (
    DECIDED,
    ASKED,
    ASKED._replace(reminder=1, due_ms=MINUTE_MS, channel="sms", locale=None, version=2),
    ANSWERED._replace(score=3, band="detractor", comment="late", received_ms=2 * MINUTE_MS),
    ALERTED._replace(received_ms=2 * MINUTE_MS, score=3),
    ANSWERED._replace(revision=2, received_ms=3 * MINUTE_MS, version=2),
    ALERTED._replace(alert_id="a2", status="resolved", revision=2, received_ms=3 * MINUTE_MS, score=9, version=2),
    DECIDED._replace(decision_id="d2", trigger_id="t2", trigger_ms=4 * MINUTE_MS, decided_ms=4 * MINUTE_MS,
                     outcome="suppressed", reason="asked_recently", cause_id="t1", survey_id=None, lag_ms=None),
    DECIDED._replace(decision_id="d3", trigger_id="t3", trigger_ms=5 * MINUTE_MS, decided_ms=6 * MINUTE_MS,
                     outcome="pending", survey_id=None, lag_ms=None, version=0),
    DECIDED._replace(decision_id="d4", customer_id="somebody else"),
)  # fmt: skip
NASTY = "c1' OR '1' = '1"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    with local_clickhouse(tmp_path_factory.mktemp("clickhouse")) as started:
        yield started


@pytest.fixture
def environ(server: LocalServer, request: pytest.FixtureRequest) -> dict[str, str]:
    """Settings of a database of the test's own."""
    return {"NPS_CLICKHOUSE_URL": f"{server.address}/{request.node.name}", "NPS_SERVER_WAIT_S": "10"}


@pytest.fixture
def database(environ: dict[str, str]) -> Iterator[ClickHouse]:
    made = connect(environ["NPS_CLICKHOUSE_URL"])
    migrate(made)
    yield made
    made.close()


def lines(said: str) -> list[tuple[str, str, str]]:
    """Time, what and detail of each line of the story."""
    cells = (
        tuple(cell.strip() for cell in line.split("│")[1:-1]) for line in said.splitlines() if line.startswith("│")
    )
    return [(time, what, detail) for time, what, detail in cells]


def test_a_story_moves_no_cursor(environ: dict[str, str], database: ClickHouse) -> None:
    """Whatever a customer wrote, or is called, is written out; in a log as at a terminal."""
    nasty = "c\x1b[2J\u202e"
    put(database, ANSWERED._replace(customer_id=nasty, comment="\x9b2J\r\u2066 ok"))
    for customer in (nasty, "nobody\x1b[2J"):
        said = done("why", customer, environ=environ)
        assert not set(said) & set("\x1b\x9b\r\u202e\u2066")
    assert "\\x9b2J\\r\\u2066 ok" in done("why", nasty, environ=environ)


def test_a_story_is_told_in_order(environ: dict[str, str], database: ClickHouse) -> None:
    """Triggers, decisions, messages, answers with their revisions and alerts, oldest first, each once."""
    put(database, *ALL, *ALL[::-1], ALL[0]._replace(outcome="pending", survey_id=None, version=0))
    insert(database, DEAD_LETTERS, rows_of(dead_letter(b"c1", b"x")))
    told = lines(done("why", "c1", environ=environ))
    assert [(time[14:], what) for time, what, _ in told] == [
        ("00:01", "trigger"), ("00:05", "sent"), ("00:05", "message"), ("00:50", "dead letter"),
        ("01:00", "reminder 1"), ("02:00", "answer"), ("02:00", "alert"), ("03:00", "answer"), ("03:00", "alert"),
        ("04:00", "trigger"),
        ("04:00", "suppressed"), ("05:00", "trigger"), ("05:00", "pending"),
    ]  # fmt: skip
    details = [detail for _, _, detail in told]
    assert details[0] == "order.delivered shop/t1 about o1"
    assert details[1] == "delivery by rule delivered on email, 4 s after the trigger"
    assert details[2] == ("delivery, question nps version 1, email, pt-BR, open until 1970-01-01 00:01:30, survey s1")
    assert details[5].startswith("3 (detractor), “late”, revision 1, counts")
    assert details[10] == (
        f"delivery by rule delivered: asked_recently - {Reason.ASKED_RECENTLY.meaning}, because of t1"
    )
    assert details[12] == "delivery by rule delivered, due 1970-01-01 00:06:00"
    assert "a-token" not in str(told)


def test_nobody_else_is_named(environ: dict[str, str], database: ClickHouse) -> None:
    """An unknown customer has no story, and no id reaches beyond its place in the query."""
    put(database, *ALL)
    for nobody in ("nobody", NASTY, ""):
        assert done("why", nobody, environ=environ).strip() == f"nothing is known of customer {nobody}".strip()


def test_of_an_erased_customer_only_the_erasure_is_known(environ: dict[str, str], database: ClickHouse) -> None:
    """What came before is gone, and the story says when."""
    now_ms = [100 * MINUTE_MS]
    put(database, *(one._replace(customer_id="c9") for one in ALL[:5]))
    erasure = ErasureProcess(ClickHouseErasures(database), database, lambda: now_ms[0], settle_ms=MINUTE_MS)
    put(database, ERASED._replace(customer_id="c9", erasure_id="e9"), loaded_ms=now_ms[0])
    erasure.advance()
    until(lambda: not ClickHouseErasures(database).is_emptying(), "emptied")
    now_ms[0] += MINUTE_MS
    erasure.advance()
    assert lines(done("why", "c9", environ=environ)) == [
        ("1970-01-01 00:00:10", "erased", "what came before is gone: done 1970-01-01 01:41:00, 5 rows emptied")
    ]
