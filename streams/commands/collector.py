"""`nps collector`: takes answers from score links and survey tools, and webhooks, until it is asked to stop."""

import argparse
import os
import resource
from collections.abc import Callable, Mapping

from schemas.topics import DEAD_LETTERS, RESPONSES
from streams import program
from streams.clock import wall_ms
from streams.collector.connections import ConnectionLimits
from streams.collector.outbox import Outbox
from streams.collector.server import Collector, CollectorPolicy
from streams.collector.service import serve
from streams.collector.webhooks import WebhookSource
from streams.commands.mappings import require_foreign_topics, webhook_mappings, webhook_sources
from streams.commands.session import codec_of, out, read_settings, require_topics, serve_metrics
from streams.errors import BadSettings, ExitCode
from streams.settings import Settings

SHORTEST_KEY_CHARACTERS = 16

FILES_BESIDE = 500
"""Open files beside the connections held: those of Kafka, and connections that come before others have given way."""

BODY_S = 30.0
"""Seconds for a request's body."""


def run(_: argparse.Namespace, outbox_of: Callable[[Settings], Outbox] | None = None) -> int:
    """Listen until asked to stop; `outbox_of` makes another outbox than the usual one."""
    settings = read_settings()
    limits = _connection_limits(settings)
    rules = program.load(settings.program_path)
    mappings = webhook_mappings(settings, rules)
    policy = _policy(settings, webhook_sources(mappings, os.environ))
    require_topics(settings, {RESPONSES.name, DEAD_LETTERS})
    if mappings:
        require_foreign_topics(settings, mappings)
    health = serve_metrics(settings)
    outbox = (outbox_of or _outbox)(settings)
    try:
        collector = Collector(policy, rules, codec_of(settings), outbox, wall_ms)
        health.unready = str  # whoever listens is ready
        serve(
            collector, limits, settings.collector_host, settings.collector_port,
            lambda line: out.print(line, soft_wrap=True),
        )  # fmt: skip
    finally:
        outbox.close()
    return ExitCode.OK


def _outbox(settings: Settings) -> Outbox:
    return Outbox(settings.brokers, settings.security, settings.collector_wait_ms)


def _policy(settings: Settings, sources: Mapping[str, WebhookSource]) -> CollectorPolicy:
    if settings.keys is None:
        raise BadSettings("NPS_LINK_KEYS is needed to tell our links from forged ones: the same as the workers have")
    if settings.collector_key and len(settings.collector_key) < SHORTEST_KEY_CHARACTERS:
        raise BadSettings(f"NPS_COLLECTOR_KEY must have {SHORTEST_KEY_CHARACTERS} characters or more")
    return CollectorPolicy(
        settings.keys, settings.collector_key, settings.collector_link_rate, settings.collector_address_rate,
        settings.collector_proxies, sources,
    )  # fmt: skip


def _connection_limits(settings: Settings) -> ConnectionLimits:
    """Limits of connections, for which this process may open enough files from now on.  Raises BadSettings."""
    in_all = settings.collector_connections
    needed, (soft, hard) = in_all + FILES_BESIDE, resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
        except (ValueError, OSError):
            raise BadSettings(
                f"NPS_COLLECTOR_CONNECTIONS of {in_all} needs {needed} open files: lower it, or raise `ulimit -Hn`"
            ) from None
    per_network = in_all if settings.collector_proxies else settings.collector_address_connections
    return ConnectionLimits(in_all, per_network, request_s=BODY_S + settings.collector_wait_ms / 1000)
