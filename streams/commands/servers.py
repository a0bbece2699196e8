"""Commands that set servers up (`nps topics`, `nps migrate`) or run the local stack (`nps up`, `nps demo`)."""

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from rich.table import Table

from schemas.events import Alert
from sinks.clickhouse.client import connect
from sinks.clickhouse.figures import ClickHouseFigures
from sinks.clickhouse.layout import Layout
from sinks.clickhouse.migrate import all_of, create_database, make_roles, missing
from sinks.clickhouse.migrate import migrate as apply_migrations
from sinks.clickhouse.pending import close_forgotten
from streams import program
from streams.commands.mappings import webhook_mappings, webhook_sources
from streams.commands.session import cell, out, read_settings, set_logging_up, show
from streams.commands.warehouse import warehouse_of
from streams.errors import BadSettings, ExitCode
from streams.kafka.topics import ensure_topics, verify_topics
from streams.local.demo import PROGRAM as DEMO_PROGRAM
from streams.local.demo import Demo
from streams.local.servers import checked_port, free_port
from streams.local.stack import TRY_PROGRAM, Stack, local_stack
from streams.local.supervisor import Child, Supervisor
from streams.processing.partition import EPOCH_SHIFT
from streams.proof.reconciliation import Reconciliation
from streams.settings import Settings

COLLECTOR_PORT = 8090
PAGE_PORT = 8091


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
    rules = program.load(settings.program_path)
    layout = Layout(rules.dimensions, rules.combinations, settings.clickhouse_cluster)
    with closing(warehouse_of(settings)) as warehouse:
        create_database(warehouse, layout)
        lost = missing(warehouse, all_of(layout))
        applied = apply_migrations(warehouse, layout)
        if parsed.roles:
            make_roles(warehouse, layout)
    out.print(f"applied {', '.join(applied)}" if applied else "nothing to apply")
    if lost:
        out.print(
            f"{', '.join(lost)} had been dropped and {'is' if len(lost) == 1 else 'are'} there again; rows of a table "
            "come back from a backup alone",
            soft_wrap=True,
        )
    return ExitCode.OK


def up(parsed: argparse.Namespace) -> int:
    """Run the local stack until Ctrl-C, by the program of the settings or one for trying things out."""
    settings = read_settings()
    path = settings.program_path.resolve() if settings.program_path else TRY_PROGRAM
    mappings = webhook_mappings(settings, program.load(path))
    webhook_sources(mappings, os.environ)
    sources = {file: mapping.topic for file, mapping in zip(settings.webhook_files, mappings, strict=True)}
    ports = (parsed.kafka_port, parsed.clickhouse_port)
    extra = {"NPS_PARTITIONS": str(settings.partitions)}
    collector_port = checked_port(parsed.collector_port or free_port(COLLECTOR_PORT))
    page_port = checked_port(parsed.page_port or free_port(PAGE_PORT))
    with local_stack(_folder(parsed.data), path, *ports, extra, collector_port, sources, page_port) as stack:
        _print_addresses(stack)
        address = f"http://127.0.0.1:{collector_port}"
        out.print(f"collector   {address}  export NPS_COLLECTOR_URL={address}", soft_wrap=True)
        for mapping in mappings:
            out.print(f"webhooks    {address}/sources/{mapping.name}  {mapping.file}", soft_wrap=True)
        out.print(f"live page   http://127.0.0.1:{page_port}  by the link that it prints", soft_wrap=True)
        out.print(f"program     {path}", soft_wrap=True)
        _close_forgotten(stack)
        return Supervisor([_for_people(child) for child in stack.children]).run()


