"""A process with a failpoint that it does not have does not start."""

import pytest

from streams.engine.failpoints import SINK, WORKER
from tests.support.commands import run


@pytest.mark.parametrize(("command", "points"), [("worker", WORKER), ("sink", SINK)])
def test_a_process_refuses_a_point_it_does_not_have(command: str, points: tuple[str, ...]) -> None:
    """Before it does anything else, in one line that lists them."""
    ended = run(command, environ={"NPS_FAILPOINTS": "before-lunch:kill"})
    said = f"nps: NPS_FAILPOINTS: 'before-lunch' is no failpoint here; there are {', '.join(points)}\n"
    assert (ended.returncode, ended.stderr) == (2, said)
