"""`nps demo` proves its numbers and leaves nothing behind, whether it ends by itself or by Ctrl-C."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from schemas.events import Alert
from streams.local import process
from streams.local.stack import nps
from tests.support.commands import BOUND_S, done

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")
IN_THE_BACKGROUND = ("sh", "-c", "trap '' INT; exec \"$@\"", "sh")
"""Starts a program as a shell does that has no terminal: with SIGINT ignored."""


def test_a_short_demo_agrees_with_the_recount_and_leaves_nothing(tmp_path: Path) -> None:
    """It exits with 0, says last that all figures agree, and no process and no file of it is left."""
    with _demo(tmp_path, "10s") as demo:
        assert demo.wait(BOUND_S) == 0, _said(tmp_path)
        same, of, all_, *rest = _said(tmp_path)[-1].split()
        assert (same, of, rest[:2]) == (all_, "of", ["figures", "agree"])
        assert int(all_) > 50
        assert _left_over(tmp_path) == []


def test_a_demo_may_stay(tmp_path: Path) -> None:
    """With --stay it shows an alert whole, says where everything is and what to look at, and answers until Ctrl-C."""
    with _demo(tmp_path, "5s", "--stay") as demo:
        _await(lambda: any("nps why CUSTOMER_ID" in line for line in _said(tmp_path)), "what to look at next")
        said = "\n".join(_said(tmp_path))
        fields = set(re.findall(r"^  ([a-z_]+) ", said.partition("one alert, as a webhook gets it:")[2], re.MULTILINE))
        assert set(Alert._fields) <= fields, said
        environ = dict(re.findall(r"export (NPS_\w+)=(\S+)", said))
        assert done("topics", "--verify", environ=environ) == "topics are as they should be\n"
        for command in re.findall(r'^  nps query "(.*)"$', said, re.MULTILINE):
            assert "no rows" not in done("query", command, environ=environ)
        assert demo.poll() is None
        demo.send_signal(signal.SIGINT)
        assert demo.wait(BOUND_S) == 0, _said(tmp_path)
        assert _left_over(tmp_path) == []


@pytest.mark.parametrize(
    ("shell", "stop"), [((), signal.SIGINT), (IN_THE_BACKGROUND, signal.SIGTERM)], ids=["Ctrl-C", "kill"]
)
def test_stopped_in_the_middle_the_demo_leaves_nothing(
    tmp_path: Path, shell: tuple[str, ...], stop: signal.Signals
) -> None:
    """Stopped while all its processes run, it ends with 130 and takes them along; in the background, too."""
    with _demo(tmp_path, "10m", shell=shell) as demo:
        _await(lambda: len(_processes(tmp_path)) >= 6, "six processes: the demo, two servers, three services")
        demo.send_signal(stop)
        assert demo.wait(BOUND_S) == 130, _said(tmp_path)
        assert _left_over(tmp_path) == []


@contextmanager
def _demo(folder: Path, seconds: str, *more: str, shell: tuple[str, ...] = ()) -> Iterator[subprocess.Popen[bytes]]:
    """A running demo whose processes can be told by their temporary folder; ended in the end, whatever happens."""
    with (folder / "said").open("wb") as output:
        demo = process.start(
            [*shell, *nps("demo", "--for", seconds, *more)], output, {"TMPDIR": str(_scratch(folder)), "COLUMNS": "200"}
        )
    try:
        yield demo
    finally:
        process.stop(demo, signal.SIGINT, bound_s=20)
        for pid in _processes(folder):
            os.kill(pid, signal.SIGKILL)


def _said(folder: Path) -> list[str]:
    return (folder / "said").read_text(errors="replace").strip().splitlines() or ["it said nothing"]


def _left_over(folder: Path) -> list[object]:
    return [*_processes(folder), *_scratch(folder).iterdir()]


def _scratch(folder: Path) -> Path:
    place = folder / "tmp"
    place.mkdir(exist_ok=True)
    return place


def _processes(folder: Path) -> list[int]:
    """Processes whose environment names the demo's temporary folder: children have it from their parents."""
    mark = f"TMPDIR={_scratch(folder)}".encode()
    return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if mark in _environment(pid)]


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []  # it ended, or is somebody else's


def _await(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + BOUND_S
    while not holds():
        assert time.monotonic() < deadline, f"waited {BOUND_S:.0f} s for {what}"
        time.sleep(0.1)