def demo(parsed: argparse.Namespace) -> int:
    """Run the demo; returns 0 when every figure agrees."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # SIGINT may be ignored, as in the background
    set_logging_up()
    try:
        live_s = program.duration_ms(parsed.seconds) / 1000
    except ValueError as error:
        raise BadSettings(f"--for: {error}") from None
    with (
        _scratch() as name,
        local_stack(Path(name), DEMO_PROGRAM) as stack,
        closing(connect(stack.clickhouse_url)) as warehouse,
    ):
        settings, clickhouse = Settings.from_env(stack.environ), ClickHouseFigures(warehouse)
        with Demo(stack, settings, Path(name), clickhouse, out) as running:
            reconciliation = running.run(live_s)
            _print_summary(reconciliation, running.alert)
            if parsed.stay:
                _print_addresses(stack)
                out.print(NEXT)
                running.stay()
    return ExitCode.OK if reconciliation.agrees else ExitCode.UNEXPECTED


NEXT = """\
everything runs on until Ctrl-C; look at it from another terminal, after the exports above:
  nps query "SELECT * FROM nps_current WHERE segment = 'all'"
  nps query "SELECT * FROM suppressed_by_reason"
  nps query "SELECT customer_id, score, comment FROM alerts ORDER BY received_at DESC LIMIT 3"
  nps why CUSTOMER_ID
  nps deadletters list --last 5"""


def _print_addresses(stack: Stack) -> None:
    """Print where everything is, with the settings that lead other commands there."""
    out.print(f"Kafka       {stack.brokers}      export NPS_BROKERS={stack.brokers}", soft_wrap=True)
    url = stack.clickhouse_url
    out.print(f"ClickHouse  {url}  export NPS_CLICKHOUSE_URL={url}", soft_wrap=True)
    if stack.environ["NPS_PARTITIONS"] != str(Settings().partitions):
        out.print(f"partitions  export NPS_PARTITIONS={stack.environ['NPS_PARTITIONS']}")
    for child in (child for child in stack.children if "NPS_METRICS_PORT" in child.env):
        out.print(f"metrics     http://127.0.0.1:{child.env['NPS_METRICS_PORT']}/metrics  {child.name}", soft_wrap=True)


def _close_forgotten(stack: Stack) -> None:
    """Say that the broker forgets, and close the surveys that waited when it did."""
    with closing(connect(stack.clickhouse_url)) as warehouse:
        closed = close_forgotten(warehouse, stack.epoch << EPOCH_SHIFT)
    out.print("surveys that wait for their time are kept in memory: a stop forgets them", soft_wrap=True)
    if closed:
        out.print(
            f"{closed} that waited when it was stopped are not sent any more: suppressed as forgotten", soft_wrap=True
        )


def _for_people(child: Child) -> Child:
    """Let the notifier name customers where a person looks at a terminal."""
    is_notifier = child.name == "notify" and sys.stdout.isatty()
    return replace(child, argv=[*child.argv, "--customers"]) if is_notifier else child


def _print_summary(reconciliation: Reconciliation, alert: Alert | None) -> None:
    show(reconciliation.table())
    out.print(reconciliation.ledger)
    out.print(f"dead letters by reason: {_counts(reconciliation.dead)}")
    if alert is not None:
        out.print("one alert, as a webhook gets it:")
        record = Table.grid(padding=(0, 2))
        for name, value in alert._asdict().items():
            record.add_row(f"  {name}", cell(value))
        out.print(record)
    figures = reconciliation.figures
    same = sum(figure.agrees for figure in figures)
    out.print(f"{same} of {len(figures)} figures agree between stream, ClickHouse and a recount of the input")


def _folder(name: str) -> Path:
    folder = Path(name).resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadSettings(f"--data {name}: no folder can be made there ({error.strerror}): choose another") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise BadSettings(f"--data {name}: may not be written: choose another")
    return folder


def _scratch() -> tempfile.TemporaryDirectory[str]:
    try:
        return tempfile.TemporaryDirectory(prefix="nps-demo-")
    except OSError as error:
        raise BadSettings(f"no temporary folder can be made ({error.strerror}): set TMPDIR") from None


def _counts(counts: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"
