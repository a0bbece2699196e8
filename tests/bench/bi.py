"""How fast BI reads: each view and ten analysts' questions, beside raw SQL over one flat table of the same answers.

The server itself makes a year of answers, straight into the tables, as `bi.toml` says, which also has the questions.
Cold is the first run of a query, warm the median of the next ones.  With --data the tables stay for the next time.

    python -m tests.bench.bi --answers 5000000
    python -m tests.bench.bi --answers 200000 --data /tmp/bi
"""

import argparse
import statistics
import tempfile
import time
import tomllib
from contextlib import closing
from pathlib import Path
from typing import Any

from rich.progress import track
from rich.table import Table

from sinks.clickhouse.client import ClickHouse, connect
from sinks.clickhouse.layout import HOURS_DAYS, MINUTES_DAYS, Layout
from sinks.clickhouse.migrate import migrate
from streams.local.servers import local_clickhouse
from tests.bench.load import DAY_MS, out

ANSWERS = 5_000_000
BAR_MS = 100
WARM_RUNS = 5
LONGEST_MS = 20_000
CHUNK = 500_000
YEAR_MS = 365 * DAY_MS
STARTS = {
    "minute": ("toStartOfMinute", f"now() - INTERVAL {MINUTES_DAYS} DAY"),
    "hour": ("toStartOfHour", f"now() - INTERVAL {HOURS_DAYS} DAY"),
    "day": ("toStartOfDay", "toDateTime(0)"),
}
NPS = "round(100 * (countIf(band = 'promoter') - countIf(band = 'detractor')) / count(), 2)"


def fill(database: ClickHouse, told: dict[str, Any], answers: int) -> None:
    """Make all tables; the flat table is the last, so that it tells that the others are whole."""
    surveys, start_ms = 2 * answers, time.time_ns() // 1_000_000 - YEAR_MS
    for first in track(range(0, surveys, CHUNK), description=f"{answers:,} answers"):
        count = min(CHUNK, surveys - first)
        numbers = {"start_ms": start_ms, "year_ms": YEAR_MS, "surveys": surveys, "first": first, "count": count}
        source = told["surveys"].format(**numbers)
        for name, table in told["tables"].items():
            insert(database, name, f"SELECT {table['values']} FROM ({source}) WHERE {table['rows']}")
    months = database.query("SELECT DISTINCT toYYYYMM(answered_at) AS month FROM answers ORDER BY month")
    for (month,) in track(months, description="panes"):
        for resolution, (start, since) in STARTS.items():
            database.command(told["panes"].format(resolution=resolution, start=start, since=since, month=month))
    database.command(told["rolling"])
    database.command(told["flat"])


def insert(database: ClickHouse, table: str, select: str) -> None:
    """Insert the rows of a query into the columns that it names."""
    columns = [str(row[0]) for row in database.query(f"DESCRIBE ({select})")]
    database.command(f"INSERT INTO {table} ({', '.join(columns)}) {select}")


def timed(database: ClickHouse, sql: str) -> tuple[float, float]:
    """Milliseconds of the first run and of the median warm one, without sending the rows anywhere."""
    taken: list[float] = []
    while len(taken) <= WARM_RUNS and sum(taken) < LONGEST_MS:
        began = time.perf_counter()
        database.command(f"{sql} FORMAT Null")
        taken.append((time.perf_counter() - began) * 1_000)
    return taken[0], statistics.median(taken[1:] or taken)


def measured(database: ClickHouse, questions: list[dict[str, str]]) -> Table:
    """Time every question."""
    ((day, month),) = database.query("SELECT toString(toDate(max(answered_at))), toYYYYMM(max(answered_at)) FROM flat")
    ((answers, panes),) = database.query("SELECT (SELECT count() FROM flat), (SELECT count() FROM panes)")
    title = f"{answers:,} answers, {panes:,} panes: milliseconds, bar {BAR_MS} warm"
    table = Table("question", "cold", "warm", "flat table, warm", "ours to flat", title=title, title_justify="left")
    for question in track(questions, description="questions"):
        ours, flat = (question.get(side, "").format(day=day, month=month, nps=NPS) for side in ("ours", "flat"))
        cold, warm = timed(database, ours)
        cells = ("", "")
        if flat:
            _, flat_ms = timed(database, flat)
            cells = f"{flat_ms:,.0f}", f"{warm / flat_ms:.2f}"
        table.add_row(question["name"], f"{cold:,.0f}", f"{warm:,.0f}", *cells)
    return table


def run(answers: int, data: Path | None = None) -> Table:
    """Make what is not there yet, in this folder or one that goes, and measure."""
    told = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    with (
        tempfile.TemporaryDirectory() as name,
        local_clickhouse(data or Path(name)) as server,
        closing(connect(f"{server.address}/nps", timeout_s=600)) as database,
    ):
        migrate(database, Layout(("country", "category"), (("country",), ("category",), ("country", "category"))))
        if not database.query("SELECT 1 FROM system.tables WHERE database = 'nps' AND name = 'flat'"):
            fill(database, told, answers)
        return measured(database, told["questions"])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=int, default=ANSWERS)
    parser.add_argument("--data", type=Path, help="folder in which the tables stay for the next time")
    parsed = parser.parse_args()
    out.print(run(parsed.answers, parsed.data))


if __name__ == "__main__":
    main()
