"""HTTP service of the live page: its routes, and the checks of a request.

    GET  /                           the page, or the form for a token
    GET  /page.css, /page.js         its stylesheet and its script
    GET  /stream                     server-sent events: a snapshot, then what changes
    POST /incidents/{id}/{verb}      acknowledge, resolve, escalate, assign, note, contacted: for responders
    POST /login, /leave              begin and end of a session
    GET  /enter/{key}                the one-time link of a page without tokens
    GET  /session                    204 within a session, else 401
    GET  /healthz                    200 while the process runs

Each POST needs our own Origin and, within a session, its CSRF token.  A request for another host's name is refused, so
that no foreign page can reach us by a name of its own.
"""

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from string import Template
from time import monotonic
from typing import cast

from aiohttp import web

from schemas.codec import Codec
from streams import metrics
from streams.collector.connections import Connection
from streams.collector.limits import Buckets, client_network
from streams.collector.outbox import Away, Outbox
from streams.collector.visits import form_of, forwarded_for
from streams.page import shown
from streams.page.access import OWNER, AccessToken, OneTimeKey, PagePerson, PageSession, Role, Sessions, person_of
from streams.page.actions import LARGEST_ACTION_BYTES, BadAction, as_output, parse_action
from streams.page.board import LiveBoard
from streams.page.broadcast import Broadcast, Subscriber
from streams.page.feed import PageFeed

TICK_S = 0.2
"""Time between two looks for changes: what changes within it is sent once."""

HEALTH_TICKS = 10
COMMENT_S = 15.0
"""Silence on a stream after which a comment shows that it lives."""

WRITE_S = 30.0
"""Time for which a reader may take nothing of what it is sent."""

