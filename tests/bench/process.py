"""A process of the pipeline under measurement, read by its metrics."""

import os
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from streams.local.servers import free_port
from streams.local.stack import nps

OF_TOPIC = 'nps_events_in_total{{topic="{}"}}'
"""Sample of a worker's metrics: events of a topic that were made durable so far."""


class Run:
    """`nps` with these words, until `stop`; samples are named as its metrics write them."""

    def __init__(self, words: str, environ: Mapping[str, str], log: Path) -> None:
        self._port, self._log = free_port(), log
        self._process = subprocess.Popen(
            nps(*words.split()),
            env={**os.environ, **environ, "NPS_METRICS_PORT": str(self._port)},
            stdout=log.open("ab"),
            stderr=subprocess.STDOUT,
        )

    def check(self) -> None:
        """Raises RuntimeError when the process has ended."""
        if self._process.poll() is not None:
            raise RuntimeError(f"it ended: {self._log.read_text().splitlines()[-1]}")

    def sample(self, name: str) -> float:
        """Value of a sample now; 0 before it is there.  Raises RuntimeError when the process has ended."""
        self.check()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=5) as answer:
                text = answer.read().decode()
        except OSError:
            return 0
        found = re.search(rf"^{re.escape(name)} (\S+)", text, re.MULTILINE)
        return float(found[1]) if found else 0

    def rate(self, name: str, total: int) -> float:
        """Rise of a sample a second, from when it is first seen above 0 until it reaches the total."""
        first = last = (0.0, 0.0)
        while last[0] < total:
            time.sleep(0.25)  # asking costs the process 3 ms
            last = (self.sample(name), time.perf_counter())
            if first[0] == 0:
                first = last
        return (last[0] - first[0]) / (last[1] - first[1])

    def until(self, name: str, total: int) -> None:
        """Wait until a sample reaches the total."""
        while self.sample(name) < total:
            time.sleep(0.05)

    @property
    def peak_mib(self) -> float:
        """Most resident memory so far."""
        return self._status_kib("VmHWM") / 1024

    @property
    def resident_bytes(self) -> int:
        """Resident memory now."""
        return self._status_kib("VmRSS") * 1024

    def _status_kib(self, name: str) -> int:
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(re.findall(rf"{name}:\s+(\d+)", status)[0])

    def stop(self) -> None:
        """Ask it to end."""
        self._process.send_signal(signal.SIGTERM)
        if self._process.wait(30):
            raise RuntimeError(f"it ended badly: {self._log.read_text().splitlines()[-1]}")
