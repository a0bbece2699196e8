"""Runner of the live page in this process, until a signal stops it."""

import asyncio
import logging
import signal
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from streams.collector.connections import ConnectionLimits
from streams.collector.service import listen
from streams.errors import PortTaken
from streams.page.board import LiveBoard
from streams.page.feed import FeedRecord, PageFeed
from streams.page.server import LivePage, PagePolicy

LIMITS = ConnectionLimits(in_all=500, per_network=200)


def is_loopback(host: str) -> bool:
    """True for a name or an address of this machine that no other one reaches."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def origins_of(host: str, port: int, url: str) -> frozenset[str]:
    """The page's own addresses, as browsers name them in `Origin`: that of `url`, and on loopback all its names."""
    names = ("127.0.0.1", "localhost", "[::1]") if is_loopback(host) else ()
    return frozenset((*(f"http://{name}:{port}" for name in names), *((_origin(url),) if url else ())))


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def serve_page(
    page: LivePage, board: LiveBoard, feed: PageFeed, place: tuple[str, int],
    policy: Callable[[int], PagePolicy], announce: Callable[[str], None],
) -> None:  # fmt: skip
    """Serve until SIGTERM or SIGINT.  Raises PortTaken, BrokerAway, NotAllowed.

    `place` is host and port to listen at; `policy` gets the port that it listens at.
    """
    for name in ("aiohttp.server", "aiohttp.access", "aiohttp.web"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # they would write addresses and keys
    asyncio.run(_serve(page, board, feed, place, policy, announce))


async def _serve(
    page: LivePage, board: LiveBoard, feed: PageFeed, place: tuple[str, int],
    policy: Callable[[int], PagePolicy], announce: Callable[[str], None],
) -> None:  # fmt: skip
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    host, port = place
    try:
        runner, listening = await listen(page.app(), LIMITS, host, port)
    except OSError as error:
        raise PortTaken(f"cannot listen at {host}:{port} ({error.strerror}): change NPS_PAGE_PORT") from None
    found = listening.sockets[0].getsockname()[1]
    announce(f"live page listens at http://{f'[{host}]' if ':' in host else host}:{found}")
    page.open_to(policy(found))

    async def take(records: Sequence[FeedRecord]) -> None:
        is_live = feed.is_caught_up
        for fetched in records:
            board.take(fetched, is_live=is_live)

    tasks = [asyncio.create_task(work) for work in (feed.run(take), page.tick(), stop.wait())]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        listening.close()
        await runner.cleanup()
