"""Webhooks of foreign systems: what a proven sender posts becomes records of its mapping file's topic, as it came.

    POST    /sources/NAME     200 once Kafka has all of the body, 503 when it did not take it; then send it again
    GET     /sources/NAME     200, for senders that look whether anybody is there; HEAD too
    OPTIONS /sources/NAME     the question of CloudEvents whether its sender may post

Nothing is mapped here: `nps sources run` reads the topic, and whatever cannot be mapped is a dead letter with its
bytes.  So one that was posted is never lost for what it says, and is posted again only when it was not taken.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

import msgspec
from aiohttp import web

from streams import metrics
from streams.collector.signatures import SIGNATURE_HEADERS, Finding, Sent, verify
from streams.kafka.ports import Headers, Output

LARGEST_BODY_BYTES = 917_504
"""The largest body: with its headers it fits into what Kafka takes as one record unless told otherwise."""

MOST_HELD_BYTES = 64 << 20
"""Bodies that are held at once, of all requests; beyond that senders are asked to come again."""

LARGEST_HEADERS_BYTES = 16_384
"""Upper bound of the headers that a record takes over."""

MOST_RECORDS = 1_000
"""The most events of a batch of CloudEvents."""

_BATCH = "application/cloudevents-batch+json"
_NO_TYPE = "application/octet-stream"
_TYPES: Mapping[str, re.Pattern[str]] = {
    "json": re.compile(r"(application|text)/(.+\+)?json|text/plain"),
    "form": re.compile(r"application/x-www-form-urlencoded"),
    "csv": re.compile(r"(text|application)/csv|text/plain"),
    "avro": re.compile(r"(application/(vnd\.apache\.)?|)avro(\+binary|/binary)?"),
}
_PACKED = "application/gzip"
_PING = re.compile(rb"webhook_id=[0-9]{1,20}")
_LONGEST_CHALLENGE = 500
_OF_THE_CONNECTION = frozenset({
    "host", "connection", "keep-alive", "content-length", "content-encoding", "transfer-encoding", "te", "trailer",
    "upgrade", "expect", "via", "forwarded", "x-real-ip", "cookie", "proxy-authorization",
})  # fmt: skip
_OF_THE_PIPELINE = ("nps-", "x-forwarded-")
_REFUSALS = {
    Finding.MISSING: "no signature or token of the kind that `verify` in the [webhook] of its mapping file names",
    Finding.FORGED: "the signature is not that of the body, or the token another, under the secret that is set here",
    Finding.STALE: "the signature's time is more than 5 minutes off",
}


@dataclass(frozen=True, slots=True)
class WebhookSource:
    """A source whose sender posts: its mapping's name, topic and format, how it signs, and the keys valid now."""

    name: str
    topic: str
    format: str
    verify: str
    keys: tuple[bytes, ...] = field(repr=False)
    is_packed: bool = False


