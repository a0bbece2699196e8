"""`nps worker`, `sink`, `collector`, `incidents` or `deadletters redrive`, the shipped process, with failpoints.

FAILPOINTS=after-panes:3:kill python -m tests.faults.harness.failing_nps worker
"""

import os
import sys

from streams.cli import _parse, end_with
from streams.commands import incidents
from streams.commands.session import read_settings
from streams.commands.sinks import load
from streams.commands.worker import producer_of, worker_of
from tests.faults.harness.fault_injection import (
    COLLECTOR,
    LETTERS,
    ONCALL,
    SINK,
    VARIABLE,
    WORKER,
    FailingLog,
    FailingOutbox,
    FailingWarehouse,
    Failpoints,
    fail_commits,
    failing_incidents,
    failing_letters,
)

POINTS = {"worker": WORKER, "sink": SINK, "deadletters": LETTERS, "collector": COLLECTOR, "incidents": ONCALL}


def main(command: str, *words: str) -> int:
    """Run the command until it ends or fails as ordered; its exit code."""
    points = Failpoints.parse(os.environ[VARIABLE], POINTS[command])
    if command == "deadletters":
        from streams.commands import deadletters  # which the others start faster without

        parsed = _parse([command, *words])
        return deadletters.redrive(parsed, lambda settings: failing_letters(deadletters.producer_of(settings), points))
    if command == "collector":
        from streams.commands import collector

        return collector.run(_parse([command, *words]), lambda settings: FailingOutbox(settings, points))
    settings = read_settings()
    if command == "incidents":
        return incidents.work(settings, lambda producer: failing_incidents(producer, points))
    if command == "sink":
        return load(settings, lambda warehouse: FailingWarehouse(warehouse, points.at_once))
    fail_commits(points)
    worker = worker_of(settings, FailingLog(producer_of(settings), points))
    return worker.run()


if __name__ == "__main__":
    end_with(lambda: main(*sys.argv[1:]))
