"""`nps`: the command line, and the one place that knows both the stream side and the sinks.

Exit codes: 0 done; 2 wrong settings, program or arguments; the worker's others are in `streams.engine.guard`.
"""

import argparse
import asyncio
import io
import logging
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from confluent_kafka import KafkaException
from prometheus_client import start_http_server
from rich.console import Console
from rich.progress import Progress
from rich.table import Column, Table

from schemas.codec import Codec
from schemas.deadletters import Death, NotADeadLetter, opened
from schemas.registry import ConfluentRegistry
from schemas.topics import BY_NAME, DEAD_LETTERS
from sinks.batch import Policy
from sinks.clickhouse import connect
from sinks.loader import Loader
from sinks.migrate import Edited, migrate
from sinks.notify.console import Console as AlertLines
from sinks.notify.notifier import Notifier
from sinks.notify.webhook import Webhook
from sinks.warehouse import Misconfigured, WarehouseError
from sinks.writing import TooManyRefused
from streams import produce, program, settings
from streams.demo import Demo, Died
from streams.engine.fuse import FuseLimits
from streams.engine.guard import BadTopics, BrokerAway, ExitCode
from streams.engine.log import Record
from streams.engine.producer import Producer, Undelivered
from streams.engine.reader import KafkaReader
from streams.engine.topics import ensure_topics, verify_topics
from streams.local import NotStarted
from streams.program import BadProgram
from streams.settings import BadSettings, Settings
from streams.stack import local_stack
from streams.supervisor import Supervisor
from streams.worker import Worker

DEMO_PROGRAM = Path(__file__).with_name("demo.toml")
WRONG = (BadSettings, BadProgram, BadTopics, produce.BadLine, Misconfigured, Edited)
AWAY = (BrokerAway, NotStarted, Died, WarehouseError, ConnectionError, KafkaException)

WIDEST = 10_000
"""Columns for output that goes to a file or another program: nothing is cut there."""

