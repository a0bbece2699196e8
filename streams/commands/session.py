"""Start of every command: the settings in force, a codec, a check of the topics, the console and its tables."""

import logging
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Container, Iterable
from datetime import UTC, datetime

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Column, Table

from schemas.codec import Codec
from schemas.display import printable, without_passwords
from schemas.registry import ConfluentRegistry
from streams.commands.health import Health
from streams.errors import BadSettings, BadTopics
from streams.kafka.topics import verify_topics
from streams.settings import Settings

WIDEST = 10_000
"""Columns of output that goes to a file or another program: nothing is cut there."""

NARROWEST_PROSE = 40
"""Columns that the widest column of a table needs; with fewer, each row is printed as a record of its own."""

CHATTY = ("httpx", "httpcore", "urllib3")
"""Loggers of HTTP clients, which would write addresses with whatever is in them for each request."""


def _console() -> Console:
    """Make the console of stdout.  Of a dumb terminal Rich does not ask how wide it is."""
    columns, lines = shutil.get_terminal_size()
    if not sys.stdout.isatty():
        columns = WIDEST
    elif os.environ.get("TERM", "") not in ("dumb", "unknown"):
        return Console(markup=False, emoji=False)
    return Console(markup=False, emoji=False, width=columns, height=lines)


out = _console()


class LogFormatter(logging.Formatter):
    """Formatter of log lines: one record one line, nothing for a terminal to obey, no password of an address."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # the library's name
        """Format the line; line ends in the message are written out, so that nobody else can write one."""
        return printable(super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        """Format the record with its traceback, if there is one."""
        return printable(without_passwords(super().format(record)), keep="\n")


def stop_on_signal() -> threading.Event:
    """Make an event that SIGTERM and SIGINT set from now on."""
    stop = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stop.set())
    return stop


def read_settings() -> Settings:
    """Read the settings from the environment and set logging up.  Raises BadSettings."""
    set_logging_up()
    return Settings.from_env(os.environ)


def set_logging_up() -> None:
    """Write log lines to stderr by the one rule of `LogFormatter`, and silence the HTTP clients."""
    handler = logging.StreamHandler()
    handler.setFormatter(LogFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)


def codec_of(settings: Settings, *, encodes: bool = True) -> Codec:
    """Make the codec that these settings ask for; one that only decodes need not reach the registry yet."""
    registry = ConfluentRegistry(settings.registry_url, settings.registry) if settings.registry_url else None
    return Codec(registry, encodes=encodes, patience_s=settings.server_wait_s)


def serve_metrics(settings: Settings) -> Health:
    """Serve Prometheus metrics and health if the settings name a port.  Raises BadSettings for one that is taken."""
    health = Health()
    if settings.metrics_port:
        try:
            health.serve(settings.metrics_host, settings.metrics_port)
        except OSError as error:
            where = f"{settings.metrics_host}:{settings.metrics_port}"
            raise BadSettings(f"cannot serve metrics at {where} ({error.strerror}): change NPS_METRICS_PORT") from None
    return health


def require_topics(settings: Settings, topics: Container[str]) -> None:
    """Check that Kafka has these topics, which a producer would make otherwise.  Raises BrokerAway, BadTopics."""
    report = verify_topics(settings.brokers, settings.security, settings.partitions, settings.server_wait_s)
    for line in report.differences:
        if "is missing" in line and line.partition(":")[0] in topics:
            raise BadTopics(line)


def table_of(*names: str) -> Table:
    """Make a table that folds on a narrow terminal rather than leave anything out."""
    return Table(*(Column(cell(name), overflow="fold") for name in names))


def show(table: Table) -> None:
    """Print a table; where its columns have no room, its rows one below the other; "no rows" for none."""
    rows = list(zip(*(column.cells for column in table.columns), strict=True))
    if not rows:
        out.print("no rows")
    elif _fits(table):
        out.print(table)
    else:
        for row in rows:
            out.print(_record(table, row))
            out.print()


def _fits(table: Table) -> bool:
    """True when the terminal has room for the table with its widest column folded to NARROWEST_PROSE."""
    widths = [max(map(_width, (column.header, *column.cells))) for column in table.columns]
    return sum(widths) - max(0, max(widths) - NARROWEST_PROSE) + 3 * len(widths) + 1 <= out.width


def _width(text: object) -> int:
    return max(map(cell_len, str(text).splitlines()), default=0)


def _record(table: Table, row: Iterable[RenderableType]) -> Table:
    """Lay a row out as a name and a value on each line, one below the other."""
    record = Table.grid(Column(overflow="fold"), Column(overflow="fold"), padding=(0, 2))
    for column, value in zip(table.columns, row, strict=True):
        record.add_row(column.header, value)
    return record


def cell(value: object) -> str:
    """Format a value for a table: what would move a terminal's cursor, or worse, is written out."""
    return printable(str(value), keep="\n")


def moment(at_ms: int) -> str:
    """Format an instant in milliseconds for a table: UTC, to the second."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at_ms // 1000))


def instant_ms(option: str, text: str) -> int:
    """Parse the date or time of an option into milliseconds; UTC where it names no zone.  Raises BadSettings."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise BadSettings(f"{option} {text!r} is no time: write 2026-01-31 or 2026-01-31T09:00+01:00") from None
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)
