"""On real Kafka: histories of every kind of bad luck, two kills, samples all the while, and then every invariant."""

import os
from pathlib import Path

import pytest

from tests.faults.harness.deployment import PARTITIONS, Deployment
from tests.faults.harness.report import Report, publish
from tests.faults.harness.sampling import MIB, Sampler
from tests.faults.oracle.invariants import differing, judge, look
from tests.faults.oracle.terms import PROGRAM, read_terms
from tests.faults.traffic.generator import Mix, generate, produce, together

pytestmark = pytest.mark.kafka

SEED = int(os.environ.get("FAULTS_SEED", "11"))
MOST_BYTES = 400 * MIB


def test_every_invariant_on_kafka_and_clickhouse(tmp_path: Path) -> None:
    """All nine invariants have something to look at, and hold, with a worker that was killed twice."""
    with Deployment(tmp_path, PROGRAM) as nps:
        histories = [generate(SEED + part, Mix(visits=400)) for part in range(2)]
        written = sum(produce(nps.kafka.bootstrap, together(*histories)).values())
        worker = nps.run("worker-1")
        nps.run("sink")
        with Sampler(nps.kafka.bootstrap, PARTITIONS, pids=lambda: {"worker-1": worker.pid}) as sampler:
            for part in range(2):
                nps.until(lambda done=part: nps.topics.progress() > 500 * (1 + done), "it is in mid-work")  # type: ignore[misc]
                worker.kill()
            nps.quiet()
        world = nps.at_rest(lambda: look(nps.kafka.bootstrap, nps.clickhouse_url))
    findings = judge(world, read_terms(PROGRAM), samples=sampler.samples, most_bytes=MOST_BYTES)
    report = Report("every invariant", SEED, 2, {"kill -9": 2, "records": written}, findings)
    publish(report)
    assert report.holds, report.text()
    assert {found.invariant for found in findings} == {f"I{number}" for number in range(1, 10)}
    assert all(found.checked for found in findings if "audit" not in found.what), report.text()
    assert not differing(findings)
