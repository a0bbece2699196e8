"""The real `nps` as child processes, for tests: commands that end by themselves, and services that run until stopped.

Nothing of NPS_* leaks in from the environment of whoever runs the tests.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from streams.local import process

ROOT = Path(__file__).parents[2]
BOUND_S = 300.0
"""How long anything may take, in seconds, on a machine that others use too.

A wait ends with what it waits for, so only a test that fails takes so long.  No test asserts a pace: what is timed is
printed, or stands in the report of its scenario.
"""


def argv(*arguments: str) -> list[str]:
    """The command line of `nps`, as installed."""
    return [str(Path(sys.executable).with_name("nps")), *arguments]


def clean(environ: Mapping[str, str]) -> dict[str, str]:
    """Our environment without any setting but those given."""
    return {**{name: text for name, text in os.environ.items() if not name.startswith("NPS_")}, **environ}


def run(
    *arguments: str, environ: Mapping[str, str] | None = None, given: str = "", within_s: float = BOUND_S
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end; `given` is its standard input."""
    return subprocess.run(
        argv(*arguments),
        env=clean(environ or {}), input=given, capture_output=True, text=True, check=False, timeout=within_s,
    )  # fmt: skip


def done(*arguments: str, environ: Mapping[str, str], given: str = "") -> str:
    """What a command printed; it must have gone well and complained of nothing."""
    ended = run(*arguments, environ=environ, given=given)
    assert (ended.returncode, ended.stderr) == (0, ""), ended
    return ended.stdout


class Child:
    """A process that runs until it is stopped; what it says goes to a file."""

    def __init__(self, words: Sequence[str], log: Path) -> None:
        self._log = log
        with log.open("ab") as output:
            self.process = process.start(words, output)

    def said(self) -> str:
        """Everything it said so far, stdout and stderr."""
        return self._log.read_text(errors="replace")

    def is_running(self) -> bool:
        """True until it has ended."""
        return self.process.poll() is None

    def until(self, condition: Callable[[], bool], what: str, within_s: float = BOUND_S) -> None:
        """Wait for something to become true while the service runs; the failure says what did not, and its words."""
        until(lambda: condition() or not self.is_running(), what, within_s)
        assert self.is_running(), f"ended with {self.process.returncode} before {what}: {self.said()}"

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end, and wait; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(BOUND_S)

    def ended(self) -> int:
        """The exit code, once it has ended by itself."""
        return self.process.wait(BOUND_S)

    def kill(self) -> None:
        """As `kill -9` does."""
        process.kill(self.process)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


class Service(Child):
    """A command of `nps` that runs until it is stopped; with FAILPOINTS in `environ`, one that fails as they say."""

    def __init__(self, command: str | Sequence[str], environ: Mapping[str, str], log: Path) -> None:
        words = [command] if isinstance(command, str) else list(command)
        # Through env(1): `process.start` only adds to our environment, and here some of it must go.
        unset = [f"--unset={name}" for name in os.environ if name.startswith("NPS_")]
        values = [f"{name}={text}" for name, text in environ.items()]
        program = argv(*words)
        if environ.get("FAILPOINTS"):
            values.append(f"PYTHONPATH={ROOT}")
            program = [sys.executable, "-m", "tests.faults.harness.failing_nps", *words]
        super().__init__(["env", *unset, *values, *program], log)


def until(condition: Callable[[], bool], what: str, within_s: float = BOUND_S) -> None:
    """Wait for something to become true; the failure says what did not."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {what}"
        time.sleep(0.05)
