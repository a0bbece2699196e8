"""The real `nps page` for tests: how to start it, records for it to show, and a browser's session without a browser."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import aiohttp

from schemas import oncall
from schemas.codec import Codec
from schemas.events import Answer, Case, Delivery, Fall, Incident, Record, SegmentNps
from schemas.topics import TOPICS, key_of
from streams.kafka.ports import Output
from streams.kafka.producer import Producer
from tests.support.commands import BOUND_S, Service

CODEC = Codec()
TOPIC_OF = {topic.record: topic.name for topic in TOPICS if topic.record is not None}
VIEWER, RESPONDER = "a-token-of-the-wall", "a-token-of-ann"
TOKENS = ",".join(
    f"{name}:{role}:{sha256(token.encode()).hexdigest()}"
    for name, role, token in (("wall", "viewer", VIEWER), ("ann", "responder", RESPONDER))
)
CUSTOMER, COMMENT = "customer-4711", "The courier was very rude to me"
HOUR_MS = 3_600_000


def now_ms() -> int:
    """The wall clock."""
    return time.time_ns() // 1_000_000


def environ(brokers: str, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """What the page is told."""
    return {
        "NPS_BROKERS": brokers, "NPS_PARTITIONS": "1", "NPS_PAGE_PORT": "0", "NPS_PAGE_TOKENS": TOKENS, **(more or {}),
    }  # fmt: skip


class Showing(Service):
    """A page that listens."""

    def __init__(self, told: Mapping[str, str], log: Path) -> None:
        super().__init__("page", told, log)
        self.brokers = told["NPS_BROKERS"]
        self.until(lambda: "listens at" in self.said(), "the page listens")
        (self.url,) = re.findall(r"listens at (\S+)", self.said())

    def links(self) -> list[str]:
        """The one-time links that it has printed, the newest last."""
        return re.findall(r"one use: (\S+)", self.said())


def put(brokers: str, *records: Record | Output) -> None:
    """Write records to their topics."""
    producer = Producer(brokers)
    producer.send_all(
        record if isinstance(record, Output) else Output(TOPIC_OF[type(record)], CODEC.encode(record), key_of(record))
        for record in records
    )
    asyncio.run(producer.flush())


def row(
    segment: str = "all", window: str = "24h", counts: tuple[int, int, int] = (50, 30, 20), version: int = 1,
    at_ms: int | None = None, nps: float | None = None,
) -> SegmentNps:  # fmt: skip
    """A rolling row."""
    n, at_ms = sum(counts), now_ms() if at_ms is None else at_ms
    score = 100 * (counts[0] - counts[2]) / n if nps is None else nps
    length_ms = {"1h": 1, "24h": 24, "7d": 168, "30d": 720}[window] * HOUR_MS
    return SegmentNps(
        segment, window, at_ms - length_ms, at_ms, *counts, n, score, max(-100, score - 14), min(100, score + 14), 14.0,
        n >= 30, at_ms, "p", version,
    )  # fmt: skip


def answer(survey: str, score: int, comment: str | None = None, customer: str = CUSTOMER, version: int = 1) -> Answer:
    """An answer that came just now."""
    band = "promoter" if score > 8 else "passive" if score > 6 else "detractor"
    now = now_ms()
    return Answer(
        survey, customer, "delivery", "after", "o1", "me", survey, 1, score, band, comment, True, None, now, now, now,
        ["all", "country=BR"], {"country": "BR"}, "p", version,
    )  # fmt: skip


def member(key: str, score: int, comment: str | None = COMMENT, customer: str | None = CUSTOMER) -> oncall.CaseMember:
    """A detractor of an incident."""
    return oncall.CaseMember(
        dedup_key=key, alert_id=f"alert-{key}", customer_id=customer, survey="delivery", revision=1, score=score,
        first_score=score, severity="critical", comment=comment, segments=("all", "country=BR"), opened_ms=now_ms(),
    )  # fmt: skip


def incident(
    name: str, members: Sequence[oncall.CaseMember] = (), state: str = "open", version: int = 1,
    kind: str = "detractor", fall: oncall.FallFacts | None = None, severity: str = "critical", opened_ms: int = 0,
    note: str | None = None, assignee: str | None = None, acknowledged_by: str | None = None,
) -> Incident:  # fmt: skip
    """An incident with these detractors, or of a fall."""
    opened_ms = opened_ms or now_ms()
    return Incident(
        incident_id=name, kind=kind, group=f"rest|{kind}", route="rest", told=["chat"], state=state, severity=severity,
        opened_ms=opened_ms, updated_ms=opened_ms, notified_ms=opened_ms, acknowledged_ms=None,
        acknowledged_by=acknowledged_by, first_acknowledged_ms=None, resolved_ms=None, resolved_by=None,
        assignee=assignee, note=note, step=1, seq=1, due_ms=None, cases=max(1, len(members)),
        open_cases=max(1, len(members)), segments=["all", "country=BR"], survey="delivery",
        members=oncall.encode(oncall.Members(members=tuple(members))),
        fall=None if fall is None else oncall.encode(_state_of(fall, opened_ms)),
        program="p", as_of=version, version=version,
    )  # fmt: skip


def _state_of(fall: oncall.FallFacts, end_ms: int) -> oncall.FallState:
    nobody = oncall.Bands(promoters=0, passives=0, detractors=0)
    opening = oncall.WindowFall(window=fall.window, start_ms=fall.since_ms, before=nobody, after=nobody)
    return oncall.FallState(opening=opening, facts=fall, latest=fall, end_ms=end_ms)


def case(key: str, of: str, due_ms: int | None = None, score: int = 2, customer: str = CUSTOMER) -> Case:
    """A detractor's case that is open."""
    now = now_ms()
    return Case(
        dedup_key=key, incident_id=of, alert_id=f"alert-{key}", customer_id=customer, survey="delivery", state="open",
        severity="critical", score=score, first_score=score, revision=1, segments=["all", "country=BR"], owner=None,
        actor=None, opened_ms=now, due_ms=now + 48 * HOUR_MS if due_ms is None else due_ms, acknowledged_ms=None,
        contacted_ms=None, resolved_ms=None, reason=None, program="p", version=1,
    )  # fmt: skip


