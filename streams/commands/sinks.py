"""Readers of the output topics: `nps sink`, `nps notify`.  Each runs until it is told to stop."""

import argparse
import sys
from collections.abc import Callable
from contextlib import closing

from schemas.topics import BY_NAME
from sinks.batch import BatchPolicy
from sinks.clickhouse.erasures import ClickHouseErasures
from sinks.erasure.process import ErasureProcess
from sinks.loader import Loader
from sinks.notify.configuration import ReceiverConfig
from sinks.notify.console.notifier import ConsoleNotifier
from sinks.notify.delivery import AlertDelivery
from sinks.notify.notifier import Notifier
from sinks.notify.webhook.notifier import WebhookNotifier
from sinks.warehouse import Warehouse
from streams.clock import wall_ms
from streams.commands import receivers
from streams.commands.member import membership
from streams.commands.session import codec_of, read_settings, require_topics, serve_metrics, stop_on_signal
from streams.commands.warehouse import warehouse_of
from streams.errors import BadSettings, ExitCode
from streams.settings import Settings


def sink(_: argparse.Namespace) -> int:
    """Load the output topics into ClickHouse until asked to stop."""
    return load(read_settings())


def load(settings: Settings, write_to: Callable[[Warehouse], Warehouse] = lambda warehouse: warehouse) -> int:
    """Load until asked to stop; `write_to` may put a warehouse of its own before the real one."""
    policy = BatchPolicy(settings.sink_rows, settings.sink_bytes, settings.sink_age_ms)
    producer, consumer = _clients(settings, "sink")
    with closing(warehouse_of(settings)) as warehouse:
        health = serve_metrics(settings)
        erasure = ErasureProcess(ClickHouseErasures(warehouse), warehouse, wall_ms)
        wait_s = settings.server_wait_s
        rows = write_to(warehouse)
        loader = Loader(
            consumer, producer, rows, codec_of(settings, encodes=False), policy, erasure=erasure, patience_s=wait_s
        )
        health.unready = loader.unready
        loader.run(stop_on_signal())
    return ExitCode.OK


def notify(parsed: argparse.Namespace) -> int:
    """Deliver incidents' news to all receivers until asked to stop, or alerts where there is none; or test one."""
    if parsed.action == "test":
        if parsed.receiver is None:
            raise BadSettings("nps notify test needs the name of a receiver in the program file")
        return receivers.test(parsed.receiver)
    settings = read_settings()
    configs = receivers.read_receivers(settings)
    return _notify_receivers(settings, configs) if configs else _notify_alerts(settings, parsed)


def _notify_receivers(settings: Settings, configs: dict[str, ReceiverConfig]) -> int:
    producer, consumer = _clients(settings, "notify")
    processes = receivers.ReceiverProcesses(
        configs, consumer, producer, lambda: codec_of(settings), settings.server_wait_s
    )
    health = serve_metrics(settings)
    health.unready = processes.unready
    processes.run(stop_on_signal())
    return ExitCode.OK


def _notify_alerts(settings: Settings, parsed: argparse.Namespace) -> int:
    notifier = _notifier(settings, show_customers=parsed.customers or sys.stdout.isatty())
    producer, consumer = _clients(settings, "notifier")
    health = serve_metrics(settings)
    delivery = AlertDelivery(
        consumer, producer, codec_of(settings, encodes=False), notifier, patience_s=settings.server_wait_s
    )
    health.unready = delivery.unready
    delivery.run(stop_on_signal())
    return ExitCode.OK


def _notifier(settings: Settings, *, show_customers: bool) -> Notifier:
    if not settings.webhook_url:
        return ConsoleNotifier(sys.stdout, show_customers=show_customers)
    if not settings.webhook_secret:
        raise BadSettings("NPS_WEBHOOK_SECRET is needed with NPS_WEBHOOK_URL, so that the receiver can tell who posts")
    try:
        return WebhookNotifier(settings.webhook_url, settings.webhook_secret)
    except ValueError as error:
        raise BadSettings(str(error)) from None


def _clients(settings: Settings, role: str) -> tuple[dict[str, str], dict[str, str]]:
    """Make a sink's producer and consumer settings, once Kafka answers and has the topics."""
    require_topics(settings, BY_NAME)
    return {"bootstrap.servers": settings.brokers, **settings.security}, membership(settings, role)