class NotTaken(Exception):
    """A request that is not taken: status, headers and text of its answer, and the word by which it is counted."""

    def __init__(self, status: int, outcome: str, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.outcome = outcome
        self.headers = headers or {}


class Webhooks:
    """Door of the sources.  `put` sends records and returns once Kafka has all of them; `now_ms` is the wall clock."""

    def __init__(
        self,
        sources: Mapping[str, WebhookSource],
        put: Callable[[Sequence[Output]], Awaitable[None]],
        now_ms: Callable[[], int],
    ) -> None:
        self._sources = sources
        self._put = put
        self._now_ms = now_ms
        self._held_bytes = 0

    async def answer(self, request: web.Request, proven: Callable[[], None]) -> web.Response:
        """Answer a request; `proven` is called once its sender is known.  Raises NotTaken, and what `put` raises."""
        source = self._sources.get(request.match_info["name"])
        if source is None:
            raise NotTaken(
                404, "unknown", "no such source: NPS_COLLECTOR_SOURCES names the mapping files that are served"
            )
        try:
            if request.method != "POST":
                return self._greeted(request, source)
            return await self._posted(request, source, proven)
        except NotTaken as refused:
            _count(source, refused.outcome)
            raise

    async def _posted(self, request: web.Request, source: WebhookSource, proven: Callable[[], None]) -> web.Response:
        pieces: list[bytes] = []
        try:
            body = await self._read(request, pieces)
            if source.verify == "woocommerce" and _is_ping(request, body):
                return _answered(source, "greeted", {"accepted": 0})
            self._require_proof(request, source, body)
            proven()
            _require_type(request, source)
            if source.format == "json" and (challenge := _challenge(body)) is not None:
                return _answered(source, "greeted", {"challenge": challenge})
            records = _records(request, source, body, self._now_ms())
            await self._put(records)
            return _answered(source, "taken", {"accepted": len(records)})
        finally:
            self._held_bytes -= sum(map(len, pieces))

    async def _read(self, request: web.Request, pieces: list[bytes]) -> bytes:
        """Read the body, piece by piece as it comes, no further than a body may be large.  Raises NotTaken."""
        size_bytes = request.content_length or 0
        if size_bytes <= LARGEST_BODY_BYTES:
            size_bytes = 0
            async for piece in request.content.iter_any():
                size_bytes += len(piece)
                if size_bytes > LARGEST_BODY_BYTES:
                    break
                pieces.append(piece)
                self._held_bytes += len(piece)
                if self._held_bytes > MOST_HELD_BYTES:
                    raise NotTaken(503, "crowded", "too much is being sent at once: send it again")
        if size_bytes > LARGEST_BODY_BYTES:
            raise NotTaken(413, "too_large", f"send at most {LARGEST_BODY_BYTES} bytes at once")
        return b"".join(pieces)

    def _require_proof(self, request: web.Request, source: WebhookSource, body: bytes) -> None:
        sent = Sent(request.headers, request.query.get("token", ""), body)
        finding = verify(source.verify, source.keys, sent, self._now_ms())
        if finding is not Finding.PROVEN:
            kind = "Bearer" if source.verify == "token" else "Signature"
            raise NotTaken(401, finding, _REFUSALS[finding], {"WWW-Authenticate": kind})

    def _greeted(self, request: web.Request, source: WebhookSource) -> web.Response:
        """Answer those who ask whether anybody is there; who has a token asks with it."""
        origin = request.headers.get("WebHook-Request-Origin")
        if request.method in ("GET", "HEAD"):
            return _answered(source, "greeted", {"accepted": 0})
        if request.method != "OPTIONS" or origin is None:
            raise NotTaken(405, "method", "post it", {"Allow": "POST"})
        if source.verify == "token":
            self._require_proof(request, source, b"")
        response = _answered(source, "greeted", {"accepted": 0})
        response.headers.update({"WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": "*", "Allow": "POST"})
        return response


def _require_type(request: web.Request, source: WebhookSource) -> None:
    found = request.content_type.lower()
    is_packed = source.is_packed and found == _PACKED
    if found != _NO_TYPE and not is_packed and not _TYPES[source.format].fullmatch(found):
        raise NotTaken(
            415, "wrong_type", f"the mapping file reads {source.format}: send it with the Content-Type of that"
        )


def _records(request: web.Request, source: WebhookSource, body: bytes, now_ms: int) -> list[Output]:
    """Make the records of a body: one, or one for each event of a batch of CloudEvents.  Raises NotTaken."""
    headers = _headers(request.raw_headers)
    size_bytes = sum(len(name) + len(value or b"") for name, value in headers)
    if size_bytes > LARGEST_HEADERS_BYTES:
        raise NotTaken(431, "too_large", f"send at most {LARGEST_HEADERS_BYTES} bytes of headers")
    values = _events(body) if request.content_type.lower() == _BATCH else [body]
    return [Output(source.topic, value, None, timestamp_ms=now_ms, headers=headers) for value in values]


def _events(body: bytes) -> list[bytes]:
    """Events of a batch, each with its bytes as they came; the body itself where it is no list of 1 to MOST_RECORDS."""
    try:
        events = msgspec.json.decode(body, type=list[msgspec.Raw])
    except (msgspec.DecodeError, RecursionError):
        return [body]
    return [bytes(event) for event in events] if 0 < len(events) <= MOST_RECORDS else [body]


def _headers(raw_headers: Sequence[tuple[bytes, bytes]]) -> Headers:
    """Headers for mapping files: without proofs, addresses and what is only about the connection.

    Attributes of CloudEvents get the names that they have in Kafka, `ce_id` for `ce-id`.
    """
    kept: list[tuple[str, bytes | None]] = []
    for raw_name, value in raw_headers:
        name = raw_name.decode(errors="replace")
        lower = name.lower()
        if lower in SIGNATURE_HEADERS or lower in _OF_THE_CONNECTION or lower.startswith(_OF_THE_PIPELINE):
            continue
        if lower.startswith("ce-"):
            kept.append((f"ce_{lower.removeprefix('ce-')}", unquote_to_bytes(value)))
        else:
            kept.append((name, value))
    return tuple(kept)


def _is_ping(request: web.Request, body: bytes) -> bool:
    """True for WooCommerce's question whether anybody is there, which it does not sign."""
    return "X-WC-Webhook-Signature" not in request.headers and _PING.fullmatch(body) is not None


def _challenge(body: bytes) -> str | None:
    """Text that a sender wants back before it sends anything, as Slack and monday.com do; None in any event."""
    if len(body) > 2 * _LONGEST_CHALLENGE or b'"challenge"' not in body:
        return None
    try:
        found = msgspec.json.decode(body, type=dict[str, object])
    except (msgspec.DecodeError, RecursionError):
        return None
    challenge = found.get("challenge")
    is_alone = len(found) == 1 or found.get("type") == "url_verification"
    return challenge if is_alone and isinstance(challenge, str) and len(challenge) <= _LONGEST_CHALLENGE else None


def _answered(source: WebhookSource, outcome: str, said: Mapping[str, object]) -> web.Response:
    _count(source, outcome)
    return web.json_response(said)


def _count(source: WebhookSource, outcome: str) -> None:
    metrics.WEBHOOK_REQUESTS.labels(source.name, outcome).inc()