def fall_facts(segment: str) -> oncall.FallFacts:
    """A fall of this segment."""
    return oncall.FallFacts(
        segment=segment, window="1d", before_nps=41.0, after_nps=12.0, n_before=2_400, n_after=180, smallest=14.0,
        since_ms=now_ms() - 24 * HOUR_MS,
    )  # fmt: skip


def fall(segment: str, version: int = 1) -> Fall:
    """Evidence of two windows."""
    tally = {"promoters": 5, "passives": 3, "detractors": 2}
    windows = [
        {
            "window": name,
            "start_ms": 0,
            "before": tally,
            "after": tally,
            "z": 1.0,
            "threshold": 3.0,
            "smallest": smallest,
        }
        for name, smallest in (("6h", 31.0), ("1d", 17.0))
    ]
    return Fall(segment, now_ms(), json.dumps({"windows": windows}), "p", version)


def delivery(name: str, state: str) -> Delivery:
    """What became of a notification."""
    return Delivery(name, "chat", "i1", 1, "open", state, 3, None, now_ms(), None)


class Visitor:
    """A browser's session without a browser: cookies, Origin and the page's CSRF token."""

    def __init__(self, client: aiohttp.ClientSession, url: str) -> None:
        self.client, self.url, self.csrf = client, url, ""

    async def login(self, token: str) -> int:
        """Send the form with a token; the status of the page that follows."""
        async with self.client.post(f"{self.url}/login", data={"token": token}, headers={"Origin": self.url}) as got:
            found = re.search(r'data-csrf="([^"]+)"', await got.text())
            self.csrf = found[1] if found else ""
            return got.status

    async def act(
        self,
        incident_id: str,
        verb: str,
        told: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Any]:
        """Send an action as the page does, or with other headers; status and what was answered."""
        usual = {"Origin": self.url, "X-CSRF-Token": self.csrf}
        url = f"{self.url}/incidents/{incident_id}/{verb}"
        async with self.client.post(url, json=told or {}, headers=usual if headers is None else headers) as got:
            return got.status, await got.json()

    @asynccontextmanager
    async def stream(self) -> AsyncIterator["Stream"]:
        """The page's stream."""
        async with self.client.get(f"{self.url}/stream") as got:
            assert (got.status, got.headers["Content-Type"]) == (200, "text/event-stream")
            yield Stream(got)


class Stream:
    """Server-sent events as they come; `told` is all of their text, `state` what a page that takes them knows."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.told = ""
        self.state: dict[str, dict[str, Any]] = {}
        self.health: dict[str, Any] = {}
        self.queue: dict[str, int] = {}

    async def until(self, condition: Any, what: str) -> Self:
        """Take events until something is so."""
        deadline = time.monotonic() + BOUND_S
        while not condition(self):
            assert time.monotonic() < deadline, f"never: {what}"
            await self._take()
        return self

    async def _take(self) -> None:
        lines: list[str] = []
        while (line := (await self._response.content.readuntil(b"\n")).decode()) != "\n":
            assert line, "the stream ended"
            lines.append(line)
        self.told += "".join(lines)
        fields = dict(line.rstrip("\n").split(": ", 1) for line in lines)
        if "event" in fields:
            take(self, fields["event"], json.loads(fields["data"]))


LISTS = {"rolling": "rolling", "fall": "falls", "incident": "incidents", "case": "cases", "answer": "answers"}


def take(stream: Any, event: str, told: Any) -> None:
    """Take one event as the page's script does."""
    if event == "snapshot":
        stream.state = {name: {each["key"]: each for each in told.get(name, ())} for name in LISTS.values()}
    if event in ("snapshot", "health"):
        stream.health, stream.queue = told["health"], told["queue"]
        return
    shelf = stream.state[LISTS[event]]
    for each in told:
        if each.get("gone"):
            shelf.pop(each["key"], None)
        else:
            shelf[each["key"]] = each


@asynccontextmanager
async def visitor(url: str) -> AsyncIterator[Visitor]:
    """Somebody who has come to the page and is not signed in."""
    jar = aiohttp.CookieJar(unsafe=True)  # an address has no name
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(cookie_jar=jar, timeout=timeout, read_bufsize=1 << 22) as client:
        yield Visitor(client, url)
