"""Connections of strangers, bounded in number, in all and of one network, and in the time that each step may take.

A header, a body and its answer, and the silence between requests: each has its time, and whoever takes longer is cut
off.  Where there is no room for one more connection, one of the network that has the most gives way, the one that has
waited longest; so nobody is shut out by connections that only stand there, however many.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import cast

from aiohttp import web

from streams import metrics
from streams.collector.limits import client_network

SERVER = "nps"
"""The `Server` header: no version tells which faults to try."""

LINGERING_S = 1.0
"""Seconds for which a body that nobody wants is read on, so that its sender hears the answer first."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """The most connections in all and of one client network, and the seconds for a header, a request and a silence.

    A request takes its body and the answer; a silence is the wait for the next request.
    """

    in_all: int
    per_network: int
    header_s: float = 10.0
    request_s: float = 30.0
    silence_s: float = 60.0

    def __post_init__(self) -> None:
        """Raises ValueError unless all are above 0."""
        if min(self.in_all, self.per_network, self.header_s, self.request_s, self.silence_s) <= 0:
            raise ValueError("connections and seconds must be above 0")


class Connections:
    """All open connections of a server, the one whose last step began longest ago first."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self._open: dict[Connection, None] = {}

    def open(self, connection: "Connection") -> None:
        """Take a connection in; where there is no room another gives way."""
        connections_of = Counter(each.network for each in self._open)
        crowded = ""
        if connections_of[connection.network] >= self.limits.per_network:
            crowded = connection.network
        elif len(self._open) >= self.limits.in_all:
            ((crowded, _),) = connections_of.most_common(1)
        if crowded:
            next(each for each in self._open if each.network == crowded).cut("crowded")
        self._open[connection] = None
        metrics.COLLECTOR_CONNECTIONS.set(len(self._open))

    def moved(self, connection: "Connection") -> None:
        """Note that a step of a connection began."""
        if connection in self._open:
            self._open[connection] = self._open.pop(connection)

    def closed(self, connection: "Connection") -> None:
        """Forget a connection."""
        self._open.pop(connection, None)
        metrics.COLLECTOR_CONNECTIONS.set(len(self._open))


class Connection(web.RequestHandler):
    """A connection that is cut off when a step takes longer than it may, and whose errors say nothing of us."""

    def __init__(self, connections: Connections, server: web.Server) -> None:
        """`server` is that of aiohttp's runner."""
        super().__init__(server, loop=asyncio.get_running_loop(), lingering_time=LINGERING_S)
        self.network = "unknown"
        self._connections = connections
        self._wire: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_silent = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a header."""
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        if peer:  # None when the other side is gone already
            self.network = client_network(str(peer[0]), "", 0)
        self._wire = cast(asyncio.Transport, transport)
        self._connections.open(self)
        self._begin(self._connections.limits.header_s)

    def data_received(self, data: bytes) -> None:
        """Take what came; after a silence the next header begins."""
        if self._is_silent:
            self._is_silent = False
            self._begin(self._connections.limits.header_s)
        super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the connection."""
        self._connections.closed(self)
        self._wire = None
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def begin_request(self) -> None:
        """Note that a header is there: body and answer have their time now."""
        self._is_silent = False
        self._begin(self._connections.limits.request_s)

    def begin_stream(self) -> None:
        """Note that an answer without end begins: whoever writes it cuts the connection when nobody reads."""
        if self._timer is not None:
            self._timer.cancel()

    def begin_silence(self) -> None:
        """Note that a request is answered: the next one has time to come."""
        self._is_silent = True
        self._begin(self._connections.limits.silence_s)

    def cut(self, cause: str) -> None:
        """Cut the connection off, without waiting for what the other side does not read."""
        self._connections.closed(self)
        if self._wire is not None:
            self._wire.abort()
            metrics.COLLECTOR_CUT.labels(cause).inc()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answer what is no HTTP with its status alone: neither version nor what was sent is repeated or logged."""
        if isinstance(exc, UnicodeError):  # aiohttp repeats an `Expect` that it does not know, whatever is in it
            status = HTTPStatus.BAD_REQUEST
        response = web.Response(status=status, text=f"{HTTPStatus(status).phrase}\n", headers={"Server": SERVER})
        response.force_close()
        return response

    def _begin(self, seconds: float) -> None:
        if self._wire is None:
            return
        self._connections.moved(self)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self.cut, "slow")


@web.middleware
async def timed(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Tell the request's connection when it begins and when its answer is made."""
    connection = cast(Connection, request.protocol)
    connection.begin_request()
    try:
        return await handler(request)
    finally:
        connection.begin_silence()


async def without_version(_: web.Request, response: web.StreamResponse) -> None:
    """Replace aiohttp's `Server` header."""
    response.headers["Server"] = SERVER
