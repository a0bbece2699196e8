"""`nps worker` or `nps sink`, the shipped process, put together with failpoints.

FAILPOINTS=after-panes:3:kill python -m tests.faults.harness.failing_nps worker
"""

import os
import sys

from streams.cli import end_with
from streams.commands.session import read_settings
from streams.commands.sinks import load
from streams.commands.worker import producer_of, worker_of
from tests.faults.harness.fault_injection import (
    SINK,
    VARIABLE,
    WORKER,
    FailingLog,
    FailingWarehouse,
    Failpoints,
    fail_commits,
)

POINTS = {"worker": WORKER, "sink": SINK}


def main(command: str) -> int:
    """Run the command until it ends or fails as ordered; its exit code."""
    points, settings = Failpoints.parse(os.environ[VARIABLE], POINTS[command]), read_settings()
    if command == "sink":
        return load(settings, lambda warehouse: FailingWarehouse(warehouse, points.at_once))
    fail_commits(points)
    worker = worker_of(settings, FailingLog(producer_of(settings), points))
    return worker.run()


if __name__ == "__main__":
    end_with(lambda: main(sys.argv[1]))
