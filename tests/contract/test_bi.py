"""What an analyst may rely on in ClickHouse, whatever is summed, filtered or grouped by."""

import datetime
import random
import re
from collections import Counter
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from schemas.events import Answer, PaneTally, Record
from schemas.topics import PANES
from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.layout import Layout
from sinks.clickhouse.migrate import migrate, views
from streams.domain.nps import Tally, interval, score
from streams.local.servers import LocalServer
from tests.support.ledger_rows import ALERTED, ANSWERED, ASKED, DECIDED, insert, put

DAY_MS, HOUR_MS, MINUTE_MS = 86_400_000, 3_600_000, 60_000
README = Path(__file__).parents[2] / "README.md"
LENGTHS = {"minute": MINUTE_MS, "hour": HOUR_MS, "day": DAY_MS}
LAYOUT = Layout(("country", "category", "tier"), (("country",), ("category",), ("country", "category")))
COUNTRIES, CATEGORIES, TIERS = ("BR", "DE", "(none)"), ("toys", "a,b=c|100%"), ("gold", "basic")
NOW = datetime.datetime.now(datetime.UTC)
TODAY_MS = int(NOW.timestamp()) * 1000 // DAY_MS * DAY_MS
ANSWERS = 400


def answers() -> list[Answer]:
    """Of the twenty days before today, some of them corrected, withdrawn or too late."""
    r = random.Random(7)
    made = []
    for number in range(ANSWERS):
        country, category, tier = r.choice(COUNTRIES), r.choice(CATEGORIES), r.choice(TIERS)
        value = r.randrange(11)
        counted = r.random() < 0.9
        escaped = category.replace("%", "%25").replace("=", "%3D").replace(",", "%2C").replace("|", "%7C")
        segments = ["all", f"country={country}", f"category={escaped}", f"country={country},category={escaped}"]
        sent_ms = TODAY_MS - r.randrange(1, 20 * DAY_MS)
        made.append(ANSWERED._replace(
            survey_id=f"s{number}", customer_id=f"c{number}", survey=r.choice(("delivery", "support")), score=value,
            band=band_of(value), counted=counted, flag=None if counted else "expired", sent_ms=sent_ms,
            answered_ms=min(sent_ms + r.randrange(2 * DAY_MS), TODAY_MS - 1), segments=segments, version=2,
            dimensions={"country": country, "category": category, "tier": tier},
        ))  # fmt: skip
    return made


def band_of(value: int) -> str:
    return "promoter" if value > 8 else "passive" if value > 6 else "detractor"


def records(given: list[Answer]) -> Iterator[Record]:
    """All that the stream writes of them, with older versions before and behind."""
    for number, answer in enumerate(given):
        yield answer._replace(score=0, band="detractor", counted=True, version=1)
        yield answer
        yield ASKED._replace(
            survey_id=answer.survey_id, customer_id=answer.customer_id, survey=answer.survey, due_ms=answer.sent_ms,
            trigger_ms=answer.sent_ms - HOUR_MS, expires_ms=answer.sent_ms + 30 * DAY_MS, segments=answer.segments,
            dimensions=answer.dimensions, channel=("email", "sms")[number % 2],
        )  # fmt: skip
        yield DECIDED._replace(
            decision_id=f"d{number}", survey_id=answer.survey_id, customer_id=answer.customer_id, survey=answer.survey,
            trigger_id=f"t{number}", trigger_ms=answer.sent_ms - HOUR_MS, segments=answer.segments,
        )  # fmt: skip
        if answer.band == "detractor" and answer.counted:
            yield ALERTED._replace(alert_id=f"a{number}", dedup_key=answer.survey_id, segments=answer.segments)
    yield given[0]._replace(score=0, band="detractor", version=1)


