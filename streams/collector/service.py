"""Runner of the collector in this process, until a signal stops it."""

import asyncio
import logging
import signal
from collections.abc import Callable

from aiohttp import web

from streams.collector.server import Collector
from streams.errors import PortTaken

logger = logging.getLogger("streams.collector")


def serve(collector: Collector, host: str, port: int, announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT, then finish the requests under way.  Raises PortTaken.

    `announce` gets one line with the address as soon as it listens.
    """
    for name in ("aiohttp.server", "aiohttp.access", "aiohttp.web"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # they would write addresses and links
    asyncio.run(_serve(collector, host, port, announce))


async def _serve(collector: Collector, host: str, port: int, announce: Callable[[str], None]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(collector.app(), access_log=None, shutdown_timeout=10.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        raise PortTaken(f"cannot listen at {host}:{port} ({error.strerror}): change NPS_COLLECTOR_PORT") from None
    address = runner.addresses[0]
    announce(f"collector listens at http://{address[0]}:{address[1]}")
    await stop.wait()
    await runner.cleanup()
