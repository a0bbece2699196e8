"""The real `nps page` before a broker: who is let in, what each role hears, and what becomes of actions."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas import oncall
from schemas.events import OncallEvent, SegmentNps
from schemas.topics import DEAD_LETTERS, ONCALL, ROLLING
from streams.kafka.ports import Output
from streams.local.servers import LocalServer, local_broker
from tests.support.collector import read
from tests.support.commands import done, run, until
from tests.support.live_page import (
    CODEC,
    COMMENT,
    CUSTOMER,
    RESPONDER,
    VIEWER,
    Showing,
    Stream,
    Visitor,
    answer,
    case,
    delivery,
    environ,
    fall,
    incident,
    member,
    put,
    row,
    visitor,
)


@pytest.fixture(scope="module")
def kafka_like() -> Iterator[LocalServer]:
    """One broker with topics and something to show."""
    with local_broker() as server:
        told = environ(server.address)
        done("topics", environ=told)
        put(
            server.address,
            Output(ROLLING.name, b"none of ours", b"?"),
            row(),
            fall("all"),
            delivery("n1", "undelivered"),
        )
        put(server.address, Output(DEAD_LETTERS, b"?", b"?"), case("s1", "i1"), incident("i1", [member("s1", 2)]))
        put(server.address, answer("s0", 9, COMMENT))
        yield server


@pytest.fixture(scope="module")
def page(kafka_like: LocalServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Showing]:
    """One page for this module."""
    with Showing(environ(kafka_like.address), tmp_path_factory.mktemp("page") / "log") as showing:
        yield showing


def events(brokers: str) -> list[oncall.Action]:
    """Actions on nps.oncall, each under its incident."""
    found = []
    for record in read(brokers, ONCALL.name, 1):
        event = CODEC.decode(OncallEvent, record.value)
        assert (event.kind, record.key) == ("action", event.subject.encode())
        payload = oncall.payload_of(event)
        assert isinstance(payload, oncall.Action)
        found.append(payload)
    return found


def test_everything_is_shown_and_answers_come_without_reload(page: Showing, kafka_like: LocalServer) -> None:
    """A responder hears of an answer, a row and an incident as they come; a reconnect begins with a snapshot."""

    async def look() -> None:
        async with visitor(page.url) as someone:
            assert await someone.login(RESPONDER) == 200
            async with someone.stream() as stream:
                await stream.until(lambda s: "s0" in s.state.get("answers", ()), "what was there before")
                assert stream.told.startswith("retry: 2000\n")
                await stream.until(lambda s: s.health["dead"] == {"unlabelled": 1}, "the dead letter")
                assert (stream.health["undelivered"], stream.queue) == (1, {"open": 1, "overdue": 0})
                await asyncio.to_thread(
                    put,
                    kafka_like.address,
                    answer("s5", 1, "just now"),
                    row(version=2, counts=(9, 0, 1)),
                    incident("i5"),
                )
                await stream.until(lambda s: "s5" in s.state["answers"] and "i5" in s.state["incidents"], "what came")
                await stream.until(lambda s: s.state["rolling"]["all|24h"]["nps"] == 80.0, "the new row")
                assert stream.told.count("event: snapshot") == 1
                before = stream.state
            async with someone.stream() as stream:
                await stream.until(lambda s: s.state == before, "the same state again")
                assert stream.told.count("event: snapshot") == 1

    asyncio.run(look())


def test_a_viewer_never_hears_of_a_customer(page: Showing, kafka_like: LocalServer) -> None:
    """The whole of the stream is searched, of the snapshot and of what changes; scores come all the same."""

    async def look() -> str:
        async with visitor(page.url) as wall:
            assert await wall.login(VIEWER) == 200
            async with wall.stream() as stream:
                await stream.until(lambda s: "all|24h" in s.state.get("rolling", ()), "the score")
                await stream.until(lambda s: "i1" in s.state["incidents"] and "all" in s.state["falls"], "the incident")
                await asyncio.to_thread(
                    put, kafka_like.address, answer("s6", 1, COMMENT), case("s6", "i6"),
                    incident("i6", [member("s6", 1)], note=f"{CUSTOMER} said: {COMMENT}"), row("country=BR"),
                )  # fmt: skip
                await stream.until(lambda s: "i6" in s.state["incidents"] and s.queue["open"] >= 2, "the news")
                await stream.until(lambda s: "country=BR|24h" in s.state["rolling"], "the segment's score")
            status, refusal = await wall.act("i1", "acknowledge")
            assert (status, refusal) == (403, {"error": "viewers cannot act"})
            return stream.told

    told = asyncio.run(look())
    for word in (CUSTOMER, "courier", "s6", "answers", "members"):
        assert word not in told, word
    assert "1 detractor" in told


def test_an_action_is_an_event_of_the_person(page: Showing, kafka_like: LocalServer) -> None:
    """With note and case; an unknown incident and a wrong request are none."""

    async def act() -> None:
        async with visitor(page.url) as ann:
            await ann.login(RESPONDER)
            async with ann.stream() as stream:
                await stream.until(lambda s: "i1" in s.state.get("incidents", ()), "the incident")
            assert await ann.act("i1", "note", {"note": "called"}) == (202, {"accepted": 1})
            assert (await ann.act("i1", "contacted", {"dedup_key": "s1"}))[0] == 202
            assert (await ann.act("i1", "contacted"))[0] == 400
            assert (await ann.act("i1", "erase"))[0] == 400
            assert (await ann.act("i99", "resolve"))[0] == 404

    asyncio.run(act())
    until(lambda: len(events(kafka_like.address)) >= 2, "the events")
    common = {"incident_id": "i1", "actor": "ann"}
    assert events(kafka_like.address) == [
        oncall.Action(verb="note", note="called", **common),
        oncall.Action(verb="contacted", dedup_key="s1", **common),
    ]


def test_nobody_acts_from_elsewhere(page: Showing, kafka_like: LocalServer) -> None:
    """Forged or missing Origin, missing or wrong CSRF token, no session, another host's name, a wrong token."""
    before = events(kafka_like.address)

    async def statuses(someone: Visitor) -> list[int]:
        origin, csrf = {"Origin": page.url}, {"X-CSRF-Token": someone.csrf}
        forged = [{"Origin": "https://evil.example"} | csrf, {"Origin": "null"} | csrf, csrf, origin,
                  origin | {"X-CSRF-Token": "guess"}, origin | csrf | {"Host": "evil.example"}]  # fmt: skip
        return [(await someone.act("i1", "resolve", headers=headers))[0] for headers in forged]

    async def intrude() -> None:
        async with visitor(page.url) as ann:
            await ann.login(RESPONDER)
            assert await statuses(ann) == [403, 403, 403, 403, 403, 421]
        async with visitor(page.url) as stranger:
            assert await stranger.login("a guess") == 401
            assert (await stranger.act("i1", "resolve"))[0] == 401
            for path, status in (("/stream", 401), ("/session", 401), ("/enter/guess", 403), ("/", 200), ("/x", 404)):
                async with stranger.client.get(page.url + path) as got:
                    assert got.status == status, path
                    assert "data-csrf" not in await got.text()
            data, foreign = {"token": RESPONDER}, {"Origin": "https://evil.example"}
            async with stranger.client.post(f"{page.url}/login", data=data, headers=foreign) as got:
                assert got.status == 403

    asyncio.run(intrude())
    assert events(kafka_like.address) == before
    assert RESPONDER not in page.said()


