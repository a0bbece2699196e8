"""`nps page`: shows the live page until it is asked to stop."""

import argparse

from schemas.topics import ANSWERS, CASES, DEAD, DELIVERIES, ERASURES, FALLS, INCIDENTS, ONCALL, ROLLING, Topic
from streams.clock import wall_ms
from streams.collector.outbox import Outbox
from streams.commands.session import codec_of, out, read_settings, require_topics, serve_metrics
from streams.errors import BadSettings, ExitCode
from streams.page.access import parse_tokens
from streams.page.board import LiveBoard
from streams.page.feed import PageFeed
from streams.page.server import LivePage, PagePolicy
from streams.page.service import is_loopback, origins_of, serve_page
from streams.settings import Settings

TAILS: dict[Topic, int | None] = {
    ERASURES: 10_000, ROLLING: None, FALLS: None, INCIDENTS: None, DELIVERIES: None, CASES: 20_000, ANSWERS: 100,
    DEAD: 10_000,
}  # fmt: skip
"""Records of each partition to begin with: compacted topics whole, of the others what is shown at most and more."""

ACTION_MS = 3_000
"""Time for which a person waits until Kafka has what they did."""


def run(_: argparse.Namespace) -> int:
    """Show the page until asked to stop."""
    settings = read_settings()
    require_door(settings)
    require_topics(settings, {topic.name for topic in (*TAILS, ONCALL)})
    health = serve_metrics(settings)
    codec, board = codec_of(settings), LiveBoard(wall_ms)
    feed = PageFeed(settings.brokers, settings.security, codec, TAILS, settings.server_wait_s)
    outbox = Outbox(settings.brokers, settings.security, ACTION_MS, "nps-page")
    health.unready = lambda: "" if feed.is_caught_up and not feed.is_away else "Kafka's records are not read yet"

    def announce(line: str) -> None:
        out.print(line, soft_wrap=True)

    def policy(port: int) -> PagePolicy:
        origins = origins_of(settings.page_host, port, settings.page_url)
        return PagePolicy(parse_tokens(settings.page_tokens), origins, settings.page_proxies)

    try:
        page = LivePage(board, feed, outbox, codec, announce)
        serve_page(page, board, feed, (settings.page_host, settings.page_port), policy, announce)
    finally:
        outbox.close()
        feed.close()
    return ExitCode.OK


def require_door(settings: Settings) -> None:
    """Check that strangers stay outside.  Raises BadSettings."""
    try:
        tokens = parse_tokens(settings.page_tokens)
    except ValueError as error:
        raise BadSettings(f"NPS_PAGE_TOKENS: {error}") from None
    is_local = is_loopback(settings.page_host)
    if not tokens and not is_local:
        raise BadSettings(f"NPS_PAGE_HOST={settings.page_host} lets other hosts in: set NPS_PAGE_TOKENS")
    if not settings.page_url and not is_local:
        raise BadSettings(f"NPS_PAGE_HOST={settings.page_host} needs NPS_PAGE_URL, the address in people's browsers")
