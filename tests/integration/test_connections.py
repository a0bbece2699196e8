"""Connections to a small server: whoever is slow is cut off, whoever is many shuts nobody out, and nothing is told."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from aiohttp import web

from streams.collector.connections import ConnectionLimits
from streams.collector.limits import client_network
from streams.collector.service import listen
from streams.collector.visits import forwarded_for

HOST = "127.0.0.1"
FOR_EVER_S = 120.0
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


async def echoed(request: web.Request) -> web.Response:
    """The body that came."""
    return web.Response(body=await request.read())


def limits(
    in_all: int = 50, per_network: int = 50, header_s: float = FOR_EVER_S, request_s: float = FOR_EVER_S,
    silence_s: float = FOR_EVER_S,
) -> ConnectionLimits:  # fmt: skip
    """Limits that never hold but for those that a test gives."""
    return ConnectionLimits(in_all, per_network, header_s, request_s, silence_s)


@asynccontextmanager
async def serving(
    of: ConnectionLimits, handler: Callable[[web.Request], Awaitable[web.Response]]
) -> AsyncIterator[int]:
    """A server with this handler; its port."""
    app = web.Application(client_max_size=1 << 20)
    app.router.add_route("*", "/", handler)
    runner, listening = await listen(app, of, HOST, 0)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        await runner.cleanup()


class Client:
    """A raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connected(cls, port: int, host: str = HOST) -> "Client":
        """Connect, as from that loopback address."""
        return cls(*await asyncio.open_connection(HOST, port, local_addr=(host, 0)))

    async def said(self, data: bytes) -> bytes:
        """Send this, then read one whole answer with a length; empty when the connection was cut."""
        try:
            self.writer.write(data)
            head = await self.reader.readuntil(b"\r\n\r\n")
            (length,) = [int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
            return head + await self.reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""

    async def is_cut(self, within_s: float = FOR_EVER_S / 4) -> bool:
        """True once the other side has cut this connection off."""
        with suppress(ConnectionError):
            async with asyncio.timeout(within_s):
                await self.reader.read()
        return True

    async def trickled(self, data: bytes, every_s: float) -> bool:
        """Send byte after byte; True once the other side has cut it off."""
        with suppress(ConnectionError):
            for place in range(len(data)):
                self.writer.write(data[place : place + 1])
                await self.writer.drain()
                if self.reader.at_eof():
                    return True
                await asyncio.sleep(every_s)
            return False
        return True


def run(
    test: Callable[[int], Awaitable[None]], of: ConnectionLimits,
    handler: Callable[[web.Request], Awaitable[web.Response]] = echoed,
) -> float:  # fmt: skip
    """Run a test against a server; the seconds it took."""

    async def running() -> float:
        async with serving(of, handler) as port:
            started = time.monotonic()
            await test(port)
            return time.monotonic() - started

    return asyncio.run(asyncio.wait_for(running(), FOR_EVER_S))


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHos", b"\x16\x03\x01", b"\r\n"])
def test_a_header_that_does_not_end_is_cut_off(sent: bytes) -> None:
    """Whether nothing comes or something; not before its time."""

    async def test(port: int) -> None:
        client = await Client.connected(port)
        client.writer.write(sent)
        assert await client.is_cut()

    took_s = run(test, limits(header_s=0.5))
    assert took_s > 0.4 or sent == b"\x16\x03\x01", "what is no HTTP is answered at once"


def test_a_byte_now_and_then_does_not_help() -> None:
    """Slow loris: neither in the first header, nor in the next one, nor in a body, with a length or in chunks."""
    starts = [
        b"",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n",
    ]

    async def test(port: int) -> None:
        clients = [await Client.connected(port) for _ in starts]
        for client, start in zip(clients, starts, strict=True):
            client.writer.write(start)
        again = await Client.connected(port)
        assert await again.said(GET)
        endless = b"GET / HTTP/1.1\r\nX: " + b"a" * 5_000
        assert all(await asyncio.gather(*[each.trickled(endless, 0.02) for each in [*clients, again]]))

    run(test, limits(header_s=0.5, request_s=0.5))


def test_silence_between_requests_has_an_end() -> None:
    """A connection is kept for the next request, and not for ever."""

    async def test(port: int) -> None:
        client = await Client.connected(port)
        for _ in range(3):
            assert b"200 OK" in await client.said(GET)
            await asyncio.sleep(0.2)
        assert await client.is_cut()

    assert run(test, limits(silence_s=3.0)) > 3.4


def test_whoever_does_not_read_the_answers_is_cut_off() -> None:
    """Thousands of pipelined requests fill the buffers; the server waits for their reader no longer than for others."""

    async def test(port: int) -> None:
        client = await Client.connected(port)
        body = b"x" * 500_000
        post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        with suppress(ConnectionError):
            for _ in range(100):
                client.writer.write(post)
                await client.writer.drain()
            pytest.fail("50 MB of answers fit into no buffer")

    run(test, limits(header_s=0.5, silence_s=0.5))


def test_whoever_stands_there_gives_way_to_whoever_comes() -> None:
    """With no room left the longest waiting of the network with the most is closed; who asks is always served."""

    async def test(port: int) -> None:
        lonely = await Client.connected(port, "127.0.0.9")
        assert await lonely.said(GET)
        standing = [await Client.connected(port) for _ in range(30)]
        assert await standing[0].is_cut()
        served = await Client.connected(port)
        assert await served.said(GET)
        assert await lonely.said(GET), "an address with one connection keeps it"
        assert await served.said(GET)
        assert not standing[-1].reader.at_eof()

    run(test, limits(in_all=10))


def test_each_network_has_its_share() -> None:
    """One address cannot take what all others have together."""

    async def test(port: int) -> None:
        others = [await Client.connected(port, f"127.0.0.{number}") for number in range(2, 8)]
        for other in others:
            assert await other.said(GET)
        many = [await Client.connected(port) for _ in range(20)]
        assert [await client.is_cut() for client in many[:17]] == [True] * 17
        for other in others:
            assert await other.said(GET)
        assert await many[-1].said(GET)

    run(test, limits(in_all=100, per_network=3))


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"400"),
        (b"GET / HTTP/9.9\r\nHost: a\r\n\r\n", b"400"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"400"),
        (b"GET /secret\x00 HTTP/1.1\r\nHost: a\r\n\r\n", b"400"),
        (b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 10_000 + b"\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 1_000 + b"\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nExpect: \xff\r\n\r\n", b"400"),
        (b"GET /none HTTP/1.1\r\nHost: a\r\nExpect: secrets\xff\r\n\r\n", b"400"),
        (b"GET /none HTTP/1.1\r\nHost: a\r\n\r\n", b"404"),
        (GET, b"200"),
    ],
)
def test_no_answer_tells_a_version_or_what_was_sent(sent: bytes, status: bytes) -> None:
    """Whatever comes, HTTP or not, gets its status; the header `Server` has no number."""

    async def test(port: int) -> None:
        client = await Client.connected(port)
        answer = await client.said(sent)
        assert answer.split(b" ")[1] == status
        assert b"\r\nServer: nps\r\n" in answer
        assert b"aiohttp" not in answer
        assert b"Python" not in answer
        assert b"secret" not in answer

    run(test, limits())


