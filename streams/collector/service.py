"""Runner of the collector in this process, until a signal stops it."""

import asyncio
import logging
import signal
from collections.abc import Callable

from aiohttp import web

from streams.collector.connections import Connection, ConnectionLimits, Connections, timed, without_version
from streams.collector.server import Collector
from streams.errors import PortTaken

logger = logging.getLogger("streams.collector")


def serve(
    collector: Collector, limits: ConnectionLimits, host: str, port: int, announce: Callable[[str], None]
) -> None:
    """Serve until SIGTERM or SIGINT, then finish the requests under way.  Raises PortTaken.

    `announce` gets one line with the address as soon as it listens.
    """
    for name in ("aiohttp.server", "aiohttp.access", "aiohttp.web"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # they would write addresses and links
    asyncio.run(_serve(collector, limits, host, port, announce))


async def listen(
    app: web.Application, limits: ConnectionLimits, host: str, port: int
) -> tuple[web.AppRunner, asyncio.Server]:
    """Serve an application to bounded connections; the runner to clean up in the end, and the listening server.

    Raises OSError when it cannot listen.
    """
    connections = Connections(limits)
    app.middlewares.insert(0, timed)
    app.on_response_prepare.append(without_version)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=10.0)
    await runner.setup()
    handlers = runner.server
    if handlers is None:
        raise RuntimeError("a runner that is set up has a server")
    try:
        loop = asyncio.get_running_loop()
        return runner, await loop.create_server(lambda: Connection(connections, handlers), host, port)
    except OSError:
        await runner.cleanup()
        raise


async def _serve(
    collector: Collector, limits: ConnectionLimits, host: str, port: int, announce: Callable[[str], None]
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        runner, listening = await listen(collector.app(), limits, host, port)
    except OSError as error:
        raise PortTaken(f"cannot listen at {host}:{port} ({error.strerror}): change NPS_COLLECTOR_PORT") from None
    address = listening.sockets[0].getsockname()
    announce(f"collector listens at http://{address[0]}:{address[1]}")
    await stop.wait()
    listening.close()
    await runner.cleanup()
