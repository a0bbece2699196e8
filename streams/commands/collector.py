"""`nps collector`: takes answers from score links and from survey tools until it is asked to stop."""

import argparse

from schemas.topics import DEAD_LETTERS, RESPONSES
from streams.clock import wall_ms
from streams.collector.outbox import Outbox
from streams.collector.server import Collector, Policy
from streams.collector.service import serve
from streams.commands.session import codec_of, in_force, need, out, serve_metrics
from streams.errors import BadSettings, ExitCode
from streams.settings import Settings

SHORTEST_KEY = 16


def run(_: argparse.Namespace) -> int:
    """Listen until asked to stop."""
    chosen = in_force()
    policy = _policy(chosen)
    need(chosen, {RESPONSES.name, DEAD_LETTERS})
    serve_metrics(chosen)
    outbox = Outbox(chosen.brokers, chosen.security, chosen.collector_wait_ms)
    try:
        collector = Collector(policy, codec_of(chosen), outbox, wall_ms)
        serve(collector, chosen.collector_host, chosen.collector_port, lambda line: out.print(line, soft_wrap=True))
    finally:
        outbox.close()
    return ExitCode.OK


def _policy(chosen: Settings) -> Policy:
    if chosen.keys is None:
        raise BadSettings("NPS_LINK_KEYS is needed to tell our links from forged ones: the same as the workers have")
    if chosen.collector_key and len(chosen.collector_key) < SHORTEST_KEY:
        raise BadSettings(f"NPS_COLLECTOR_KEY must have {SHORTEST_KEY} characters or more")
    return Policy(
        chosen.keys, chosen.collector_key, chosen.collector_link_rate, chosen.collector_address_rate,
        chosen.collector_proxies,
    )  # fmt: skip
