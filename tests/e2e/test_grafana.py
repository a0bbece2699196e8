"""Grafana's dashboards have something to show on the demo: SQL in ClickHouse, PromQL in a real Prometheus."""

import functools
import json
import shutil
import time
import urllib.parse
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
import yaml

from sinks.clickhouse.client import connect
from streams.local.servers import HOST, free_port
from tests.support.commands import ROOT, Child, until
from tests.support.demo import RunningDemo, running_demo
from tests.support.grafana_files import DASHBOARDS, filled_in, targets

DAY_MS = 86_400_000
RATE_INTERVAL = "20s"
"""Grafana's `$__rate_interval` where Prometheus scrapes every five seconds."""

RIGHTLY_EMPTY = {
    "nps_collector_requests_total": "the demo runs no collector",
    "nps_collector_connections_cut_total": "the demo runs no collector",
    'result!="ok"': "no delivery had to be tried again",
}
"""Parts of queries that rightly have no series on the demo, and why."""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    with running_demo(tmp_path_factory.mktemp("demo")) as running:
        yield running


def test_every_query_of_the_figures_has_rows(demo: RunningDemo) -> None:
    """Of the last 30 days, as the dashboard opens; a series begins with its time, in order; defaults can be chosen."""
    dashboard, to_ms = DASHBOARDS["nps"], int(time.time() * 1000)
    with closing(connect(demo.clickhouse_url)) as database:
        for title, target in targets(dashboard, "rawSql"):
            rows = database.query(filled_in(dashboard, target["rawSql"], to_ms - 30 * DAY_MS, to_ms))
            assert rows, title
            assert any(value is not None for row in rows for value in row), title
            if target["queryType"] == "timeseries":
                times = [str(row[0]) for row in rows]
                assert times == sorted(times), title
        for variable in dashboard["templating"]["list"]:
            assert (variable["current"]["value"],) in [tuple(row) for row in database.query(variable["query"])]


def test_every_query_of_operations_has_series(demo: RunningDemo, tmp_path: Path) -> None:
    """In a Prometheus that scrapes the demo; it takes those, too, that are rightly empty."""
    asked = {
        target["expr"].replace("$__rate_interval", RATE_INTERVAL)
        for _, target in targets(DASHBOARDS["operations"], "expr")
    }
    empty = {query for query in asked if any(part in query for part in RIGHTLY_EMPTY)}
    assert len(empty) == len(RIGHTLY_EMPTY)
    with _prometheus(demo, tmp_path) as url:
        for query in sorted(asked - empty):
            until(functools.partial(_series, url, query), f"series of {query}")
        assert [query for query in empty if _series(url, query)] == []


@contextmanager
def _prometheus(demo: RunningDemo, folder: Path) -> Iterator[str]:
    """Start a Prometheus that scrapes the demo's processes as services, with our rules; skips loudly where none is."""
    if shutil.which("prometheus") is None:
        warnings.warn("NOT TESTED: Grafana's dashboard of operations (apt-get install prometheus)", stacklevel=1)
        pytest.skip("needs prometheus: apt-get install prometheus")
    jobs = {"notify": "notifier"}
    scraped = [
        {"job_name": jobs.get(name, name), "static_configs": [{"targets": [address]}]}
        for name, address in demo.metrics.items()
    ]
    config = {
        "global": {"scrape_interval": "1s"},
        "rule_files": [str(ROOT / "deploy/prometheus/rules/*.yml")],
        "scrape_configs": scraped,
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    address = f"{HOST}:{free_port()}"
    flags = {
        "config.file": folder / "prometheus.yml", "storage.tsdb.path": folder / "tsdb", "web.listen-address": address,
    }  # fmt: skip
    words = ["prometheus", *(f"--{flag}={value}" for flag, value in flags.items())]
    with Child(words, folder / "prometheus.log") as prometheus:
        prometheus.until(lambda: _answers(f"http://{address}/-/ready"), "Prometheus is ready")
        yield f"http://{address}"


def _answers(url: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(url) as answer:
        return bool(answer.status == 200)
    return False


def _series(url: str, query: str) -> bool:
    """True when a query has series now."""
    with urllib.request.urlopen(f"{url}/api/v1/query?{urllib.parse.urlencode({'query': query})}") as answer:
        return bool(json.load(answer)["data"]["result"])
