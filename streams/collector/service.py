"""Runs the collector in this process until it is asked to stop."""

import asyncio
import logging
import signal
from collections.abc import Callable

from aiohttp import web

from streams.collector.server import Collector
from streams.errors import PortTaken

logger = logging.getLogger("streams.collector")


def serve(collector: Collector, host: str, port: int, said: Callable[[str], None]) -> None:
    """Listen, say where, and return once SIGTERM or SIGINT came and requests under way are done.  Raises PortTaken."""
    for name in ("aiohttp.server", "aiohttp.access", "aiohttp.web"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # they would write addresses and links
    asyncio.run(_serve(collector, host, port, said))


async def _serve(collector: Collector, host: str, port: int, said: Callable[[str], None]) -> None:
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
    said(f"collector listens at http://{address[0]}:{address[1]}")
    await stop.wait()
    await runner.cleanup()