out = Console(markup=False, emoji=False, width=None if sys.stdout.isatty() else WIDEST)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; errors fit one line."""
    parsed = _parser().parse_args(arguments)
    try:
        sys.exit(parsed.run(parsed))
    except WRONG as error:
        sys.exit(_said(error, ExitCode.BAD_SETTINGS))
    except TooManyRefused as error:
        sys.exit(_said(error, ExitCode.FUSE_BLOWN))
    except Undelivered as error:
        sys.exit(_said(error, ExitCode.UNDELIVERED))
    except AWAY as error:
        sys.exit(_said(error, ExitCode.BROKER_AWAY))
    except KeyboardInterrupt:
        sys.exit(_said("stopped", 130))


def _said(error: object, code: int) -> int:
    print(f"nps: {error}", file=sys.stderr)  # noqa: T201  # what a command says is its product
    return code


# services


def _worker(_: argparse.Namespace) -> int:
    chosen = _settings()
    rules = program.load(chosen.program_path)
    fuse = FuseLimits(in_a_row=chosen.fuse_in_a_row, ratio=chosen.fuse_ratio)
    _serve_metrics(chosen)
    return Worker(chosen.engine(), rules, _codec(chosen), fuse, chosen.topic_epoch).run()


def _sink(_: argparse.Namespace) -> int:
    chosen = _settings()
    policy = Policy(chosen.sink_rows, chosen.sink_bytes, chosen.sink_age_ms)
    producer, consumer = _clients(chosen, "sink")
    with closing(connect(chosen.clickhouse_url, within_s=chosen.server_wait_s)) as warehouse:
        _serve_metrics(chosen)
        Loader(consumer, producer, warehouse, _codec(chosen), policy).run(_asked_to_stop())
    return ExitCode.OK


def _notify(_: argparse.Namespace) -> int:
    chosen = _settings()
    if chosen.webhook_url and not chosen.webhook_secret:
        raise BadSettings("NPS_WEBHOOK_SECRET is needed with NPS_WEBHOOK_URL, so that the receiver can tell who posts")
    producer, consumer = _clients(chosen, "notifier")
    channel = Webhook(chosen.webhook_url, chosen.webhook_secret) if chosen.webhook_url else AlertLines(sys.stdout)
    _serve_metrics(chosen)
    Notifier(consumer, producer, _codec(chosen), channel).run(_asked_to_stop())
    return ExitCode.OK


def _clients(chosen: Settings, role: str) -> tuple[dict[str, str], dict[str, str]]:
    """A sink's producer and consumer settings, once Kafka answers and has the topics."""
    _need(chosen, BY_NAME)
    kafka = {"bootstrap.servers": chosen.brokers, **chosen.security}
    session_ms = chosen.session_timeout_ms
    membership = {
        "group.id": f"{chosen.group}-{role}",
        "session.timeout.ms": str(session_ms),
        "heartbeat.interval.ms": str(max(100, session_ms // 4)),  # librdkafka's own 3 s outlives a short session
    }
    return kafka, {**kafka, **membership}


# one-shot jobs


def _topics(parsed: argparse.Namespace) -> int:
    chosen = _settings()
    if parsed.verify:
        report = verify_topics(chosen.brokers, chosen.security, chosen.partitions, chosen.server_wait_s)
    else:
        report = ensure_topics(
            chosen.brokers, chosen.security, chosen.partitions, chosen.replication, chosen.server_wait_s
        )
    for name in report.created:
        out.print(f"created {name}")
    for line in (*report.differences, *report.notes):
        out.print(line, soft_wrap=True)
    out.print("topics are as they should be" if report.ok else "topics differ: see above")
    return ExitCode.OK if report.ok else ExitCode.BAD_SETTINGS


def _migrate(_: argparse.Namespace) -> int:
    chosen = _settings()
    with closing(connect(chosen.clickhouse_url, within_s=chosen.server_wait_s)) as warehouse:
        applied = migrate(warehouse)
    out.print(f"applied {', '.join(applied)}" if applied else "nothing to apply")
    return ExitCode.OK


# the local stack


def _up(parsed: argparse.Namespace) -> int:
    ports = (parsed.kafka_port, parsed.clickhouse_port)
    with local_stack(_folder(parsed.data), _program_path(), *ports) as stack:
        out.print(f"Kafka       {stack.brokers}      export NPS_BROKERS={stack.brokers}", soft_wrap=True)
        out.print(
            f"ClickHouse  {stack.clickhouse_url}  export NPS_CLICKHOUSE_URL={stack.clickhouse_url}", soft_wrap=True
        )
        for child in stack.children:
            out.print(
                f"metrics     http://127.0.0.1:{child.env['NPS_METRICS_PORT']}/metrics  {child.name}", soft_wrap=True
            )
        return Supervisor(stack.children).run()


def _demo(parsed: argparse.Namespace) -> int:
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
        verdict = Demo(stack, Settings.from_env(stack.environ), Path(name), warehouse.query, out).run(live_s)
    out.print(verdict.table())
    out.print(f"suppressed by reason: {_counts(verdict.reasons)}; dead letters by reason: {_counts(verdict.dead)}")
    same = sum(figure.agrees for figure in verdict.figures)
    out.print(f"{same} of {len(verdict.figures)} figures agree between stream, ClickHouse and a recount of the input")
    return ExitCode.OK if verdict.agrees else ExitCode.UNEXPECTED


# tools


def _produce(parsed: argparse.Namespace) -> int:
    chosen = _settings()
    with _lines(parsed.file) as lines:
        events = list(produce.parse(lines, parsed.file, parsed.topic))
    if parsed.rebase:
        events = produce.rebased(events, time.time_ns() // 1_000_000)
    _need(chosen, {topic for topic, _ in events})
    log = Producer(chosen.brokers, client_id="nps-produce", security=chosen.security)
    with Progress(console=out, disable=not out.is_terminal) as progress:
        task = progress.add_task("producing", total=len(events))
        produce.send(events, log, _codec(chosen), lambda: progress.advance(task))
        asyncio.run(log.flush())
    out.print(f"{len(events)} events produced")
    return ExitCode.OK


def _query(parsed: argparse.Namespace) -> int:
    chosen = _settings()
    with closing(connect(chosen.clickhouse_url, within_s=chosen.server_wait_s)) as warehouse:
        names, rows = warehouse.table(parsed.sql)
    table = _table(*names)
    for row in rows:
        table.add_row(*map(str, row))
    out.print(table)
    return ExitCode.OK


def _deadletters(parsed: argparse.Namespace) -> int:
    chosen = _settings()
    table = _table("time (UTC)", "reason", "topic", "partition", "offset", "bytes", "detail")
    _need(chosen, {DEAD_LETTERS})
    with closing(KafkaReader(chosen.brokers, chosen.security)) as reader:
        letters = [record for _, record in reader.read([(DEAD_LETTERS, 0)])]
    for record in letters[-parsed.last :]:
        death = _death(record)
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(record.timestamp / 1000))
        size = len(record.value or b"")
        table.add_row(
            moment, death.reason, death.topic, str(death.partition), str(death.offset), str(size), death.detail
        )
    out.print(table)
    out.print(f"{len(letters)} dead letters")
    return ExitCode.OK


def _death(record: Record) -> Death:
    """Why a dead letter died; whatever else lies on the topic is listed too, as what it is."""
    try:
        return opened(record.headers)[1]
    except NotADeadLetter as error:
        return Death("unlabelled", str(error), DEAD_LETTERS, 0, record.offset, record.timestamp)


def _config(_: argparse.Namespace) -> int:
    chosen = _settings()
    rules = program.load(chosen.program_path)
    meanings = {name: meaning for name, _, meaning in settings.rows()}
    table = _table("setting", "value", "meaning")
    for name, value in settings.shown(chosen):
        table.add_row(name, value, meanings[name])
    out.print(table)
    out.print(f"program {chosen.program or 'nps.toml (as shipped)'}, hash {rules.hash}, {len(rules.rules)} rules")
    return ExitCode.OK


# shared by commands


def _settings() -> Settings:
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s", level=logging.INFO)
    return Settings.from_env(os.environ)


def _program_path() -> Path | None:
    chosen = os.environ.get("NPS_PROGRAM")
    path = Path(chosen).resolve() if chosen else None
    program.load(path)
    return path


def _codec(chosen: Settings) -> Codec:
    return Codec(ConfluentRegistry(chosen.registry_url) if chosen.registry_url else None)


def _need(chosen: Settings, topics: Container[str]) -> None:
    """Raises BrokerAway unless Kafka answers, BadTopics unless it has these topics; a producer would make them."""
    found = verify_topics(chosen.brokers, chosen.security, chosen.partitions, chosen.server_wait_s)
    for line in found.differences:
        if "is missing" in line and line.partition(":")[0] in topics:
            raise BadTopics(line)


def _serve_metrics(chosen: Settings) -> None:
    if chosen.metrics_port:
        try:
            start_http_server(chosen.metrics_port, chosen.metrics_host)
        except OSError as error:
            where = f"{chosen.metrics_host}:{chosen.metrics_port}"
            raise BadSettings(f"cannot serve metrics at {where} ({error.strerror}): change NPS_METRICS_PORT") from None


def _asked_to_stop() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _folder(name: str) -> Path:
    folder = Path(name).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _table(*names: str) -> Table:
    """A table that folds on a narrow terminal rather than leave anything out."""
    return Table(*(Column(name, overflow="fold") for name in names))


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"


@contextmanager
def _lines(name: str) -> Iterator[Iterator[str]]:
    """The lines of a file; bytes that are no UTF-8 are kept, so that whoever reads a line can name it."""
    if name == "-":
        yield io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8-sig", errors="surrogateescape")
        return
    try:
        with open(name, encoding="utf-8-sig", errors="surrogateescape") as file:
            yield file
    except OSError as error:
        raise produce.BadLine(f"{name}: cannot be read ({error.strerror})") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nps",
        description="Real-time NPS: events trigger surveys, answers become rolling NPS, alerts and ClickHouse rows.",
        epilog="Settings come from NPS_* variables; `nps config` shows them.  Start with: nps demo",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(
        name: str, run: Callable[[argparse.Namespace], int], text: str, example: str
    ) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=text, description=text, epilog=f"example: {example}")
        one.set_defaults(run=run)
        return one

    demo = command("demo", _demo, "Run the whole pipeline for a while and prove its numbers.", "nps demo --for 60s")
    demo.add_argument("--for", dest="seconds", default="60s", metavar="60s", help="how long to live after the history")
    up = command("up", _up, "Run the whole pipeline on this machine until Ctrl-C.", "nps up --data ./data")
    up.add_argument(
        "--data", default="data", metavar="FOLDER", help="where ClickHouse keeps its data (default: ./data)"
    )
    up.add_argument("--kafka-port", type=int, default=9092, metavar="PORT", help="default 9092")
    up.add_argument("--clickhouse-port", type=int, default=8123, metavar="PORT", help="default 8123")
    command(
        "worker", _worker, "Process events: surveys, answers, rolling NPS, alerts.", "NPS_BROKERS=kafka:9092 nps worker"
    )
    command("sink", _sink, "Load the output topics into ClickHouse.", "NPS_BROKERS=kafka:9092 nps sink")
    command("notify", _notify, "Post alerts to a webhook, or print them.", "NPS_WEBHOOK_URL=https://... nps notify")
    topics = command("topics", _topics, "Create the topics, or say how they differ.", "NPS_PARTITIONS=12 nps topics")
    topics.add_argument("--verify", action="store_true", help="only look, create nothing")
    command("migrate", _migrate, "Bring the ClickHouse tables and views up to date.", "nps migrate")
    send = command(
        "produce", _produce, "Send JSON lines to a topic.", "nps produce --topic purchases --rebase now orders.jsonl"
    )
    send.add_argument("file", help="JSON lines; - for standard input")
    send.add_argument("--topic", choices=sorted(produce.TOPICS), help="for lines without a field 'topic'")
    send.add_argument("--rebase", choices=["now"], help="shift the history so that its last event happens now")
    query = command("query", _query, "Ask ClickHouse and print a table.", 'nps query "SELECT * FROM nps_current"')
    query.add_argument("sql", help="one SELECT")
    dead = command(
        "deadletters", _deadletters, "List what could not be used, and why.", "nps deadletters list --last 20"
    )
    dead.add_argument("action", choices=["list"])
    dead.add_argument("--last", type=int, default=50, metavar="N", help="only the newest N (default 50)")
    command("config", _config, "Show every setting, its value and meaning, and the program.", "nps config")
    return parser


if __name__ == "__main__":
    main()
