"""A running `nps demo` that stays, for tests of what reads its data; it ends with its `with` block."""

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from streams.local import process
from tests.support.commands import Child, argv


@dataclass(frozen=True, slots=True)
class RunningDemo:
    """Demo that has proved its numbers and runs on: its servers, and each process's address of metrics by name."""

    brokers: str
    clickhouse_url: str
    metrics: dict[str, str]


@contextmanager
def running_demo(folder: Path) -> Iterator[RunningDemo]:
    """Run the demo for ten seconds and let it stay; `folder` is for its files."""
    scratch = folder / "demo"
    scratch.mkdir()
    words = ["env", f"TMPDIR={scratch}", "COLUMNS=200", *argv("demo", "--for", "10s", "--stay")]
    with Child(words, folder / "demo.log") as demo:
        demo.until(lambda: "everything runs on" in demo.said(), "the demo has proved its numbers")
        said = demo.said()
        environ = dict(re.findall(r"export (NPS_\w+)=(\S+)", said))
        metrics = {name: address for address, name in re.findall(r"^metrics +http://(\S+)/metrics +(\w+)", said, re.M)}
        try:
            yield RunningDemo(environ["NPS_BROKERS"], environ["NPS_CLICKHOUSE_URL"], metrics)
        finally:
            process.stop(demo.process, signal.SIGINT)
