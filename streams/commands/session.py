"""Start of every command: the settings in force, a codec, a check of the topics, the console and its tables."""

import logging
import os
import sys
import time
from collections.abc import Container

from rich.console import Console
from rich.table import Column, Table

from schemas.codec import Codec
from schemas.registry import ConfluentRegistry
from streams.commands.health import Health
from streams.errors import BadSettings, BadTopics
from streams.kafka.topics import verify_topics
from streams.settings import Settings

WIDEST = 10_000
"""Columns of output that goes to a file or another program: nothing is cut there."""

out = Console(markup=False, emoji=False, width=None if sys.stdout.isatty() else WIDEST)


def read_settings() -> Settings:
    """Read the settings from the environment and set logging up.  Raises BadSettings."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s", level=logging.INFO)
    return Settings.from_env(os.environ)


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
    return Table(*(Column(name, overflow="fold") for name in names))


def cell(value: object) -> str:
    """Format a value for a table: what would move a terminal's cursor, or worse, is written out."""
    text = str(value)
    return text if text.isprintable() else "".join(map(_written_out, text))


def _written_out(character: str) -> str:
    if character.isprintable() or character == "\n":
        return character
    return character.encode("unicode_escape", "surrogatepass").decode()


def moment(at_ms: int) -> str:
    """Format an instant in milliseconds for a table: UTC, to the second."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at_ms // 1000))
