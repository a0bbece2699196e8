"""Servers for tests.  `broker` is the light local one; `kafka` is a real Apache Kafka.

Tests marked `kafka` are skipped where Java or Maven is missing, and the last lines of the run say so; with
NPS_REQUIRE_KAFKA=1 in the environment they fail instead.

Laws are checked on the same examples every time, so that a commit that passed passes again, and without a deadline, for
a busy machine is no counterexample; `make test ARGS="tests/unit --hypothesis-profile=anew"` draws others.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from streams.local.servers import LocalServer, local_broker

sys.path.insert(0, str(Path(__file__).parents[1]))  # tests import each other as `tests.faults.kafka`, from anywhere

if TYPE_CHECKING:
    from tests.faults.harness.kafka import KafkaCluster

settings.register_profile("anew", deadline=None)
settings.register_profile("laws", settings.get_profile("anew"), derandomize=True)
settings.load_profile("laws")

NO_KAFKA = "needs a real Kafka"
NO_CHROMIUM = "needs a Chromium"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip or fail a test of real Kafka where there can be none; the long ones are for `make test-kafka`."""
    if item.get_closest_marker("long") is not None and os.environ.get("FAULTS") != "all":
        pytest.skip("takes about a minute or more: make test-kafka")
    if item.get_closest_marker("kafka") is not None:
        _need_kafka()
    if item.get_closest_marker("chromium") is not None:
        _need_chromium()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly what was not tested."""
    reasons = [test.longrepr[2] for test in terminalreporter.stats.get("skipped", [])]
    for missing in (NO_CHROMIUM, NO_KAFKA):
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


def _need_chromium() -> None:
    from tests.support.chromium import binary

    if binary() is None:
        pytest.skip(f"{NO_CHROMIUM}: apt-get install chromium")


def _need_kafka() -> None:
    from tests.faults.harness.kafka_jars import unavailable

    reason = unavailable()
    if reason is None:
        return
    if os.environ.get("NPS_REQUIRE_KAFKA") == "1":
        pytest.fail(f"NPS_REQUIRE_KAFKA=1, but there is {reason}", pytrace=False)
    pytest.skip(f"{NO_KAFKA}: {reason}")
