"""Command of the on-call side: `nps incidents`."""

import argparse
import signal
import threading
from collections.abc import Callable
from contextlib import closing
from functools import partial

from confluent_kafka import Consumer

from sinks.kafka_health import MANUAL_COMMIT, QUIET, KafkaHealth, log_error
from streams import program
from streams.clock import wall_ms
from streams.commands.session import codec_of, read_settings, require_topics, serve_metrics
from streams.engine.lease import Lease
from streams.errors import ExitCode
from streams.kafka.member import GroupMember
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
    member = _member(settings, connection)
    producer = write_to(Producer(settings.brokers, client_id="nps-incidents", security=settings.security))
    stop, lease = threading.Event(), Lease(settings.session_timeout_ms)
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stop.set())
    with closing(KafkaReader(settings.brokers, settings.security, settings.server_wait_s)) as reader:
        codec, epoch = codec_of(settings), settings.topic_epoch
        IncidentsProcess(rules, codec, member, producer, reader, lease, wall_ms, epoch).run(stop)
    return ExitCode.OK


def _member(settings: Settings, health: KafkaHealth) -> GroupMember:
    group, session_ms = f"{settings.group}-incidents", settings.session_timeout_ms
    consumer = Consumer({
        "bootstrap.servers": settings.brokers, **settings.security, "group.id": group,
        "auto.offset.reset": "earliest", "fetch.queue.backoff.ms": "10", "queued.max.messages.kbytes": "65536",
        "session.timeout.ms": str(session_ms), "heartbeat.interval.ms": str(max(100, session_ms // 4)),
        **MANUAL_COMMIT, **QUIET, "error_cb": health.lost,
    })  # fmt: skip

    def joined() -> None:
        health.is_member = True

    return GroupMember(
        consumer, partial(health.check, consumer), lambda error, topic: log_error(log, error, group, topic), joined
    )
