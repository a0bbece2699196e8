"""The pipeline that other fault tests drive does what it says."""

import time
from pathlib import Path

import pytest

from schemas.topics import ANSWERS
from tests.faults.harness.deployment import Deployment
from tests.faults.traffic.crash_input import PROGRAM, day

pytestmark = pytest.mark.kafka


def test_killed_and_frozen_members_end_in_a_quiet_pipeline(tmp_path: Path) -> None:
    """Whoever is killed is started again, whoever is thawed catches up, and quiet means that ClickHouse has it all."""
    program = tmp_path / "nps.toml"
    program.write_text(PROGRAM)
    given = day(1, 3_000, time.time_ns() // 1_000_000)
    with Deployment(tmp_path / "run", program) as nps:
        worker, sink = nps.run("worker-1"), nps.run("sink")
        nps.run("notify")
        nps.topics.write(given.written[: len(given.written) // 2])
        worker.kill()
        sink.freeze()
        nps.topics.write(given.written[len(given.written) // 2 :])
        nps.until(lambda: nps.lag.behind(["worker"]) == {}, "the worker is through")
        assert "sink" in nps.behind()
        assert worker.exits == [-9]
        sink.thaw()
        nps.quiet()
        stored = nps.query("SELECT count() FROM answers FINAL WHERE counted")[0][0]
        assert stored == len(given.final())
        assert sum(1 for _ in nps.topics.read(ANSWERS.name)) >= stored
        assert [member.stop() for member in nps.members.values()] == [0, 0, 0]
