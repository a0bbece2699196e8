"""Commands that set servers up (`nps topics`, `nps migrate`) or run the local stack (`nps up`, `nps demo`)."""

import argparse
import os
import signal
import tempfile
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from sinks.clickhouse.client import connect
from sinks.clickhouse.figures import ClickHouseFigures
from sinks.clickhouse.migrate import make_roles
from sinks.clickhouse.migrate import migrate as apply_migrations
from streams import program
from streams.commands.session import out, read_settings
from streams.errors import BadSettings, ExitCode
from streams.kafka.topics import ensure_topics, verify_topics
from streams.local.demo import PROGRAM as DEMO_PROGRAM
from streams.local.demo import Demo
from streams.local.servers import checked_port, free_port
from streams.local.stack import local_stack
from streams.local.supervisor import Supervisor
from streams.settings import Settings

COLLECTOR_PORT = 8090


def topics(parsed: argparse.Namespace) -> int:
    """Create the topics, or only compare them; returns 0 when they are as they should be."""
    settings = read_settings()
    if parsed.verify:
        report = verify_topics(settings.brokers, settings.security, settings.partitions, settings.server_wait_s)
    else:
        report = ensure_topics(
            settings.brokers, settings.security, settings.partitions, settings.replication, settings.server_wait_s
        )
    for name in report.created:
        out.print(f"created {name}")
    for line in (*report.differences, *report.notes):
        out.print(line, soft_wrap=True)
    out.print("topics are as they should be" if report.ok else "topics differ: see above")
    return ExitCode.OK if report.ok else ExitCode.BAD_SETTINGS


def migrate(parsed: argparse.Namespace) -> int:
    """Bring the tables and views up to date, and make the roles if asked to."""
    settings = read_settings()
    with closing(
        connect(settings.clickhouse_url, ca=settings.clickhouse_ca, within_s=settings.server_wait_s)
    ) as warehouse:
        applied = apply_migrations(warehouse)
        if parsed.roles:
            make_roles(warehouse)
    out.print(f"applied {', '.join(applied)}" if applied else "nothing to apply")
    return ExitCode.OK


def up(parsed: argparse.Namespace) -> int:
    """Run the local stack until Ctrl-C."""
    ports = (parsed.kafka_port, parsed.clickhouse_port)
    collector_port = checked_port(parsed.collector_port or free_port(COLLECTOR_PORT))
    with local_stack(_folder(parsed.data), _program_path(), *ports, collector_port=collector_port) as stack:
        out.print(f"Kafka       {stack.brokers}      export NPS_BROKERS={stack.brokers}", soft_wrap=True)
        out.print(
            f"ClickHouse  {stack.clickhouse_url}  export NPS_CLICKHOUSE_URL={stack.clickhouse_url}", soft_wrap=True
        )
        address = f"http://127.0.0.1:{collector_port}"
        out.print(f"collector   {address}  export NPS_COLLECTOR_URL={address}", soft_wrap=True)
        for child in (child for child in stack.children if "NPS_METRICS_PORT" in child.env):
            out.print(
                f"metrics     http://127.0.0.1:{child.env['NPS_METRICS_PORT']}/metrics  {child.name}", soft_wrap=True
            )
        return Supervisor(stack.children).run()


def demo(parsed: argparse.Namespace) -> int:
    """Run the demo; returns 0 when every figure agrees."""
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        live_s = program.duration_ms(parsed.seconds) / 1000
    except ValueError as error:
        raise BadSettings(f"--for: {error}") from None
    with (
        tempfile.TemporaryDirectory(prefix="nps-demo-") as name,
        local_stack(Path(name), DEMO_PROGRAM) as stack,
        closing(connect(stack.clickhouse_url)) as warehouse,
    ):
        settings, clickhouse = Settings.from_env(stack.environ), ClickHouseFigures(warehouse)
        reconciliation = Demo(stack, settings, Path(name), clickhouse, out).run(live_s)
    out.print(reconciliation.table())
    out.print(reconciliation.ledger)
    out.print(f"dead letters by reason: {_counts(reconciliation.dead)}")
    figures = reconciliation.figures
    same = sum(figure.agrees for figure in figures)
    out.print(f"{same} of {len(figures)} figures agree between stream, ClickHouse and a recount of the input")
    return ExitCode.OK if reconciliation.agrees else ExitCode.UNEXPECTED


def _program_path() -> Path | None:
    name = os.environ.get("NPS_PROGRAM")
    path = Path(name).resolve() if name else None
    program.load(path)
    return path


def _folder(name: str) -> Path:
    folder = Path(name).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _counts(counts: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"
