"""`nps worker`: processes events until it is asked to stop."""

import argparse

from streams import program
from streams.commands.session import codec_of, read_settings, serve_metrics
from streams.engine.fuse import FuseLimits
from streams.kafka.ports import Log
from streams.kafka.producer import Producer
from streams.processing.worker import Worker
from streams.settings import Settings


def run(_: argparse.Namespace) -> int:
    """Process events until asked to stop."""
    settings = read_settings()
    return worker_of(settings, producer_of(settings)).run()


def producer_of(settings: Settings) -> Producer:
    """Make a worker's producer: it gives a record up after a session, for by then a successor may have to write it."""
    engine = settings.engine()
    return Producer(
        engine.brokers,
        client_id=engine.client_id,
        security=engine.security,
        delivery_timeout_ms=engine.session_timeout_ms,
    )


def worker_of(settings: Settings, log: Log) -> Worker:
    """Make the worker that these settings ask for, and serve its metrics.  Raises BadSettings, BadProgram."""
    rules = program.load(settings.program_path)
    fuse = FuseLimits(in_a_row=settings.fuse_in_a_row, ratio=settings.fuse_ratio)
    health = serve_metrics(settings)
    worker = Worker(
        settings.engine(), rules, codec_of(settings), log, fuse,
        epoch=settings.topic_epoch, keys=settings.keys, wakeups_per_s=settings.wakeups_per_s,
    )  # fmt: skip
    health.unready = worker.unready
    return worker
