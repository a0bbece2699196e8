"""`nps worker`: processes events until it is asked to stop."""

import argparse

from streams import program
from streams.commands.session import armed, codec_of, in_force, serve_metrics
from streams.engine import failpoints
from streams.engine.fuse import FuseLimits
from streams.processing.worker import Worker


def run(_: argparse.Namespace) -> int:
    """Process events until asked to stop."""
    settings = in_force()
    points = armed(failpoints.WORKER)
    if points:
        failpoints.fail_commits(points)
    rules = program.load(settings.program_path)
    fuse = FuseLimits(in_a_row=settings.fuse_in_a_row, ratio=settings.fuse_ratio)
    serve_metrics(settings)
    engine, codec, epoch, keys = settings.engine(), codec_of(settings), settings.topic_epoch, settings.keys
    pace = settings.wakeups_per_s
    return Worker(engine, rules, codec, fuse, epoch, failpoints=points, keys=keys, wakeups_per_s=pace).run()
