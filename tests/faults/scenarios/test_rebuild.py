"""On real Kafka, with workers killed on their way, a rebuild comes to what is in force; and says what Kafka deleted."""

import random
from functools import partial
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from tests.faults.harness.deployment import PARTITIONS, Deployment
from tests.faults.oracle.terms import PROGRAM
from tests.faults.scenarios.scenario import visits
from tests.faults.traffic.generator import Mix, generate, produce
from tests.support.commands import BOUND_S, Service, done, run

pytestmark = pytest.mark.kafka

SEED = 11
KILLS = 4


def has_decided(nps: Deployment, at_least: int) -> bool:
    """So many decisions are in ClickHouse."""
    return nps.query(f"SELECT count() >= {at_least} FROM decisions FINAL") in ([(True,)], [(1,)])


def test_rebuilt_is_in_force_after_kills(tmp_path: Path) -> None:
    """A history and some visits as they happen, with workers killed in turn, and a first rebuild killed as well."""
    r = random.Random(SEED)
    with Deployment(tmp_path, PROGRAM) as nps:
        bootstrap = nps.kafka.bootstrap
        produce(bootstrap, generate(SEED, Mix(visits=2_000, customers=1_200, junk_bytes=1_000)))
        names = ("worker-1", "worker-2")
        for name in (*names, "sink"):
            nps.run(name)
        for number in range(KILLS):
            nps.until(partial(has_decided, nps, 200 * (number + 1)), "some of it is decided")
            nps.members[r.choice(names)].kill()
            produce(bootstrap, visits(f"live-{number}", 20))
        nps.quiet()
        with Service("rebuild", nps.environ, tmp_path / "killed.log") as killed:
            killed.kill()
        ended = run("rebuild", environ=nps.environ)
        assert (ended.returncode, ended.stderr) == (0, ""), ended
        assert "they agree" in ended.stdout
        assert nps.query("SELECT count() > 500 FROM nps_rebuild.answers FINAL") in ([(True,)], [(1,)])
        before = nps.query("SELECT count() FROM decisions FINAL")
        admin = AdminClient({"bootstrap.servers": bootstrap})
        gone = [TopicPartition("nps.purchases", number, 5) for number in range(PARTITIONS)]
        for future in admin.delete_records(gone).values():
            future.result(BOUND_S)
        ended = run("rebuild", environ=nps.environ)
        assert (ended.returncode, ended.stderr) == (0, ""), ended
        assert "nps.purchases begins at " in ended.stdout
        assert "exact from " in ended.stdout
        done("rebuild", "--adopt", environ=nps.environ)
        assert nps.query("SELECT count() FROM decisions FINAL") == before, "older rows stay as they are"