def test_http_as_it_is_spoken() -> None:
    """Pipelined requests, bodies in chunks, HTTP/1.0 with and without keep-alive: each gets its answer in order."""

    async def test(port: int) -> None:
        client = await Client.connected(port)
        posts = [
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\none",
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\ntw\r\n1\r\no\r\n0\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nthree",
        ]
        answers = [await client.said(b"".join(posts)), await client.said(b""), await client.said(b"")]
        assert [answer.rpartition(b"\r\n\r\n")[2] for answer in answers] == [b"one", b"two", b"three"]
        old = await Client.connected(port)
        assert (await old.said(b"GET / HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.0 200")
        assert await old.is_cut()
        kept = await Client.connected(port)
        for _ in range(2):
            assert b"200 OK" in await kept.said(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")

    run(test, limits())


@pytest.mark.parametrize(
    "wrong", [{"in_all": 0}, {"per_network": -1}, {"header_s": 0.0}, {"request_s": -1.0}, {"silence_s": 0.0}]
)
def test_limits_that_cannot_be_meant(wrong: dict[str, float]) -> None:
    """Refused when they are made."""
    with pytest.raises(ValueError, match="above 0"):
        limits(**wrong)  # type: ignore[arg-type]  # numbers of both kinds


@pytest.mark.parametrize(
    ("headers", "proxies", "whom"),
    [
        ([("X-Forwarded-For", "9.9.9.9"), ("X-Forwarded-For", "1.2.3.4:80")], 1, "1.2.3.4"),
        ([("x-forwarded-for", "9.9.9.9"), ("X-FORWARDED-FOR", "1.2.3.4, 5.6.7.8")], 2, "1.2.3.4"),
        ([("X-Forwarded-For", "1.2.3.4"), ("Forwarded", "for=9.9.9.9")], 1, "1.2.3.4"),
        ([("Forwarded", "for=1.2.3.4")], 1, "1.2.3.4"),
        ([("Forwarded", 'For="[2001:db8:1:2::9]:4711"')], 1, "2001:db8:1:2::/64"),
        ([("Forwarded", 'for=9.9.9.9;by=7.7.7.7, proto=https;for="1.2.3.4:80";host=a')], 1, "1.2.3.4"),
        ([("Forwarded", "for=9.9.9.9"), ("Forwarded", "for=1.2.3.4, for=5.6.7.8")], 2, "1.2.3.4"),
        ([("Forwarded", 'for=9.9.9.9, for=", for="[2001:db8::1]"')], 1, "10.0.0.1"),
        ([("Forwarded", "for=9.9.9.9, for=unknown")], 1, "10.0.0.1"),
        ([("Forwarded", "for=9.9.9.9, for=[2001:db8::1]")], 1, "10.0.0.1"),
        ([("Forwarded", "for=9.9.9.9, proto=https")], 1, "10.0.0.1"),
        ([("Forwarded", "for=9.9.9.9, ;;=;for")], 1, "10.0.0.1"),
        ([("Forwarded", "")], 1, "10.0.0.1"),
        ([("Forwarded", "for=1.2.3.4")], 0, "10.0.0.1"),
        ([], 3, "10.0.0.1"),
    ],
)
def test_what_proxies_wrote_is_read_from_all_lines(headers: list[tuple[str, str]], proxies: int, whom: str) -> None:
    """Of either header, all lines joined and counted from the right; what is no address falls back on the connection.

    What a client writes lies further left, and neither a quote nor a comma of its own gets past what our proxy added.
    """

    async def told(request: web.Request) -> web.Response:
        return web.Response(text=client_network("10.0.0.1", forwarded_for(request), proxies))

    async def test(port: int) -> None:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        answer = await (await Client.connected(port)).said(f"GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n".encode())
        assert answer.rpartition(b"\r\n\r\n")[2].decode() == whom

    run(test, limits(), told)
