"""State of every released format survives a field appended to any record, and an inbound topic added."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "contract" / "golden"


def test_golden_state_survives_what_is_appended() -> None:
    """Through purchases, cases, contacts, clicks, corrections, withdrawals and wakeups, nothing appended is cut off.

    In a process of its own, whose modules have the additions; see `tests.support.evolved_state`.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.evolved_state"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    journeys = sum(len(golden.read_text().split()) for golden in GOLDEN.glob("journey.*.hex"))
    assert len(done.stdout.splitlines()) == journeys > 3
