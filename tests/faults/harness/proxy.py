"""An HTTP proxy in front of ClickHouse that goes wrong on command, while clients stay connected.

    with Proxy(clickhouse.address) as proxy:
        environ["NPS_CLICKHOUSE_URL"] = f"{proxy.address}/nps"
        proxy.switch(CutReply(), inserts=5)     the next five inserts are applied and never answered
        proxy.done["cut after"]                 what it did so far, by name

A fault meets inserts only, so that tests can still look; `Down` alone meets everybody, as a server that is not there.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeAlias, TypeVar

import aiohttp
import lz4.frame
from aiohttp import web
from yarl import URL

from streams.local.servers import HOST, free_port
from tests.support.commands import BOUND_S

MAX_BODY_BYTES = 1 << 30
SLICE_S = 0.05
_HOPS = {"connection", "content-length", "host", "keep-alive", "transfer-encoding"}
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Pass:
    """Nothing is wrong."""


@dataclass(frozen=True, slots=True)
class Down:
    """Nobody listens: connections are refused, and those that were open are gone."""


@dataclass(frozen=True, slots=True)
class Slow:
    """An insert is passed on after so many seconds, and its bytes at no more than this rate; 0 for no limit."""

    delay_s: float = 0.0
    bytes_per_s: int = 0


@dataclass(frozen=True, slots=True)
class CutRequest:
    """The connection breaks before the server has heard of the insert."""


@dataclass(frozen=True, slots=True)
class CutReply:
    """The server applies the insert; the connection breaks before the client hears of it."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """The insert is answered with this error, as ClickHouse would, and does not reach the server."""

    code: int
    name: str
    says: str


READ_ONLY = Refuse(242, "TABLE_IS_READ_ONLY", "Table is in readonly mode")
FULL = Refuse(243, "NOT_ENOUGH_SPACE", "Cannot reserve 1.00 MiB, not enough space")
TOO_MANY_PARTS = Refuse(252, "TOO_MANY_PARTS", "Too many parts (3000). Merges are processing significantly slower")
MEMORY_LIMIT = Refuse(241, "MEMORY_LIMIT_EXCEEDED", "Memory limit (total) exceeded: would use 9.00 GiB")

Fault: TypeAlias = Pass | Down | Slow | CutRequest | CutReply | Refuse


class Proxy:
    """One proxy in a thread of its own.  `done` counts requests by what became of them."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._port = free_port()
        self._fault: Fault = Pass()
        self._left: int | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy")
        self._runner: web.AppRunner | None = None
        self._client: aiohttp.ClientSession | None = None
        self.done: Counter[str] = Counter()

    @property
    def address(self) -> str:
        """Where clients find it."""
        return f"http://{HOST}:{self._port}"

    def switch(self, fault: Fault, inserts: int | None = None) -> None:
        """Go wrong like this from now on, or for so many inserts and then no more."""
        self._here(self._switch(fault, inserts))

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self._here(self._open())
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    async def _switch(self, fault: Fault, inserts: int | None) -> None:
        self._fault, self._left = fault, inserts
        if isinstance(fault, Down):
            await self._close()
        elif self._runner is None:
            await self._open()

    async def _open(self) -> None:
        self._client = aiohttp.ClientSession(auto_decompress=False, timeout=aiohttp.ClientTimeout(total=None))
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, auto_decompress=False, access_log=None, shutdown_timeout=0.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, self._port, reuse_address=True).start()

    async def _close(self) -> None:
        runner, self._runner = self._runner, None
        client, self._client = self._client, None
        if runner is not None:
            await runner.cleanup()
        if client is not None:
            await client.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        match fault := self._met_by(request, body):
            case Slow():
                await asyncio.sleep(fault.delay_s)
                self.done["slow"] += 1
                return await self._passed_on(request, body, fault.bytes_per_s)
            case CutRequest():
                return self._cut(request, "cut before")
            case CutReply():
                await self._passed_on(request, body)
                return self._cut(request, "cut after")
            case Refuse():
                self.done[fault.name] += 1
                text = f"Code: {fault.code}. DB::Exception: {fault.says}. ({fault.name}) (version 25.8.1.1)\n"
                return web.Response(status=500, text=text, headers={"X-ClickHouse-Exception-Code": str(fault.code)})
            case _:
                self.done["passed"] += 1
                return await self._passed_on(request, body)

    def _met_by(self, request: web.Request, body: bytes) -> Fault:
        """The fault that this request meets, counted off where only so many do."""
        if not _opening(request, body).lstrip().startswith("INSERT"):
            return Pass()
        fault = self._fault
        if self._left is not None:
            self._left -= 1
            if self._left <= 0:
                self._fault, self._left = Pass(), None
        return fault

    def _cut(self, request: web.Request, name: str) -> web.Response:
        self.done[name] += 1
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    async def _passed_on(self, request: web.Request, body: bytes, bytes_per_s: int = 0) -> web.Response:
        assert self._client is not None
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOPS}
        data = _trickle(body, bytes_per_s) if bytes_per_s else body
        url = f"{self._target}{request.raw_path}"
        async with self._client.request(request.method, _exactly(url), headers=headers, data=data) as reply:
            told = {name: value for name, value in reply.headers.items() if name.lower() not in _HOPS}
            return web.Response(status=reply.status, body=await reply.read(), headers=told)

    def _here(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(BOUND_S)

    def _end(self) -> None:
        self._here(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(BOUND_S)
        self._loop.close()


def _opening(request: web.Request, body: bytes) -> str:
    """How the statement begins: in the address, or in the body, which drivers compress."""
    if "query" in request.query:
        return request.query["query"]
    if request.headers.get("Content-Encoding") == "lz4":
        body = lz4.frame.LZ4FrameDecompressor().decompress(body, max_length=16)
    return body[:16].decode(errors="replace")


async def _trickle(body: bytes, bytes_per_s: int) -> Any:
    step = max(1, int(bytes_per_s * SLICE_S))
    for at in range(0, len(body), step):
        yield body[at : at + step]
        await asyncio.sleep(SLICE_S)


def _exactly(url: str) -> URL:
    """The address as it came: what was escaped stays so."""
    return URL(url, encoded=True)
