"""HTTP service of the collector: its routes, the checks of a request and the responses.

    GET  /r/{token}?score=9[&lang=de]   a click: provisional until a person shows or its wait is over
    GET  /r/{token}                     the question, for links without a score
    POST /r/{token}                     the form: a comment, or another score
    POST /r/{token}/seen                the page's beacon
    GET  /r/{token}/clicked?score=9     the page of a click that was taken: back and reload lead here, and take nothing
    GET  /r/{token}/more                the trap
    HEAD /r/{token}                     a scanner; it takes nothing, and voids no visit on which a person shows
    POST /responses                     answers of survey tools, with the bearer key; errors are JSON
    POST /sources/{name}                webhooks of foreign systems, see `webhooks`; errors are JSON
    GET  /healthz                       200 while Kafka answers

Prefetches, previews and robots that announce themselves take nothing.  No page says thanks before Kafka has the answer.
Nothing about a person is ever logged.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from time import monotonic, perf_counter
from urllib.parse import urlencode

from aiohttp import web

from schemas.codec import Codec
from schemas.events import SurveyResponse
from schemas.reasons import Reason
from streams import metrics
from streams.collector import page, push, responses
from streams.collector.announced import is_prefetch, is_robot
from streams.collector.limits import Buckets, client_network
from streams.collector.outbox import Away, Outbox
from streams.collector.visits import clicked_of, form_of, forwarded_for, score_of, texts_of, visit_of
from streams.collector.webhooks import NotTaken, Webhooks, WebhookSource
from streams.domain.links import Claim, Keys, Refusal, verify
from streams.domain.policy import Brand, Program
from streams.kafka.ports import Output

LARGEST_BODY_BYTES = 1 << 20
"""The largest body of a push."""

PUSH_PATH = "/responses"
SOURCES_PATH = "/sources/"
RETRY_AFTER_S = "60"
logger = logging.getLogger("streams.collector")

_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
}
_ERRORS = {
    413: f"send at most {LARGEST_BODY_BYTES} bytes at once",
    429: "too many requests: wait a minute, then send it again",
    503: "Kafka did not take it in time: send it again",
}
_BRAND = web.AppKey("brand", Brand)
RequestHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class CollectorPolicy:
    """Keys and rate limits of the collector.

    `keys` verify links, `key` is the bearer key of pushes, empty to refuse them.  `per_link` and `per_address` are
    requests a minute, `proxies` is the number of reverse proxies in front of us.  `sources` are those that are posted
    to, by name; who proves to be their sender is not limited.
    """

    keys: Keys
    key: str
    per_link: int
    per_address: int
    proxies: int
    sources: Mapping[str, WebhookSource] = field(default_factory=dict)


class Collector:
    """Handlers that turn requests into records; `program` is the workers', whose limits hold at this door already.

    `now_ms` is the wall clock.
    """

    def __init__(
        self, policy: CollectorPolicy, program: Program, codec: Codec, outbox: Outbox, now_ms: Callable[[], int]
    ) -> None:
        self._policy = policy
        self._program = program
        self._codec = codec
        self._outbox = outbox
        self._now_ms = now_ms
        self._links = Buckets(policy.per_link)
        self._addresses = Buckets(policy.per_address)
        self._webhooks = Webhooks(policy.sources, self._put, now_ms)

    def app(self) -> web.Application:
        """Make the aiohttp application, to be served by a runner."""
        app = web.Application(middlewares=[self._guarded], client_max_size=LARGEST_BODY_BYTES)
        app[_BRAND] = self._program.brand
        app.router.add_get("/healthz", self.healthz, allow_head=False)
        app.router.add_post(PUSH_PATH, self.pushed)
        app.router.add_route("*", SOURCES_PATH + "{name}", self.posted)
        app.router.add_route("*", "/r/{token}", self.visited)
        app.router.add_route("*", "/r/{token}/{part}", self.visited)
        return app

    async def healthz(self, _: web.Request) -> web.Response:
        """200 while Kafka answers, else 503."""
        reachable = await self._outbox.is_reachable()
        return web.Response(text="ok\n" if reachable else "Kafka does not answer\n", status=200 if reachable else 503)

    async def visited(self, request: web.Request) -> web.Response:
        """Handle a request for a link: verify its token, limit its rate, then act by method and path."""
        claim = verify(self._policy.keys, request.match_info["token"], self._now_ms())
        if isinstance(claim, Refusal):
            return await self._refused(request, claim)
        if not self._links.take(claim.survey_id, monotonic()):
            return self._answered(request, "link", "limited", page.wait(texts_of(request)), 429)
        if is_prefetch(request.headers):  # refused, so that the browser asks again when somebody wants to see it
            return self._answered(request, "prefetch", "refused", page.wait(texts_of(request)), 503)
        if request.method in ("GET", "HEAD") and is_robot(request.headers):
            return self._question(request, "robot")
        match (request.method, request.match_info.get("part")):
            case ("HEAD" | "GET", "more"):
                return await self._trapped(request, claim)
            case ("HEAD", None):
                return await self._headed(request, claim)
            case ("GET", None) if "score" in request.query:
                return await self._clicked(request, claim)
            case ("GET", None):
                return self._question(request, "question")
            case ("GET", "clicked"):
                return self._come_back(request)
            case ("GET", "thanks"):
                return self._answered(request, "thanks", "shown", page.done(texts_of(request)))
            case ("POST", None):
                return await self._written(request, claim)
            case ("POST", "seen"):
                return await self._seen(request, claim)
        return self._answered(request, "link", "unknown", page.closed(texts_of(request)), 404)

    async def pushed(self, request: web.Request) -> web.Response:
        """Take answers as JSON: 202 once Kafka has them all; 400 says what is wrong, and then none was taken.

        An answer whose token is refused becomes a dead letter of its own: 207 when others were taken, 403 when none.
        """
        if not push.is_allowed(request.headers.get("Authorization", ""), self._policy.key):
            _count("push", "unauthorised")
            return _error_response(401, "send the bearer key of NPS_COLLECTOR_KEY", {"WWW-Authenticate": "Bearer"})
        body, now_ms = await request.read(), self._now_ms()

        def as_record(answer: SurveyResponse) -> Output:
            return responses.as_record(self._codec, self._program, answer, now_ms)

        try:
            # 1,000 answers take a third of a second, for which no person's click should wait
            answers = await asyncio.to_thread(push.parse, body, self._policy.keys, now_ms, as_record)
        except push.BadPush as error:
            _count("push", "bad")
            return _error_response(400, str(error), errors=error.errors)
        refused = [
            (place, answer, refusal) for place, answer in enumerate(answers) if (refusal := answer.refusal) is not None
        ]
        taken = [answer.record for answer in answers if answer.refusal is None]
        dead = [
            responses.dead_letter(refusal, json.dumps(answer.fields).encode(), answer.customer_id, now_ms)
            for _, answer, refusal in refused
        ]
        await self._put([*taken, *dead])
        for _, _, refusal in refused:
            _count("push", refusal.reason)
        if taken or not refused:
            _count("push", "taken")
        if not refused:
            return web.json_response({"accepted": len(taken)}, status=202)
        outcomes = [
            {"answer": place, "reason": refusal.reason, "error": refusal.detail} for place, _, refusal in refused
        ]
        status = HTTPStatus.MULTI_STATUS if taken else HTTPStatus.FORBIDDEN
        return _error_response(status, refused[0][2].detail, accepted=len(taken), refused=outcomes)

    async def posted(self, request: web.Request) -> web.Response:
        """Take a webhook of a source; its sender, once proven, gets the token of its address back."""
        address = self._address(request)
        try:
            return await self._webhooks.answer(request, lambda: self._addresses.give_back(address))
        except NotTaken as refused:
            headers = {**refused.headers, **_retry_after(refused.status)}
            return _error_response(refused.status, str(refused), headers)

    async def _clicked(self, request: web.Request, claim: Claim) -> web.Response:
        score, at_ms = score_of(request.query["score"]), self._now_ms()
        if score is None:
            return self._question(request, "click", "bad", 400)
        await self._publish([responses.clicked(claim, score, at_ms)])
        return self._answered(
            request, "click", "taken", page.thanks(texts_of(request), visit_of(request), score, at_ms)
        )

    def _question(self, request: web.Request, kind: str, outcome: str = "shown", status: int = 200) -> web.Response:
        content = page.question(texts_of(request), visit_of(request), self._program.brand.about)
        return self._answered(request, kind, outcome, content, status)

    def _come_back(self, request: web.Request) -> web.Response:
        score = score_of(request.query.get("score", ""))
        if score is None:
            return self._question(request, "question")
        at_ms = clicked_of(request.query, self._now_ms())
        content = page.thanks(texts_of(request), visit_of(request), score, at_ms)
        return self._answered(request, "click", "shown", content)

    async def _headed(self, request: web.Request, claim: Claim) -> web.Response:
        await self._publish([responses.headed(claim, self._now_ms())])
        return self._answered(request, "head", "taken", page.done(texts_of(request)))

    async def _trapped(self, request: web.Request, claim: Claim) -> web.Response:
        await self._publish([responses.trapped(claim, self._now_ms())])
        return self._answered(request, "trap", "taken", page.done(texts_of(request)))

    async def _written(self, request: web.Request, claim: Claim) -> web.Response:
        form = await form_of(request)
        score = score_of(form.get("score", form.get("chosen", "")))
        comment = form.get("comment", "").replace("\r\n", "\n").strip() or None
        if score is None and comment is None:
            return self._question(request, "form", "bad", 400)
        await self._publish([responses.written(claim, score, comment, self._now_ms())])
        _count("form", "taken")
        location = f"{visit_of(request).path}/thanks?{urlencode({'lang': form.get('lang', '')[:20]})}"
        return web.Response(status=303, headers={**_HEADERS, "Location": location})

    async def _seen(self, request: web.Request, claim: Claim) -> web.Response:
        form = await form_of(request)
        score, clicked_ms = score_of(form.get("score", "")), clicked_of(form, self._now_ms())
        if score is None or clicked_ms is None:
            _count("beacon", "bad")
            return web.Response(status=400, headers=_HEADERS)
        await self._publish([responses.seen(claim, score, clicked_ms)])
        _count("beacon", "taken")
        return web.Response(status=204, headers=_HEADERS)

    async def _refused(self, request: web.Request, refusal: Refusal) -> web.Response:
        line = f"{request.method} {request.path_qs}".encode(errors="replace")
        customer_id = refusal.claim.customer_id if refusal.claim else None
        await self._outbox.put([responses.dead_letter(refusal, line, customer_id, self._now_ms())])
        return self._answered(request, "link", refusal.reason, page.closed(texts_of(request)), 404)

    async def _publish(self, answers: list[SurveyResponse]) -> None:
        """Send the records of the answers.  Raises Away, and Unusable for what the worker would refuse."""
        now_ms = self._now_ms()
        await self._put([responses.as_record(self._codec, self._program, answer, now_ms) for answer in answers])

    async def _put(self, records: Sequence[Output]) -> None:
        started = perf_counter()
        await self._outbox.put(records)
        metrics.COLLECTOR_SECONDS.observe(perf_counter() - started)

    def _answered(
        self, request: web.Request, kind: str, outcome: str, content: page.Page, status: int = 200
    ) -> web.Response:
        _count(kind, outcome)
        is_pushed = request.method == "POST" and request.path == PUSH_PATH
        if is_pushed or request.path.startswith(SOURCES_PATH):
            return _error_response(status, _ERRORS.get(status, HTTPStatus(status).phrase), _retry_after(status))
        return _page_response(request, content, status)

    def _address(self, request: web.Request) -> str:
        return client_network(request.remote or "", forwarded_for(request), self._policy.proxies)

    @web.middleware
    async def _guarded(self, request: web.Request, handler: RequestHandler) -> web.StreamResponse:
        """Limit the address's rate; log a failure as one line with nothing about the person, and answer with a page."""
        try:
            if request.path != "/healthz" and not self._addresses.take(self._address(request), monotonic()):
                return self._answered(request, "address", "limited", page.wait(texts_of(request)), 429)
            return await handler(request)
        except Away as error:
            logger.warning("kafka_away error=%s", error)
            return self._answered(request, "any", "away", page.again(texts_of(request)), 503)
        except responses.Unusable as error:
            status = 413 if error.reason in (Reason.TOO_LONG, Reason.TOO_LARGE) else 400
            return self._answered(request, "any", "bad", page.closed(texts_of(request)), status)
        except (web.RequestPayloadError, ConnectionError):  # a body that is none, or that ends early
            return self._answered(request, "any", "bad", page.closed(texts_of(request)), 400)
        except web.HTTPException as error:
            return self._answered(request, "any", "unknown", page.closed(texts_of(request)), error.status)
        except Exception as error:
            frame = error.__traceback__
            while frame is not None and frame.tb_next is not None:
                frame = frame.tb_next
            location = f"{frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame else "?"
            logger.error("request_failed error=%s at=%s", type(error).__name__, location)
            return self._answered(request, "any", "failed", page.again(texts_of(request)), 500)


def _page_response(request: web.Request, content: page.Page, status: int) -> web.Response:
    headers = {
        **_HEADERS,
        **_retry_after(status),
        "Content-Security-Policy": content.policy,
        "Content-Language": texts_of(request).language,
    }
    branded = content._replace(brand=request.app[_BRAND])
    return web.Response(text=branded.html, content_type="text/html", status=status, headers=headers)


def _error_response(status: int, error: str, headers: Mapping[str, str] | None = None, **more: object) -> web.Response:
    return web.json_response({"error": error, **more}, status=status, headers={**_HEADERS, **(headers or {})})


def _retry_after(status: int) -> dict[str, str]:
    return {"Retry-After": RETRY_AFTER_S} if status in (429, 503) else {}


def _count(kind: str, outcome: str) -> None:
    metrics.COLLECTOR_REQUESTS.labels(kind, outcome).inc()