def test_cookies_and_headers_keep_others_out(page: Showing) -> None:
    """Scripts cannot read the cookie, other sites cannot use it, and the page loads nothing from elsewhere."""

    async def look() -> None:
        async with visitor(page.url) as ann, ann.client.get(page.url) as got:
            policy = got.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert "http" not in policy
            data, origin = {"token": VIEWER}, {"Origin": page.url}
            async with ann.client.post(
                f"{page.url}/login", data=data, headers=origin, allow_redirects=False
            ) as answered:
                cookie = answered.headers["Set-Cookie"]
                assert (answered.status, answered.headers["Location"]) == (303, "/")
                assert "HttpOnly" in cookie
                assert "SameSite=Strict" in cookie

    asyncio.run(look())


def test_without_tokens_the_printed_link_opens_once_and_only_here(kafka_like: LocalServer, tmp_path: Path) -> None:
    """Each link begins one responder's session, and then the next is printed; leaving ends the session."""
    told = environ(kafka_like.address, {"NPS_PAGE_TOKENS": ""})

    async def enter(showing: Showing) -> None:
        (link,) = showing.links()
        async with visitor(showing.url) as owner, visitor(showing.url) as second:
            async with owner.client.get(link) as got:
                text = await got.text()
                assert 'data-role="responder"' in text
            async with second.client.get(link) as got:
                assert got.status == 403
            csrf = text.partition('data-csrf="')[2].partition('"')[0]
            origin = {"Origin": showing.url}
            async with owner.client.post(f"{showing.url}/leave", data={"csrf": "guess"}, headers=origin) as got:
                assert got.status == 403
            async with owner.client.post(f"{showing.url}/leave", data={"csrf": csrf}, headers=origin) as got:
                assert "data-csrf" not in await got.text()
            assert [await second.login("a guess") for _ in range(12)][-1] == 429

    with Showing(told, tmp_path / "log") as showing:
        showing.until(lambda: len(showing.links()) == 1, "the link")
        asyncio.run(enter(showing))
        showing.until(lambda: len(showing.links()) == 2, "the next link")
        assert showing.stop() == 0


