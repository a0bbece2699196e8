"""What reads the output topics: `nps sink`, `nps notify`.  Each runs until it is asked to stop."""

import argparse
import signal
import sys
import threading
from contextlib import closing

from schemas.topics import BY_NAME
from sinks.batch import Policy
from sinks.clickhouse.client import connect
from sinks.clickhouse.erasures import ClickHouseErasures
from sinks.erasure.process import Erasing
from sinks.failing import FailingWarehouse
from sinks.loader import Loader
from sinks.notify.console.notifier import Console as AlertLines
from sinks.notify.delivery import Notifier
from sinks.notify.webhook.notifier import Webhook
from streams.clock import wall_ms
from streams.commands.session import armed, codec_of, in_force, need, serve_metrics
from streams.engine import failpoints
from streams.errors import BadSettings, ExitCode
from streams.settings import Settings


def sink(_: argparse.Namespace) -> int:
    """Load the output topics into ClickHouse until asked to stop."""
    chosen = in_force()
    points = armed(failpoints.SINK)
    policy = Policy(chosen.sink_rows, chosen.sink_bytes, chosen.sink_age_ms)
    producer, consumer = _clients(chosen, "sink")
    with closing(connect(chosen.clickhouse_url, within_s=chosen.server_wait_s)) as warehouse:
        serve_metrics(chosen)
        taking = FailingWarehouse(warehouse, points.at_once) if points else warehouse
        erasing = Erasing(ClickHouseErasures(warehouse), warehouse, wall_ms)
        wait_s = chosen.server_wait_s
        loader = Loader(consumer, producer, taking, codec_of(chosen), policy, erasing=erasing, patience_s=wait_s)
        loader.run(_asked_to_stop())
    return ExitCode.OK


def notify(_: argparse.Namespace) -> int:
    """Deliver alerts until asked to stop."""
    chosen = in_force()
    if chosen.webhook_url and not chosen.webhook_secret:
        raise BadSettings("NPS_WEBHOOK_SECRET is needed with NPS_WEBHOOK_URL, so that the receiver can tell who posts")
    producer, consumer = _clients(chosen, "notifier")
    channel = Webhook(chosen.webhook_url, chosen.webhook_secret) if chosen.webhook_url else AlertLines(sys.stdout)
    serve_metrics(chosen)
    notifier = Notifier(consumer, producer, codec_of(chosen), channel, patience_s=chosen.server_wait_s)
    notifier.run(_asked_to_stop())
    return ExitCode.OK


def _clients(chosen: Settings, role: str) -> tuple[dict[str, str], dict[str, str]]:
    """A sink's producer and consumer settings, once Kafka answers and has the topics."""
    need(chosen, BY_NAME)
    kafka = {"bootstrap.servers": chosen.brokers, **chosen.security}
    session_ms = chosen.session_timeout_ms
    membership = {
        "group.id": f"{chosen.group}-{role}",
        "session.timeout.ms": str(session_ms),
        "heartbeat.interval.ms": str(max(100, session_ms // 4)),  # librdkafka's own 3 s outlives a short session
    }
    return kafka, {**kafka, **membership}


def _asked_to_stop() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop
