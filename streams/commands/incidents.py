"""Command of the on-call side: `nps incidents`."""

import argparse
from collections.abc import Callable
from contextlib import closing

from sinks.kafka_health import KafkaHealth
from streams import program
from streams.clock import wall_ms
from streams.commands.member import member_of
from streams.commands.session import codec_of, read_settings, require_topics, serve_metrics, stop_on_signal
from streams.engine.lease import Lease
from streams.errors import ExitCode
from streams.kafka.ports import Log
from streams.kafka.producer import Producer
from streams.kafka.reader import KafkaReader
from streams.oncall.process import TOPICS, IncidentsProcess, log
from streams.settings import Settings


def run(_: argparse.Namespace) -> int:
    """Fold alerts, falls and actions into incidents, and say who is told, until asked to stop."""
    return work(read_settings())


def work(settings: Settings, write_to: Callable[[Log], Log] = lambda log: log) -> int:
    """Work until asked to stop; `write_to` may put a log of its own before the real one."""
    rules = program.load(settings.program_path).oncall
    require_topics(settings, {topic.name for topic in TOPICS})
    health = serve_metrics(settings)
    connection = KafkaHealth(settings.server_wait_s)
    health.unready = connection.unready
    member = member_of(settings, "incidents", connection, log)
    producer = write_to(Producer(settings.brokers, client_id="nps-incidents", security=settings.security))
    stop, lease = stop_on_signal(), Lease(settings.session_timeout_ms)
    with closing(KafkaReader(settings.brokers, settings.security, settings.server_wait_s)) as reader:
        codec, epoch = codec_of(settings), settings.topic_epoch
        IncidentsProcess(rules, codec, member, producer, reader, lease, wall_ms, epoch).run(stop)
    return ExitCode.OK