def test_an_open_door_is_refused_at_start(kafka_like: LocalServer) -> None:
    """One line, exit code 2, before anybody could come in."""
    ended = run("page", environ=environ(kafka_like.address, {"NPS_PAGE_HOST": "0.0.0.0", "NPS_PAGE_TOKENS": ""}))
    assert ended.returncode == 2
    assert "set NPS_PAGE_TOKENS" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_reader_who_takes_nothing_holds_nobody_up(page: Showing, kafka_like: LocalServer) -> None:
    """While one connection reads nothing for thousands of changes, fifty others hear of the last one, and it stops."""
    versions = iter(range(1_000, 100_000))

    def write(rows: int) -> SegmentNps:
        batch = [row(f"slow={i % 50}", version=next(versions)) for i in range(rows)]
        put(kafka_like.address, *batch)
        return batch[-1]

    async def look() -> None:
        async with visitor(page.url) as wall:
            assert await wall.login(VIEWER) == 200
            cookie = "; ".join(f"{each.key}={each.value}" for each in wall.client.cookie_jar)
            host, port = page.url.removeprefix("http://").split(":")
            stuck = socket.create_connection((host, int(port)))
            stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            stuck.sendall(f"GET /stream HTTP/1.1\r\nHost: {host}:{port}\r\nCookie: {cookie}\r\n\r\n".encode())
            async with asyncio.TaskGroup() as group:
                for _ in range(50):
                    group.create_task(hear_of(wall, "last"))
                for _ in range(5):
                    await asyncio.to_thread(write, 1_000)
                await asyncio.to_thread(put, kafka_like.address, row("last"))
            stuck.close()

    async def hear_of(wall: Visitor, segment: str) -> None:
        async with wall.client.get(f"{page.url}/stream") as got:
            await Stream(got).until(lambda s: f"{segment}|24h" in s.state.get("rolling", ()), segment)

    asyncio.run(look())
    assert page.is_running()


def test_a_taken_port_ends_in_one_line(page: Showing, kafka_like: LocalServer) -> None:
    """Exit code 2."""
    port = page.url.rpartition(":")[2]
    taken = run("page", environ=environ(kafka_like.address, {"NPS_PAGE_PORT": port}))
    assert (taken.returncode, "NPS_PAGE_PORT" in taken.stderr) == (2, True), taken
