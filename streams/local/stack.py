"""Local stack: servers, topics, tables and all of our processes on this machine."""

import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from streams.errors import NotStarted
from streams.kafka.topics import create_foreign
from streams.local.servers import free_port, local_broker, local_clickhouse
from streams.local.supervisor import Child
from streams.settings import Settings

SESSION_MS = 3_000
"""Session timeout of the local stack: its broker's first join takes half of it."""

PARTITIONS = Settings().partitions
"""The default of every command, so that those beside the stack need no setting."""

TRY_PROGRAM = Path(__file__).with_name("try.toml")
"""Program for trying things out: surveys leave at once, at any hour, however often."""


@dataclass(frozen=True, slots=True)
class Stack:
    """Running servers, and the `children` to run against them; `environ` points every command at the servers."""

    brokers: str
    clickhouse_url: str
    environ: Mapping[str, str]
    children: tuple[Child, ...]
    epoch: int


@contextmanager
def local_stack(
    folder: Path,
    program: Path | None,
    kafka_port: int | None = None,
    clickhouse_port: int | None = None,
    extra: Mapping[str, str] | None = None,
    collector_port: int | None = None,
    sources: Mapping[Path, str] | None = None,
    page_port: int | None = None,
) -> Iterator[Stack]:
    """Start broker and ClickHouse, make topics and tables; stop the servers at the end.  Raises NotStarted.

    ClickHouse keeps its data in `folder`; the broker's is in memory, so each start is a new topic epoch.  With a
    `collector_port` the children also take answers and print the link of each survey; links are good across starts.
    `sources` are mapping files with their topics, which are made: the children map them, and take their webhooks.
    With a `page_port` they also show the live page.
    """
    with local_broker(kafka_port) as broker, local_clickhouse(folder / "clickhouse", clickhouse_port) as clickhouse:
        url, epoch = f"{clickhouse.address}/nps", _next_epoch(folder)
        environ = {
            "NPS_BROKERS": broker.address,
            "NPS_CLICKHOUSE_URL": url,
            "NPS_PARTITIONS": str(PARTITIONS),
            "NPS_SESSION_TIMEOUT_MS": str(SESSION_MS),
            "NPS_TOPIC_EPOCH": str(epoch),
            "NPS_LINK_KEYS": _link_keys(folder),
            **({"NPS_PROGRAM": str(program)} if program else {}),
            **(extra or {}),
        }
        for command in ("topics", "migrate"):
            _run_command(command, environ)
        create_foreign(broker.address, {}, (sources or {}).values())
        names = ["worker", "sink", "notify", "incidents", "comments"]
        if collector_port is not None:
            environ["NPS_COLLECTOR_PORT"] = str(collector_port)
            names.append("collector")
        if page_port is not None:
            environ["NPS_PAGE_PORT"] = str(page_port)
            names.append("page")
        ports = {name: {"NPS_METRICS_PORT": str(free_port())} for name in names}
        children = tuple(Child(name, nps(name), {**environ, **port}) for name, port in ports.items())
        if collector_port is not None:
            children += (Child("link", nps("link", "--follow"), environ),)
        if sources:
            children += (Child("sources", nps("sources", "run", *map(str, sources)), environ),)
        yield Stack(broker.address, url, environ, children, epoch)


def nps(*arguments: str) -> list[str]:
    """Make the command line of an `nps` command."""
    return [sys.executable, "-m", "streams.cli", *arguments]


def _run_command(command: str, environ: Mapping[str, str]) -> None:
    result = subprocess.run(nps(command), env={**os.environ, **environ}, capture_output=True, text=True, check=False)
    if result.returncode:
        raise NotStarted(f"nps {command} failed: {(result.stderr or result.stdout).strip().splitlines()[-1]}")


def _link_keys(folder: Path) -> str:
    """Read the key of the folder's links, made at the first start and for its owner's eyes only."""
    file = folder / "link-keys"
    if not file.exists():
        descriptor, name = tempfile.mkstemp(dir=folder)  # which nobody else may read
        with os.fdopen(descriptor, "w") as written:
            written.write(f"local:{secrets.token_hex(16)}\n")
        Path(name).replace(file)
    file.chmod(0o600)
    return file.read_text().strip()


def _next_epoch(folder: Path) -> int:
    """Raise the folder's topic epoch by one: ClickHouse remembers rows, the broker forgot its offsets.

    Raises NotStarted where the file is no number or cannot be written.
    """
    file = folder / "epoch"
    try:
        epoch = int(file.read_text()) + 1 if file.exists() else 1
        file.write_text(f"{epoch}\n")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it holds no number"
        raise NotStarted(f"{file} cannot be used ({why}): choose another folder") from None
    return epoch
