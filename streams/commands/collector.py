"""`nps collector`: takes answers from score links and from survey tools until it is asked to stop."""

import argparse

from schemas.topics import DEAD_LETTERS, RESPONSES
from streams import program
from streams.clock import wall_ms
from streams.collector.outbox import Outbox
from streams.collector.server import Collector, CollectorPolicy
from streams.collector.service import serve
from streams.commands.session import codec_of, out, read_settings, require_topics, serve_metrics
from streams.errors import BadSettings, ExitCode
from streams.settings import Settings

SHORTEST_KEY_CHARACTERS = 16


def run(_: argparse.Namespace) -> int:
    """Listen until asked to stop."""
    settings = read_settings()
    policy = _policy(settings)
    require_topics(settings, {RESPONSES.name, DEAD_LETTERS})
    serve_metrics(settings)
    outbox = Outbox(settings.brokers, settings.security, settings.collector_wait_ms)
    try:
        collector = Collector(policy, codec_of(settings), outbox, wall_ms)
        serve(collector, settings.collector_host, settings.collector_port, lambda line: out.print(line, soft_wrap=True))
    finally:
        outbox.close()
    return ExitCode.OK


def _policy(settings: Settings) -> CollectorPolicy:
    if settings.keys is None:
        raise BadSettings("NPS_LINK_KEYS is needed to tell our links from forged ones: the same as the workers have")
    if settings.collector_key and len(settings.collector_key) < SHORTEST_KEY_CHARACTERS:
        raise BadSettings(f"NPS_COLLECTOR_KEY must have {SHORTEST_KEY_CHARACTERS} characters or more")
    return CollectorPolicy(
        settings.keys, settings.collector_key, settings.collector_link_rate, settings.collector_address_rate,
        settings.collector_proxies, program.load(settings.program_path).brand,
    )  # fmt: skip