def panes(given: list[Answer], since_ms: int = 0) -> list[tuple[object, ...]]:
    """Rows of the panes, from two source partitions; segments of dimensions only of what was answered since then."""
    tallies: dict[tuple[str, str, int, int], Counter[str]] = {}
    for number, answer in enumerate(given):
        if answer.counted:
            for segment in answer.segments if answer.answered_ms >= since_ms else ["all"]:
                for name, length in LENGTHS.items():
                    key = (segment, name, answer.answered_ms // length * length, number % 2)
                    tallies.setdefault(key, Counter())[str(answer.band)] += 1
    rows: list[tuple[object, ...]] = []
    for (segment, name, start_ms, source), counts in tallies.items():
        bands = (counts["promoter"], counts["passive"], counts["detractor"])
        pane = PaneTally(segment, name, start_ms, source, *bands, "prog", 2)
        rows += [(*one, PANES.name, 0, 0, TODAY_MS) for one in (pane._replace(promoters=99, version=1), pane)]
    return rows


GIVEN = answers()
COUNTED = [answer for answer in GIVEN if answer.counted]


@pytest.fixture(scope="module")
def filled(module_database: ClickHouse) -> ClickHouse:
    migrate(module_database, LAYOUT)
    put(module_database, *records(GIVEN))
    insert(module_database, PANES.name, panes(GIVEN))
    return module_database


def readable(database: ClickHouse, column: str) -> list[str]:
    """Views with this column, but those that want a range."""
    shown = "SELECT DISTINCT table FROM system.columns WHERE database = currentDatabase() AND name = {name:String}"
    named = {view.name for view in views(LAYOUT)}
    return sorted(str(row[0]) for row in database.query(shown, {"name": column}) if row[0] in named)


def test_what_is_called_n_adds_up_to_all_answers(filled: ClickHouse) -> None:
    """In every view that has it, and in each part that it may be filtered to."""
    found = readable(filled, "n")
    assert set(found) >= {
        "fact_answers",
        "nps_by_minute",
        "nps_by_hour",
        "nps_by_day",
        "nps_by_survey",
        "score_histogram",
    }
    assert {view: filled.query(f"SELECT sum(n) FROM {view}") for view in found} == {v: [(len(COUNTED),)] for v in found}
    by_country = Counter(answer.dimensions["country"] for answer in COUNTED)
    for view in readable(filled, "country"):
        if view in found:
            rows = filled.query(f"SELECT country, sum(n) FROM {view} GROUP BY country")
            assert {str(row[0]): row[1] for row in rows} == by_country, view


def test_where_rows_overlap_nothing_is_called_n(filled: ClickHouse) -> None:
    """Segments, windows and periods overlap: no view with such a column has an `n`."""
    overlapping = {view for column in ("segment", "window", "days") for view in readable(filled, column)}
    assert overlapping >= {"nps_current", "nps_by_segment", "nps_change", "segment_nps_by_day"}
    assert overlapping.isdisjoint(readable(filled, "n"))


def test_the_interval_holds_its_value(filled: ClickHouse) -> None:
    """In every row of every view that has one."""
    found = readable(filled, "low")
    assert len(found) >= 9
    for view in found:
        outside = filled.query(f"SELECT countIf(NOT (nps BETWEEN low AND high)), count() FROM {view}")
        assert outside[0][0] == 0, view
    change = filled.query("SELECT countIf(NOT (change BETWEEN change_low AND change_high)), count() FROM nps_change")
    assert change[0][0] == 0 < int(str(change[0][1]))


def test_facts_are_what_was_given(filled: ClickHouse) -> None:
    """A row a thing, with its dimensions in columns; the score from `net` and `n` is that of a recount."""
    rows = filled.query(
        "SELECT tier, category, sum(n), sum(net), countIf(channel = 'sms') FROM fact_answers GROUP BY ALL"
    )
    expected: dict[tuple[str, str], list[int]] = {}
    for number, answer in enumerate(GIVEN):
        cell = expected.setdefault((answer.dimensions["tier"], answer.dimensions["category"]), [0, 0, 0])
        cell[0] += answer.counted
        cell[1] += answer.counted * ((answer.band == "promoter") - (answer.band == "detractor"))
        cell[2] += number % 2
    assert {(row[0], row[1]): list(row[2:]) for row in rows} == expected
    sums = (
        "sum(dispatched), sum(answered), (SELECT sum(triggers) FROM fact_decisions), (SELECT count() FROM fact_alerts)"
    )
    detractors = sum(answer.band == "detractor" for answer in COUNTED)
    assert filled.query(f"SELECT {sums} FROM fact_invitations") == [(ANSWERS, len(COUNTED), ANSWERS, detractors)]
    rates = filled.query("SELECT sum(dispatched), sum(answered) FROM response_rate")
    assert (
        rates
        == [(ANSWERS, len(COUNTED))]
        == filled.query("SELECT sum(dispatched), sum(answered) FROM response_breakdown")
    )


def test_periods_are_compared(filled: ClickHouse) -> None:
    """Seven days against the seven before; a change is beyond chance when zero is outside its interval."""
    halves = [[a for a in COUNTED if low <= (TODAY_MS - 1 - a.answered_ms) // DAY_MS < low + 7] for low in (0, 7)]
    tallies = [
        Tally(*(sum(a.band == b for a in half) for b in ("promoter", "passive", "detractor"))) for half in halves
    ]
    columns = "answers, nps, answers_before, nps_before, change, is_beyond_chance = (change_low > 0 OR change_high < 0)"
    found = filled.query(f"SELECT {columns} FROM nps_change WHERE segment = 'all' AND days = 7")
    now, before = (score(tally) or 0.0 for tally in tallies)
    assert found == [(len(halves[0]), now, len(halves[1]), before, round(now - before, 2), True)]


def test_answers_from_before_a_combination_was_kept_are_there(database: ClickHouse) -> None:
    """What the program did not keep by these dimensions yet is in rows without them, and the sums are right."""
    since_ms = TODAY_MS - 5 * DAY_MS
    migrate(database, LAYOUT)
    insert(database, PANES.name, panes(GIVEN, since_ms))
    old = sum(answer.answered_ms < since_ms for answer in COUNTED)
    for view in ("nps_by_day", "nps_by_hour", "nps_by_minute"):
        found = database.query(f"SELECT sum(n), sumIf(n, country IS NULL AND category IS NULL) FROM {view}")
        assert found == [(len(COUNTED), old)]


def test_the_notebook_of_the_readme_finds_who_fell(
    database: ClickHouse, server: LocalServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of two countries the one that fell by more than chance, and not the one that did not."""
    migrate(database, LAYOUT)
    tallies = {"BR": ((40, 5, 5), (10, 10, 30)), "DE": ((30, 10, 10), (29, 10, 11))}
    for country, halves in tallies.items():
        for (promoters, passives, detractors), age_days in zip(halves, (40, 10), strict=True):
            bands = (promoters, passives, detractors)
            pane = PaneTally(f"country={country}", "day", TODAY_MS - age_days * DAY_MS, 0, *bands, "prog", 1)
            insert(database, PANES.name, [(*pane, PANES.name, 0, 0, TODAY_MS)])
    (block,) = re.findall(
        r"```python\n(import clickhouse_connect\n.*?)```", README.read_text(encoding="utf-8"), re.DOTALL
    )
    where = urlsplit(server.address)
    here = block.replace("port=8123", f"port={where.port}").replace('database="nps"', f'database="{database.database}"')
    assert block != here
    exec(compile(here, "README.md", "exec"), {})  # the README's own lines, as a reader runs them
    printed = capsys.readouterr().out
    assert ("country=BR" in printed, "country=DE" in printed, "-110.0" in printed) == (True, False, True)


FIGURES = (resources.files("sinks.clickhouse") / "sql" / "views" / "figures.sql").read_text(encoding="utf-8")
EACH_SIDE = (
    "SELECT number % 401 AS promoters, intDiv(number, 401) AS detractors, number % 53 AS passives FROM numbers(160801)"
)
A_MILLION = """
SELECT cityHash64(number, 1) % intExp10(1 + number % 7) AS promoters,
       cityHash64(number, 2) % intExp10(1 + number % 5) AS passives,
       cityHash64(number, 3) % intExp10(1 + number % 6) AS detractors
FROM numbers({first}, 100000)
"""


@pytest.mark.parametrize("source", [EACH_SIDE, *(A_MILLION.format(first=at * 100_000) for at in range(10))])
def test_stream_and_warehouse_round_alike(database: ClickHouse, source: str) -> None:
    """All counts of up to 400 promoters and detractors, and a million others: no digit differs."""
    tallies = "toInt64(promoters) AS promoters, toInt64(passives) AS passives, toInt64(detractors) AS detractors"
    figures = f"SELECT *, {FIGURES} FROM (SELECT {tallies} FROM ({source}))"
    for promoters, passives, detractors, *found in database.query(
        f"SELECT promoters, passives, detractors, nps, low, high, margin FROM ({figures})"
    ):
        tally = Tally(int(str(promoters)), int(str(passives)), int(str(detractors)))
        assert tuple(found) == (score(tally), *(interval(tally) or (None, None, None))), tally
