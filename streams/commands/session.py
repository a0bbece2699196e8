"""What every command starts from: the settings in force, a codec, topics that exist, a place to print."""

import logging
import os
import sys
from collections.abc import Container

from prometheus_client import start_http_server
from rich.console import Console
from rich.table import Column, Table

from schemas.codec import Codec
from streams.errors import BadSettings, BadTopics
from streams.kafka.topics import verify_topics
from streams.settings import Settings

WIDEST = 10_000
"""Columns for output that goes to a file or another program: nothing is cut there."""

out = Console(markup=False, emoji=False, width=None if sys.stdout.isatty() else WIDEST)


def in_force() -> Settings:
    """The settings in the environment, and logging as every command wants it.  Raises BadSettings."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s", level=logging.INFO)
    return Settings.from_env(os.environ)


def codec_of(settings: Settings) -> Codec:
    """The codec that these settings ask for."""
    if not settings.registry_url:
        return Codec()
    from schemas.registry import ConfluentRegistry  # its client takes 25 MiB, and few have a registry

    return Codec(ConfluentRegistry(settings.registry_url))


def serve_metrics(settings: Settings) -> None:
    """Answer Prometheus where the settings say, if they do.  Raises BadSettings for a port that is taken."""
    if settings.metrics_port:
        try:
            start_http_server(settings.metrics_port, settings.metrics_host)
        except OSError as error:
            where = f"{settings.metrics_host}:{settings.metrics_port}"
            raise BadSettings(f"cannot serve metrics at {where} ({error.strerror}): change NPS_METRICS_PORT") from None


def need(settings: Settings, topics: Container[str]) -> None:
    """Raises BrokerAway unless Kafka answers, BadTopics unless it has these topics; a producer would make them."""
    found = verify_topics(settings.brokers, settings.security, settings.partitions, settings.server_wait_s)
    for line in found.differences:
        if "is missing" in line and line.partition(":")[0] in topics:
            raise BadTopics(line)


def table_of(*names: str) -> Table:
    """A table that folds on a narrow terminal rather than leave anything out."""
    return Table(*(Column(name, overflow="fold") for name in names))
