"""Start and stop of child processes, which never outlive us.

Each child leads its own process group, so that Ctrl-C in a terminal reaches only the parent, which then stops its
children in the order it wants.  On Linux a child is also tethered: the kernel kills it when the thread that started it
is gone, however that came about.  So start children from a thread that lives as long as they should.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import IO

TETHER = """
import ctypes, os, signal, sys
PR_SET_PDEATHSIG = 1
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    os._exit(1)
for ignored in (signal.SIGPIPE, signal.SIGINT):
    signal.signal(ignored, signal.SIG_DFL)
try:
    os.execvp(sys.argv[2], sys.argv[2:])
except OSError as error:
    sys.exit(f"cannot run {sys.argv[2]}: {error.strerror}")
"""
"""Program of the tether: it asks the kernel to kill it when its parent dies, then becomes the child's program.

A program of its own, because code between fork and exec may deadlock in a process with threads.  A parent that died
before the tether held is noticed by its id.  A shell starts what runs in the background with SIGINT ignored, which a
child would inherit and never hear its stop signal.
"""


def start(
    argv: Sequence[str], output: int | IO[bytes], env: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a program with `env` added to our environment, its stdout and stderr going to `output`.

    Raises OSError when the program cannot be started.
    """
    if sys.platform == "linux":
        argv = [sys.executable, "-I", "-S", "-c", TETHER, str(os.getpid()), *argv]
    return subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env={**os.environ, **(env or {})},
        start_new_session=True,
    )


def stop(process: subprocess.Popen[bytes], stop_signal: signal.Signals = signal.SIGTERM, bound_s: float = 10.0) -> bool:
    """Send a child `stop_signal`, and kill it and its group after `bound_s` seconds; True when that was not needed."""
    if process.poll() is None:
        process.send_signal(stop_signal)
    try:
        process.wait(bound_s)
    except subprocess.TimeoutExpired:
        kill(process)
        return False
    return True


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a child and whatever it started, at once."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
