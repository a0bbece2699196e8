"""Views of comments: themes by band and those that recur, without a word of what is withdrawn or erased."""

import time
from collections.abc import Iterator

from schemas.events import Record
from sinks.clickhouse.client import ClickHouse
from tests.support.ledger_rows import ANSWERED, JUDGED, put

DAY_MS = 86_400_000
NOW_MS = time.time_ns() // 1_000_000


def judged(
    number: int, band: str, sentiment: str | None, *themes: str, days: int = 1, customer: int | None = None
) -> Iterator[Record]:
    """An answer given so many days ago, and the judgement of its comment, after an older one that said otherwise."""
    who = f"c{number if customer is None else customer}"
    at_ms = NOW_MS - days * DAY_MS
    answer = ANSWERED._replace(
        survey_id=f"s{number}", customer_id=who, band=band, sent_ms=at_ms - DAY_MS, answered_ms=at_ms
    )  # fmt: skip
    told = JUDGED._replace(
        survey_id=answer.survey_id, customer_id=who, themes=list(themes), sentiment=sentiment, sent_ms=answer.sent_ms,
        answered_ms=at_ms, version=3, revision=2,
    )  # fmt: skip
    yield from (answer, told, told._replace(themes=["older"], sentiment="neutral", version=2))


def test_themes_by_band(database: ClickHouse) -> None:
    """A comment of two themes is in the row of each; one that was withdrawn or superseded is in none."""
    put(
        database, *judged(1, "detractor", "negative", "delivery", "support"), *judged(4, "promoter", None),
        *judged(2, "detractor", "neutral", "delivery"), *judged(3, "promoter", "positive", "delivery"),
    )  # fmt: skip
    rows = database.query(
        "SELECT theme, band, sum(comments), sum(positive), sum(neutral), sum(negative) "
        "FROM theme_by_band GROUP BY theme, band ORDER BY theme, band"
    )
    assert rows == [
        ("delivery", "detractor", 2, 0, 1, 1), ("delivery", "promoter", 1, 1, 0, 0),
        ("support", "detractor", 1, 0, 0, 1),
    ]  # fmt: skip
    facts = database.query("SELECT band, themes, sentiment FROM fact_comments ORDER BY band, themes")
    assert facts == [
        ("detractor", ["delivery"], "neutral"), ("detractor", ["delivery", "support"], "negative"),
        ("promoter", ["delivery"], "positive"),
    ]  # fmt: skip


def test_recurring_themes(database: ClickHouse) -> None:
    """Five customers within 14 days make one, however often each wrote; earlier and withdrawn comments do not."""
    written = list(judged(40, "detractor", "negative", "delivery", days=20))
    for number in range(5):
        written += judged(number, "detractor", "negative" if number else "positive", "delivery")
        written += judged(10 + number, "detractor", "negative", "price", customer=1)
        written += judged(20 + number, "detractor", "negative", "support", days=20)
        written += judged(30 + number, "passive", "neutral" if number else None, "ease")
    put(database, *written)
    assert database.query("SELECT * FROM recurring_themes") == [("delivery", 5, 1, 5, 4)]
