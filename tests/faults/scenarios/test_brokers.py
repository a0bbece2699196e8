"""Kafka killed, bounced, or away: what it acknowledged is counted, and whoever cannot go on says so and ends.

BROKER_AWAY_S is how long the outage is (40; 300 for the long version), BROKER_KILLS how often a broker is killed (5).
"""

import os
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from schemas.topics import INBOUND
from streams.errors import ExitCode
from streams.local.servers import free_port
from tests.faults.harness.deployment import Deployment
from tests.faults.harness.reading import read_topics
from tests.faults.oracle.terms import PROGRAM
from tests.faults.scenarios.scenario import ALONE, Traffic, conclude, visits, wait
from tests.faults.traffic.generator import generate, produce
from tests.support.commands import Service

pytestmark = pytest.mark.kafka

SEED = 13
KILLS = int(os.environ.get("BROKER_KILLS", "5"))
AWAY_S = float(os.environ.get("BROKER_AWAY_S", "40"))
RATE = 10.0
"""Triggers a second of the traffic meanwhile."""

LIVE = replace(ALONE, absurd_ratio=0)
"""No clock is wrong: what claims to be of the next minutes would be asked, and answered, after the scenario."""


def test_one_broker_bounced_again_and_again(tmp_path: Path) -> None:
    """Scenario 13, one broker: killed and started in turn under traffic, nothing acknowledged is lost or doubled."""
    with Deployment(tmp_path, PROGRAM) as nps:
        run_all(nps)
        with Traffic(nps, SEED, RATE, 6.0 * KILLS, LIVE) as traffic:
            for _ in range(KILLS):
                wait(nps, 2.5)
                nps.kafka.kill(1)
                wait(nps, 1.0)
                nps.kafka.start(1)
        finish(nps, "13 one broker bounced", traffic, {"kill -9 of the broker": KILLS})


@pytest.mark.long
def test_one_of_three_brokers_killed(tmp_path: Path) -> None:
    """Scenario 13, three brokers, two in sync: killing one after the other stops nobody and loses nothing."""
    with Deployment(tmp_path, PROGRAM, brokers=3) as nps:
        run_all(nps)
        with Traffic(nps, SEED + 1, RATE, 8.0 * 3, LIVE) as traffic:
            for number in (1, 2, 3):
                wait(nps, 2.0)
                nps.kafka.kill(number)
                wait(nps, 3.0)
                nps.kafka.start(number)
        finish(nps, "13 each of three brokers killed", traffic, {"kill -9 of a broker": 3})


def test_nobody_there_at_the_start(tmp_path: Path) -> None:
    """Scenario 14, absent: each command gives up after the time that was set, with one line and the code for it."""
    environ = {"NPS_BROKERS": f"127.0.0.1:{free_port()}", "NPS_SERVER_WAIT_S": "2", "NPS_PROGRAM": str(PROGRAM)}
    for command in ("worker", "sink", "notify"):
        with Service(command, environ, tmp_path / command) as service:
            assert service.ended() == ExitCode.BROKER_AWAY
            lines = service.said().splitlines()
            assert len(lines) == 1, lines
            assert "cannot reach Kafka at" in lines[0]
            assert "after 2 s: start it or set NPS_BROKERS" in lines[0]


def test_somebody_there_a_little_later(tmp_path: Path) -> None:
    """Scenario 14, late: a worker that was first waits, and works once Kafka is there."""
    with Deployment(tmp_path, PROGRAM) as nps:
        nps.kafka.stop(1)
        worker = nps.run("worker-1")
        wait(nps, 3.0)
        nps.kafka.start(1)
        produce(nps.kafka.bootstrap, visits("late", 10))
        nps.until(lambda: not nps.behind(), "it works")
        assert worker.exits == []


@pytest.mark.long
def test_away_for_long(tmp_path: Path) -> None:
    """Scenario 14, an outage: whoever gives up says why and is started again; when Kafka is back, all is caught up."""
    with Deployment(tmp_path, PROGRAM) as nps:
        produce(nps.kafka.bootstrap, generate(SEED + 2, replace(ALONE, visits=600, customers=600)))
        run_all(nps)
        nps.until(lambda: nps.topics.progress() > 0, "it is at work")
        nps.kafka.kill(1)
        wait(nps, AWAY_S)
        back = time.monotonic()
        nps.kafka.start(1)
        produce(nps.kafka.bootstrap, visits("after", 20))
        nps.until(lambda: not nps.behind(), "all was read")
        for name, member in nps.members.items():
            assert set(member.exits) <= {ExitCode.BROKER_AWAY, ExitCode.LEASE_LOST, ExitCode.UNDELIVERED}, (
                f"{name} {member.exits}: {member.said()[-2000:]}"
            )
        conclude(nps, f"14 Kafka away for {AWAY_S:.0f} s", SEED + 2, {"outage": 1},
                 figures={"caught up after": f"{time.monotonic() - back:.1f} s"})  # fmt: skip


def run_all(nps: Deployment) -> None:
    """Two workers, a sink and a notifier."""
    for name in ("worker-1", "worker-2", "sink", "notify"):
        nps.run(name)


def finish(nps: Deployment, scenario: str, traffic: Traffic, injected: dict[str, int]) -> None:
    """Everything acknowledged is on its topic, and what came of it is right."""
    topics = read_topics(nps.kafka.bootstrap, [topic.name for topic in INBOUND])
    found = Counter({name: len(rows) for name, rows in topics.items()})
    assert traffic.acknowledged.total() > 0
    assert not traffic.acknowledged - found, "Kafka lost what it acknowledged"
    conclude(nps, scenario, SEED, injected)
