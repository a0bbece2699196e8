"""Servers for tests.  `broker` is the light local one; `kafka` is a real Apache Kafka.

Tests marked `kafka` are skipped where Java or Maven is missing, and the last lines of the run say so; with
NPS_REQUIRE_KAFKA=1 in the environment they fail instead.  So it is with those marked `client`, whose driver of another
language is built here, and NPS_REQUIRE_CLIENTS=1.

Laws are checked on few examples, the same ones every time, so that a commit that passed passes again; LAWS=many checks
them on all, LAWS=anew on others each time (see `tests/support/laws.py`).
"""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from streams.local.servers import LocalServer, local_broker

sys.path.insert(0, str(Path(__file__).parents[1]))  # tests import what they share as `tests.support.…`, from anywhere

from tests.support import laws

if TYPE_CHECKING:
    from tests.faults.harness.kafka import KafkaCluster

laws.register()
try:
    settings.load_profile(laws.chosen(os.environ))
except ValueError as wrong:
    raise pytest.UsageError(str(wrong)) from wrong

UNIT = "tests/unit/"
NO_KAFKA = "needs a real Kafka"
NO_CHROMIUM = "needs a Chromium"
NO_SUPERSET = "needs a Superset"
NO_GRAFANA = "needs Grafana's types"
NO_AXE = "needs axe-core"
NO_CLIENT = "needs a compiler for a client"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip or fail a test of real Kafka where there can be none; the long ones are for `make test-kafka`."""
    if item.get_closest_marker("long") is not None and os.environ.get("FAULTS") != "all":
        pytest.skip("takes about a minute or more: make test-kafka")
    if item.get_closest_marker("kafka") is not None:
        _need_kafka()
    if item.get_closest_marker("chromium") is not None:
        _need_chromium()
    if (client := item.get_closest_marker("client")) is not None:
        _need_client(client.args[0])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how long the unit tests took themselves, and loudly what was not tested."""
    if line := _unit_tests(terminalreporter.stats):
        terminalreporter.line(line)
    reasons = [test.longrepr[2] for test in terminalreporter.stats.get("skipped", [])]
    for missing in (NO_CHROMIUM, NO_SUPERSET, NO_GRAFANA, NO_AXE, NO_CLIENT, NO_KAFKA):
        if left_out := [reason for reason in reasons if missing in reason]:
            terminalreporter.section("NOT TESTED", sep="!", red=True, bold=True)
            terminalreporter.line(f"{len(left_out)} tests: {left_out[0].removeprefix('Skipped: ')}", red=True)


@pytest.fixture
def broker() -> Iterator[LocalServer]:
    """A fresh local broker, empty; its address is `broker.address`."""
    with local_broker() as server:
        yield server


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[KafkaCluster]":
    """One real Kafka broker for the whole run; use topics and groups of your own, and leave it running."""
    from tests.faults.harness.kafka import KafkaCluster

    _need_kafka()
    with KafkaCluster(tmp_path_factory.mktemp("kafka")) as cluster:
        yield cluster


def _unit_tests(stats: Mapping[str, Sequence[object]]) -> str:
    """How many unit tests ran, and their own time with that of their fixtures: not what starting pytest takes."""
    reports = [report for told in stats.values() for report in told if isinstance(report, pytest.TestReport)]
    ours = [report for report in reports if report.nodeid.startswith(UNIT)]
    ran = sum(report.when == "call" for report in ours)
    return f"unit tests: {ran} in {sum(report.duration for report in ours):.1f} s of their own" if ran else ""


def _need_chromium() -> None:
    from tests.support.chromium import binary

    if binary() is None:
        pytest.skip(f"{NO_CHROMIUM}: apt-get install chromium")


def _need_client(name: str) -> None:
    from tests.support.client_programs import unavailable

    if (reason := unavailable(name)) is None:
        return
    if os.environ.get("NPS_REQUIRE_CLIENTS") == "1":
        pytest.fail(f"NPS_REQUIRE_CLIENTS=1, but there is {reason}", pytrace=False)
    pytest.skip(f"{NO_CLIENT}: {name}, there is {reason}")


def _need_kafka() -> None:
    from tests.faults.harness.kafka_jars import unavailable

    reason = unavailable()
    if reason is None:
        return
    if os.environ.get("NPS_REQUIRE_KAFKA") == "1":
        pytest.fail(f"NPS_REQUIRE_KAFKA=1, but there is {reason}", pytrace=False)
    pytest.skip(f"{NO_KAFKA}: {reason}")
