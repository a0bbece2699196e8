"""`nps rebuild` on the local stack: it comes to what worker and sink made of a history, and is adopted whole."""

import re
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from schemas.codec import Codec
from sinks.clickhouse.client import ClickHouse, connect
from streams.local.servers import local_broker, local_clickhouse
from tests.faults.oracle.terms import PROGRAM
from tests.faults.traffic.generator import Mix, generate, produce
from tests.support.commands import Service, done, run, until

CODEC = Codec()
TABLES = ("answers", "decisions", "dispatches", "alerts", "erasures", "panes")


class Setting(NamedTuple):
    """A local stack whose worker and sink have done with a history."""

    environ: dict[str, str]
    warehouse: ClickHouse
    worker: Service
    sink: Service

    def rows_of(self, table: str) -> object:
        """Rows of a table."""
        return self.warehouse.query(f"SELECT count() FROM {table} FINAL")[0][0]

    def settle(self) -> None:
        """Wait until no more rows come for a while."""
        seen, since = None, time.monotonic()
        while time.monotonic() - since < 6:
            now = [self.warehouse.query(f"SELECT count(), max(loaded_at) FROM {table}") for table in TABLES]
            if now != seen:
                seen, since = now, time.monotonic()
            time.sleep(0.3)


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setting]:
    """A history with everything in it, decided and loaded."""
    folder = tmp_path_factory.mktemp("rebuild")
    with local_broker() as broker, local_clickhouse(folder / "clickhouse") as clickhouse:
        environ = {
            "NPS_BROKERS": broker.address,
            "NPS_CLICKHOUSE_URL": f"{clickhouse.address}/nps",
            "NPS_PARTITIONS": "2",
            "NPS_PROGRAM": str(PROGRAM),
            "NPS_SESSION_TIMEOUT_MS": "3000",
        }
        done("topics", environ=environ)
        done("migrate", environ=environ)
        produce(broker.address, generate(5, Mix(visits=150, customers=100, junk_bytes=1_000)))
        log = folder / "log"
        with (
            closing(connect(environ["NPS_CLICKHOUSE_URL"])) as warehouse,
            Service("worker", environ, log) as worker,
            Service("sink", environ, log) as sink,
        ):
            made = Setting(environ, warehouse, worker, sink)
            until(lambda: made.rows_of("answers") != 0, "answers are loaded")
            made.settle()
            yield made


def test_rebuilt_is_in_force_and_is_adopted_whole(setting: Setting) -> None:
    """It agrees to the row; a row that was lost is found, and adoption brings it back."""
    environ, warehouse = setting.environ, setting.warehouse
    ended = run("rebuild", environ=environ)
    assert (ended.returncode, ended.stderr) == (0, ""), ended
    assert "they agree" in ended.stdout
    assert {str(row[0]) for row in warehouse.query("SELECT DISTINCT kafka_topic FROM nps_rebuild.answers")} == {
        "rebuild"
    }
    before = {table: setting.rows_of(table) for table in TABLES}
    warehouse.command("ALTER TABLE answers DELETE WHERE score <= 6 SETTINGS mutations_sync = 1")
    ended = run("rebuild", environ=environ)
    assert ended.returncode == 1
    assert re.search(r"│ answers +│", ended.stdout), ended.stdout
    assert warehouse.query("SELECT DISTINCT table_name FROM nps_rebuild.differences") == [("answers",)]
    assert "adopted: " in done("rebuild", "--adopt", environ=environ)
    assert {table: setting.rows_of(table) for table in TABLES} == before
    assert warehouse.query("SELECT count() FROM audit_between(since = '1970-01-01', until = '2100-01-01')") == [(0,)]
    refused = run("rebuild", environ=environ)
    assert (refused.returncode, refused.stderr) == (
        2, "nps: nps_rebuild holds what an adoption left there: `nps rebuild --drop` removes it\n"
    )  # fmt: skip
    done("rebuild", "--drop", environ=environ)
    assert warehouse.query("SELECT count() FROM system.databases WHERE name = 'nps_rebuild'") == [(0,)]
    assert "they agree" in done("rebuild", environ=environ)


def test_another_program_is_compared_and_not_adopted(setting: Setting, tmp_path: Path) -> None:
    """What would have been sent by it lies beside, to be asked; the tables in force are those of who decides now."""
    environ, changed = setting.environ, tmp_path / "new.toml"
    changed.write_text(PROGRAM.read_text().replace('channels = ["email", "sms"]', 'channels = ["sms"]'))
    before = setting.rows_of("dispatches")
    ended = run("rebuild", "--program", str(changed), environ=environ)
    assert ended.returncode == 1
    assert "differences" in ended.stdout
    sent = "SELECT count() FROM nps_rebuild.dispatches FINAL WHERE rule = 'after-support' AND channel = 'email'"
    assert setting.warehouse.query(sent) == [(0,)]
    refused = run("rebuild", "--adopt", environ=environ)
    assert refused.returncode == 2
    assert "run the workers with that program" in refused.stderr
    assert setting.rows_of("dispatches") == before
