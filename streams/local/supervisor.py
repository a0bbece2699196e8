"""Supervisor of several programs: their output lines side by side, all stopped together.

    sys.exit(Supervisor([Child("worker", ["nps", "worker"], {}), Child("sink", ["nps", "sink"], {})]).run())

A child that ends on its own, whatever its exit code, brings the rest down.  Ctrl-C or SIGTERM stops the children in
reverse order: each is sent SIGTERM, waited for, and killed when it takes too long.  A second signal kills all at once.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from types import FrameType
from typing import TextIO, TypeAlias

from streams.local import process

STOP_S = 10.0
"""Time in seconds that a child may take to stop after SIGTERM."""

COLOURS = (36, 32, 33, 35, 34, 96, 92, 93)


@dataclass(frozen=True, slots=True)
class Child:
    """A program to run; `env` is added to our own environment."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class StopRequested:
    """Event: SIGINT or SIGTERM arrived."""


@dataclass(frozen=True, slots=True)
class Exited:
    """Event: a child has ended; `code` is -n after signal n."""

    name: str
    code: int


Event: TypeAlias = StopRequested | Exited


class Supervisor:
    """Supervisor of children, until asked to stop or until one of them ends; `run` works in the main thread only."""

    def __init__(self, children: Sequence[Child], out: TextIO = sys.stdout, stop_s: float = STOP_S) -> None:
        self._children = children
        self._stop_s = stop_s
        self._lines = _Lines(out, [child.name for child in children])
        self._events: SimpleQueue[Event] = SimpleQueue()
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._readers: list[threading.Thread] = []
        self._at_once = False

    def run(self) -> int:
        """Start the children, wait for a signal or an exit, stop them all.

        Returns 0 when it was asked to stop and every child obeyed; the exit code of the child that ended first (1 for
        a 0, 128 + n for signal n); 1 when a child had to be killed.
        """
        with self._listening():
            try:
                for child in self._children:
                    self._start(child)
                return self._watch()
            finally:
                self._stop_all()

    @contextlib.contextmanager
    def _listening(self) -> Iterator[None]:
        def request_stop(signum: int, frame: FrameType | None) -> None:
            self._events.put(StopRequested())

        handlers = {signum: signal.signal(signum, request_stop) for signum in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for signum, handler in handlers.items():
                signal.signal(signum, handler)

    def _start(self, child: Child) -> None:
        running = process.start(child.argv, subprocess.PIPE, child.env)
        self._running[child.name] = running
        reader = threading.Thread(target=self._lines.follow, args=(child.name, running), daemon=True)
        waiter = threading.Thread(target=self._await_exit, args=(child.name, running), daemon=True)
        self._readers.append(reader)
        reader.start()
        waiter.start()

    def _await_exit(self, name: str, running: subprocess.Popen[bytes]) -> None:
        self._events.put(Exited(name, running.wait()))

    def _watch(self) -> int:
        match self._events.get():
            case StopRequested():
                return 0 if self._stop_all() else 1
            case Exited(name, code):
                self._lines.write(name, f"{_exit_text(code)} unexpectedly: stopping the rest")
                return 128 - code if code < 0 else code or 1

    def _stop_all(self) -> bool:
        """Stop the children that still run, last started first; True when SIGTERM was enough for all."""
        obeyed = [self._stop(name) for name in reversed(list(self._running))]
        for reader in self._readers:
            reader.join(1.0)
        return all(obeyed)

    def _stop(self, name: str) -> bool:
        running = self._running.pop(name)
        if running.poll() is not None:
            return True
        running.terminate()
        deadline = time.monotonic() + self._stop_s
        while running.poll() is None and not self._at_once and (left := deadline - time.monotonic()) > 0:
            with contextlib.suppress(Empty):
                self._at_once = isinstance(self._events.get(timeout=left), StopRequested)
        if running.poll() is not None:
            return True
        process.kill(running)
        late = f"killed: did not stop within {self._stop_s:g} s"
        self._lines.write(name, "killed at once" if self._at_once else late)
        return False


class _Lines:
    """Writes the children's lines to one place, each behind its child's name."""

    def __init__(self, out: TextIO, names: Sequence[str]) -> None:
        width = max(map(len, names), default=0)
        coloured = out.isatty() and "NO_COLOR" not in os.environ
        self._out = out
        self._lock = threading.Lock()
        self._prefix: dict[str, str] = {}
        for number, name in enumerate(names):
            label = f"{name:<{width}} |"
            colour = COLOURS[number % len(COLOURS)]
            self._prefix[name] = f"\x1b[{colour}m{label}\x1b[0m" if coloured else label

    def follow(self, name: str, running: subprocess.Popen[bytes]) -> None:
        """Copy a child's lines as they come, until it closes its output."""
        assert running.stdout is not None  # it was started with a pipe
        with running.stdout as lines:
            for line in lines:
                self.write(name, line.decode(errors="replace").rstrip())

    def write(self, name: str, text: str) -> None:
        """Write one line behind the child's name."""
        with self._lock:
            print(self._prefix[name], text, file=self._out, flush=True)


def _exit_text(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