LOGINS_A_MINUTE, ACTIONS_A_MINUTE, REQUESTS_A_MINUTE = 10, 120, 1_200
COOKIE = "nps_page"
logger = logging.getLogger("streams.page")
PageHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
}
_STREAM_HEADERS = {**_HEADERS, "Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}


def _static(name: str) -> str:
    return resources.files("streams.page").joinpath("static", name).read_text(encoding="utf-8")


_PAGE, _LOGIN = Template(_static("page.html")), Template(_static("login.html"))
_FILES = {"/page.css": ("text/css", _static("page.css")), "/page.js": ("text/javascript", _static("page.js"))}


@dataclass(frozen=True, slots=True)
class PagePolicy:
    """Rules of who may see the page.

    Without `tokens` a one-time link begins a responder's session.  `origins` are our own addresses, as browsers name
    them; `proxies` is the number of reverse proxies in front of us.
    """

    tokens: Sequence[AccessToken]
    origins: frozenset[str]
    proxies: int = 0

    @property
    def is_secure(self) -> bool:
        """True when browsers reach us by TLS alone."""
        return all(origin.startswith("https:") for origin in self.origins)


class LivePage:
    """Handlers of the page's requests.  `announce` gets lines for people: each one-time link when it is made."""

    def __init__(
        self, board: LiveBoard, feed: PageFeed, outbox: Outbox, codec: Codec, announce: Callable[[str], None]
    ) -> None:
        self._board, self._feed, self._outbox, self._codec = board, feed, outbox, codec
        self._announce = announce
        self._policy = PagePolicy((), frozenset())
        self._sessions, self._one_time = Sessions(), OneTimeKey()
        self._broadcast = Broadcast()
        self._snapshots: dict[Role, bytes] = {}
        self._logins, self._actions = Buckets(LOGINS_A_MINUTE), Buckets(ACTIONS_A_MINUTE)
        self._addresses = Buckets(REQUESTS_A_MINUTE)

    def app(self) -> web.Application:
        """Make the aiohttp application, to be served by a runner."""
        app = web.Application(middlewares=[self._guarded], client_max_size=LARGEST_ACTION_BYTES)
        app.router.add_get("/", self.page)
        for path in _FILES:
            app.router.add_get(path, self.file)
        app.router.add_get("/stream", self.stream, allow_head=False)
        app.router.add_get("/session", self.session)
        app.router.add_get("/healthz", self.healthz)
        app.router.add_get("/enter/{key}", self.enter, allow_head=False)
        app.router.add_post("/login", self.login)
        app.router.add_post("/leave", self.leave)
        app.router.add_post("/incidents/{incident}/{verb}", self.act)
        app.on_shutdown.append(self._end_streams)
        return app

    def open_to(self, policy: PagePolicy) -> None:
        """Let people in by these rules, once the address is known."""
        self._policy = policy
        self._announce_link()

    async def tick(self) -> None:
        """Send what changed to all who look, every TICK_S until cancelled."""
        number = 0
        while True:
            await asyncio.sleep(TICK_S)
            number += 1
            self.send_changes(with_health=number % HEALTH_TICKS == 0)

    def send_changes(self, *, with_health: bool) -> None:
        """Send what changed since the last call to all who look."""
        pieces = shown.changes(self._board, Role)
        if with_health or any(pieces.values()):
            self._snapshots.clear()
        health = self._health() if with_health else b""
        for role, piece in pieces.items():
            if piece or health:
                self._broadcast.send(role, piece + health)

    async def page(self, request: web.Request) -> web.Response:
        """The page within a session, else the form for a token."""
        session = self._session_of(request)
        if session is None:
            return self._login_form("Sign in with the access token that you were given.", 200)
        person = session.person
        html = _PAGE.substitute(role=person.role, name=escape(person.name), csrf=escape(session.csrf))
        return web.Response(text=html, content_type="text/html", headers=_HEADERS)

    async def file(self, request: web.Request) -> web.Response:
        """Stylesheet or script."""
        content_type, text = _FILES[request.path]
        return web.Response(text=text, content_type=content_type, headers=_HEADERS)

    async def healthz(self, _: web.Request) -> web.Response:
        """200: the process runs."""
        return web.Response(text="ok\n", headers=_HEADERS)

    async def session(self, request: web.Request) -> web.Response:
        """204 within a session, else 401."""
        return web.Response(status=401 if self._session_of(request) is None else 204, headers=_HEADERS)

    async def enter(self, request: web.Request) -> web.Response:
        """Begin the session of the one-time link."""
        if self._policy.tokens or not self._one_time.take(request.match_info["key"]):
            _count("enter", "refused")
            return self._login_form("This link was used, or is none of ours.", 403)
        _count("enter", "taken")
        self._announce_link()
        return self._begin(OWNER)

    async def login(self, request: web.Request) -> web.Response:
        """Begin a session by a token."""
        self._require_own_origin(request)
        if not self._logins.take(self._network(request), monotonic()):
            _count("login", "limited")
            return self._login_form("Too many tries: wait a minute.", 429)
        person = person_of(self._policy.tokens, (await form_of(request)).get("token", ""))
        if person is None:
            _count("login", "refused")
            return self._login_form("Nobody has this token.", 401)
        _count("login", "taken")
        return self._begin(person)

    async def leave(self, request: web.Request) -> web.Response:
        """End a session."""
        self._require_own_origin(request)
        session = self._session_of(request)
        if session is not None:
            self._require_csrf(session, (await form_of(request)).get("csrf", ""))
            self._sessions.end(request.cookies[COOKIE])
        response = web.Response(status=303, headers={**_HEADERS, "Location": "/"})
        response.del_cookie(COOKIE)
        return response

    async def act(self, request: web.Request) -> web.Response:
        """Take a responder's action: 202 once Kafka has it."""
        self._require_own_origin(request)
        session = self._session_of(request)
        if session is None:
            return _refusal(401, "sign in again")
        self._require_csrf(session, request.headers.get("X-CSRF-Token", ""))
        if session.person.role is not Role.RESPONDER:
            return _refusal(403, "viewers cannot act")
        if not self._actions.take(session.person.name, monotonic()):
            return _refusal(429, "too many actions: wait a minute")
        incident, verb = request.match_info["incident"], request.match_info["verb"]
        if self._board.incidents.get(incident) is None and not self._board.has_case_of(incident):
            return _refusal(404, "no open incident has this id")
        action = parse_action(incident, verb, session.person.name, await request.read())
        await self._outbox.put([as_output(self._codec, action, self._board.now_ms())])
        _count(verb, "taken")
        return web.json_response({"accepted": 1}, status=202, headers=_HEADERS)

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Send the snapshot and then what changes, as long as session and connection last."""
        session = self._session_of(request)
        if session is None:
            return web.Response(status=401, headers=_HEADERS)
        response = web.StreamResponse(headers=_STREAM_HEADERS)
        await response.prepare(request)
        cast(Connection, request.protocol).begin_stream()
        role = session.person.role
        subscriber = self._broadcast.join(role)
        metrics.PAGE_READERS.labels(role).inc()
        try:
            await self._send_all(request, response, subscriber)
        except TimeoutError:
            cast(Connection, request.protocol).cut("slow")
        except ConnectionError:
            logger.debug("reader_left role=%s", role)
        finally:
            self._broadcast.leave(subscriber)
            metrics.PAGE_READERS.labels(role).dec()
        return response

    async def _send_all(self, request: web.Request, response: web.StreamResponse, subscriber: Subscriber) -> None:
        await response.write(b"retry: 2000\n\n")
        while self._session_of(request) is not None and not self._broadcast.is_closed:
            has_news = await subscriber.wait(COMMENT_S)
            if subscriber.needs_snapshot:
                subscriber.begin()
                piece = self._snapshot(subscriber.role)
            else:
                piece = subscriber.take() if has_news else b": \n\n"
            await asyncio.wait_for(response.write(piece), WRITE_S)

    def _snapshot(self, role: Role) -> bytes:
        """The snapshot of now, made once for all who need it between two changes."""
        if role not in self._snapshots:
            self._snapshots[role] = shown.snapshot(self._board, role, is_kafka_away=self._feed.is_away)
        return self._snapshots[role]

    def _health(self) -> bytes:
        return shown.event("health", shown.health(self._board, is_kafka_away=self._feed.is_away))

    async def _end_streams(self, _: web.Application) -> None:
        self._broadcast.close()

    def _begin(self, person: PagePerson) -> web.Response:
        response = web.Response(status=303, headers={**_HEADERS, "Location": "/"})
        name = self._sessions.begin(person, monotonic())
        response.set_cookie(COOKIE, name, httponly=True, samesite="Strict", secure=self._policy.is_secure, path="/")
        return response

    def _announce_link(self) -> None:
        if not self._policy.tokens:
            self._announce(f"live page, link for one use: {min(self._policy.origins)}/enter/{self._one_time.text}")

    def _login_form(self, message: str, status: int) -> web.Response:
        is_hidden = not self._policy.tokens
        if is_hidden:
            message = "Open the link that `nps page` or `nps up` printed last: each works once."
        html = _LOGIN.substitute(message=escape(message), hidden=" hidden" if is_hidden else "")
        return web.Response(text=html, content_type="text/html", status=status, headers=_HEADERS)

    def _session_of(self, request: web.Request) -> PageSession | None:
        return self._sessions.find(request.cookies.get(COOKIE, ""), monotonic())

    def _network(self, request: web.Request) -> str:
        return client_network(request.remote or "", forwarded_for(request), self._policy.proxies)

    def _require_own_origin(self, request: web.Request) -> None:
        """Raises HTTPForbidden for a POST that another page makes."""
        if request.headers.get("Origin", "") not in self._policy.origins:
            _count("post", "foreign")
            raise web.HTTPForbidden(text="only this page's own requests are taken")

    def _require_csrf(self, session: PageSession, told: str) -> None:
        if not hmac.compare_digest(session.csrf.encode(), told.encode(errors="replace")):
            _count("post", "forged")
            raise web.HTTPForbidden(text="the request lacks the session's CSRF token: load the page again")

    def _is_for_us(self, request: web.Request) -> bool:
        return request.path == "/healthz" or any(
            origin.partition("//")[2] == request.headers.get("Host", "") for origin in self._policy.origins
        )

    @web.middleware
    async def _guarded(self, request: web.Request, handler: PageHandler) -> web.StreamResponse:
        """Refuse what is for another host or too often; log a failure as one line with nothing about a person."""
        try:
            if not self._is_for_us(request):
                return _refusal(421, "this is another host's name: open the address of NPS_PAGE_URL")
            if not self._addresses.take(self._network(request), monotonic()):
                return _refusal(429, "too many requests: wait a minute")
            return await handler(request)
        except BadAction as error:
            return _refusal(400, str(error))
        except Away as error:
            logger.warning("kafka_away error=%s", error)
            return _refusal(503, "Kafka did not take it in time")
        except web.HTTPException as error:
            return _refusal(error.status, error.text or error.reason)
        except (web.RequestPayloadError, ConnectionError):
            return _refusal(400, "the request ended early")
        except Exception as error:
            logger.error("request_failed error=%s", type(error).__name__)
            return _refusal(500, "something went wrong here")


def _refusal(status: int, error: str) -> web.Response:
    return web.json_response({"error": error}, status=status, headers=_HEADERS)


def _count(kind: str, outcome: str) -> None:
    metrics.PAGE_REQUESTS.labels(kind, outcome).inc()
