"""Every command and environment of docker-compose.yml, run as it is written there, on real Kafka but without Docker.

Only what a container brings is exchanged: host names, ports, and the folder in which the program file is mounted.
"""

import re
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from streams.local.servers import HOST, free_port, local_clickhouse
from tests.faults.harness.kafka import KafkaCluster
from tests.support.commands import BOUND_S, Service, done, run, until
from tests.support.compose import OURS, ROOT, environment, mounts

pytestmark = pytest.mark.kafka

JOBS = [name for name, service in OURS.items() if service["restart"] == "no"]
RUNNING = [name for name in OURS if name not in JOBS]
DAY_MS = 86_400_000
PURCHASE = (
    '{{"source": "shop", "id": "p1", "type": "order.delivered", "time": {time}, "customer_id": "C1", "order_id": "O1"}}'
)
RESPONSE = (
    '{{"source": "tool", "id": "r1", "type": "survey.answered", "time": {time}, "customer_id": "C1", '
    '"survey_id": "{survey}", "score": 3}}'
)


class Shape:
    """The production shape on this machine: a Kafka, a ClickHouse, and what each service's settings become here."""

    def __init__(self, brokers: str, clickhouse: str, folder: Path) -> None:
        self.folder = folder
        self.ports = {name: free_port() for name in RUNNING}
        self._hosts = {"kafka:9092": brokers, "clickhouse:8123": clickhouse.removeprefix("http://")}

    def environ(self, name: str) -> dict[str, str]:
        """A service's environment with the addresses of this machine."""
        files = {target: str(ROOT / source) for source, target in mounts(name)}
        here = {**environment(name)}
        for key, value in here.items():
            for there, address in self._hosts.items():
                value = value.replace(there, address)
            here[key] = files.get(value, value)
        if name in self.ports:
            here |= {"NPS_METRICS_PORT": str(self.ports[name]), "NPS_METRICS_HOST": HOST}
        if "NPS_COLLECTOR_HOST" in here:
            here |= {"NPS_COLLECTOR_HOST": HOST, "NPS_COLLECTOR_PORT": "0"}
        return here

    def start(self, name: str) -> Service:
        """Start a running service with its own command and environment."""
        return Service(OURS[name]["command"], self.environ(name), self.folder / f"{name}.log")

    def metrics(self, name: str) -> str:
        """What a service's metrics endpoint answers; empty while it does not."""
        try:
            with urllib.request.urlopen(f"http://{HOST}:{self.ports[name]}/metrics", timeout=60) as answer:
                return str(answer.read().decode())
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return ""

    def produce(self, topic: str, line: str) -> None:
        """Send one event as a person on the host would."""
        said = done("produce", "--history", "--topic", topic, "-", environ=self.environ("worker"), given=line)
        assert said == "1 events produced\n"

    def query(self, sql: str) -> list[list[str]]:
        """The rows that `nps query` prints."""
        said = done("query", sql, environ=self.environ("sink"))
        lines = [line for line in said.splitlines() if line.startswith("│")]
        return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


@pytest.fixture(scope="module")
def shape(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shape]:
    folder = tmp_path_factory.mktemp("compose")
    with KafkaCluster(folder) as kafka, local_clickhouse(folder / "clickhouse") as clickhouse:
        yield Shape(kafka.bootstrap, clickhouse.address, folder)


def test_what_compose_starts_works_together(shape: Shape) -> None:
    """The jobs end with 0; the services serve metrics, turn an answer into rows and an alert, and stop with 0."""
    assert JOBS == ["topics", "migrate"]
    assert RUNNING == ["worker", "sink", "notifier", "comments", "incidents", "collector"]
    for name in JOBS:
        ended = run(*OURS[name]["command"], environ=shape.environ(name))
        assert (ended.returncode, ended.stderr) == (0, ""), ended
    with ExitStack() as stack:
        services = {name: stack.enter_context(shape.start(name)) for name in RUNNING}
        for name, service in services.items():
            service.until(lambda name=name: "nps_" in shape.metrics(name), "it served metrics")  # type: ignore[misc]
        answered(shape, asked(shape))
        notifier = services["notifier"]
        notifier.until(lambda: "alert open severity=error score=3 " in notifier.said(), "the alert was printed")
        for name in reversed(RUNNING):
            assert services[name].stop(signal.SIGTERM) == 0, services[name].said()
            assert "Traceback" not in services[name].said()


def asked(shape: Shape) -> str:
    """A purchase whose three days have passed becomes a dispatch in ClickHouse; its survey."""
    shape.produce("purchases", PURCHASE.format(time=now_ms() - 4 * DAY_MS))
    until(lambda: bool(surveys(shape)), "the dispatch is in ClickHouse", BOUND_S)
    [survey] = surveys(shape)
    return survey


def answered(shape: Shape, survey: str) -> None:
    """A detractor's answer becomes a row, a tally and an alert in ClickHouse, in each segment of the program."""
    shape.produce("responses", RESPONSE.format(time=now_ms(), survey=survey))
    sql = "SELECT survey_id, score, band, counted, kafka_topic FROM answers FINAL"
    until(lambda: bool(shape.query(sql)), "the answer is in ClickHouse", BOUND_S)
    assert shape.query(sql) == [[survey, "3", "detractor", "True", "nps.answers"]]
    tallies = "SELECT segment, promoters, passives, detractors, nps FROM nps_by_segment ORDER BY segment"
    until(lambda: len(shape.query(tallies)) == 4, "the tallies are in ClickHouse", BOUND_S)
    assert {tuple(row[1:]) for row in shape.query(tallies)} == {("0", "0", "1", "-100.0")}
    alerts = "SELECT dedup_key, status, severity FROM alerts FINAL"
    until(lambda: bool(shape.query(alerts)), "the alert is in ClickHouse", BOUND_S)
    assert shape.query(alerts) == [[survey, "open", "error"]]


def surveys(shape: Shape) -> list[str]:
    found = [row[0] for row in shape.query("SELECT survey_id FROM dispatches FINAL")]
    assert all(re.fullmatch(r"[0-9a-f-]{36}", survey) for survey in found)
    return found


def now_ms() -> int:
    return time.time_ns() // 1_000_000
