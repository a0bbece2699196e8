"""`nps worker`: processes events until it is asked to stop."""

import argparse

from streams import program
from streams.commands.session import armed, codec_of, in_force, serve_metrics
from streams.engine import failpoints
from streams.engine.fuse import FuseLimits
from streams.processing.worker import Worker


def run(_: argparse.Namespace) -> int:
    """Process events until asked to stop."""
    chosen = in_force()
    points = armed(failpoints.WORKER)
    if points:
        failpoints.fail_commits(points)
    rules = program.load(chosen.program_path)
    fuse = FuseLimits(in_a_row=chosen.fuse_in_a_row, ratio=chosen.fuse_ratio)
    serve_metrics(chosen)
    engine, codec, epoch, keys = chosen.engine(), codec_of(chosen), chosen.topic_epoch, chosen.keys
    pace = chosen.wakeups_per_s
    return Worker(engine, rules, codec, fuse, epoch, failpoints=points, keys=keys, wakeups_per_s=pace).run()
