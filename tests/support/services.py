"""Services that page people, as fakes over HTTP that keep each service's own rules of what is the same.

    PagerDuty    a trigger under the dedup key of an open incident pages nobody; after its resolve it opens another
    GoAlert      an alert under the dedup of an open one pages nobody
    SlackApp     a message for each chat.postMessage, changed by chat.update; history with metadata
    Hook         every POST is a message: a webhook of Slack or Teams, or anybody's

`pages` counts what rang or appeared, by incident.  `answer` makes the next requests fail, before or after they had
their effect.
"""

import json
import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

Answer = tuple[int, dict[str, Any]]
OK: Answer = (200, {})


@dataclass(frozen=True, slots=True)
class Trouble:
    """Answer in place of the right one; with `is_taken` the request has its effect all the same.  0: no answer."""

    status: int
    is_taken: bool = False
    retry_after_s: int | None = None
    body: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any
    text: str


class Service:
    """HTTP server on a free port of this machine, used as a context manager."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.taken: list[Request] = []
        self.pages: Counter[str] = Counter()
        self.troubles: deque[Trouble] = deque()
        self._lock = threading.Lock()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        """Address of the service."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, *troubles: Trouble) -> None:
        """Answer the next requests like this, one each."""
        self.troubles.extend(troubles)

    def handle(self, request: Request) -> tuple[Trouble | None, Answer]:
        """Take one request: the trouble to answer with, if any, and the right answer."""
        with self._lock:
            self.requests.append(request)
            trouble = self.troubles.popleft() if self.troubles else None
            if trouble is not None and not trouble.is_taken:
                return trouble, OK
            answer = self.take(request)
            self.taken.append(request)
            return trouble, answer

    def take(self, request: Request) -> Answer:
        """Let a request have its effect; the answer to it."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class PagerDuty(Service):
    """Events API v2.  `states` has the incident under each dedup key: triggered, acknowledged or resolved."""

    def __init__(self) -> None:
        super().__init__()
        self.states: dict[str, str] = {}

    def take(self, request: Request) -> Answer:
        key, action = request.body["dedup_key"], request.body["event_action"]
        state = self.states.get(key, "resolved")
        if action == "trigger" and state == "resolved":
            self.pages[key] += 1
            self.states[key] = "triggered"
        elif action != "trigger" and state != "resolved":
            self.states[key] = {"acknowledge": "acknowledged", "resolve": "resolved"}[action]
        return 202, {"status": "success", "message": "Event processed", "dedup_key": key}


class GoAlert(Service):
    """Generic API.  `open` holds the dedup of every open alert."""

    def __init__(self) -> None:
        super().__init__()
        self.open: set[str] = set()

    def take(self, request: Request) -> Answer:
        key = request.body["dedup"]
        if request.body.get("action") == "close":
            self.open.discard(key)
        elif key not in self.open:
            self.open.add(key)
            self.pages[key] += 1
        return 204, {}


class SlackApp(Service):
    """Web API of one workspace with one channel.  `messages` are in order; those of a thread have `thread_ts`."""

    def __init__(self, token: str) -> None:
        super().__init__()
        self.messages: list[dict[str, Any]] = []
        self.threads: Counter[str] = Counter()
        self._token = token

    def take(self, request: Request) -> Answer:
        if request.headers.get("Authorization") != f"Bearer {self._token}":
            return 200, {"ok": False, "error": "invalid_auth"}
        method: Callable[[Request], dict[str, Any]] = {
            "/chat.postMessage": self._post, "/chat.update": self._update,
            "/conversations.history": self._history, "/conversations.replies": self._replies,
        }[request.path]  # fmt: skip
        return 200, method(request)

    def _post(self, request: Request) -> dict[str, Any]:
        ts = f"1790000000.{len(self.messages):06d}"
        message = {**request.body, "ts": ts}
        self.messages.append(message)
        payload = message["metadata"]["event_payload"]
        if "thread_ts" in message:
            self.threads[payload["notification_id"]] += 1
        else:
            self.pages[payload["incident_id"]] += 1
        return {"ok": True, "channel": message["channel"], "ts": ts}

    def _update(self, request: Request) -> dict[str, Any]:
        for message in self.messages:
            if message["ts"] == request.body["ts"]:
                message.update(request.body)
                return {"ok": True, "channel": message["channel"], "ts": message["ts"]}
        return {"ok": False, "error": "message_not_found"}

    def _history(self, request: Request) -> dict[str, Any]:
        return self._page([one for one in self.messages if "thread_ts" not in one], request)

    def _replies(self, request: Request) -> dict[str, Any]:
        ts = request.query["ts"]
        return self._page([one for one in self.messages if ts in (one["ts"], one.get("thread_ts"))], request)

    def _page(self, messages: list[dict[str, Any]], request: Request) -> dict[str, Any]:
        """Two messages a page, so that cursors are used; without `include_all_metadata` none are told."""
        first = int(request.query.get("cursor", "0"))
        shown = messages[first : first + 2]
        if request.query.get("include_all_metadata") != "true":
            shown = [{name: value for name, value in one.items() if name != "metadata"} for one in shown]
        following = str(first + 2) if len(messages) > first + 2 else ""
        return {"ok": True, "messages": shown, "response_metadata": {"next_cursor": following}}


class Hook(Service):
    """Webhook that takes everything and knows nothing again.  `name_of` finds the incident in a request."""

    def __init__(self, name_of: Callable[[Request], str], status: int = 200) -> None:
        super().__init__()
        self._name_of = name_of
        self._status = status

    def take(self, request: Request) -> Answer:
        self.pages[self._name_of(request)] += 1
        return self._status, {}


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, service: Service) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.service = service


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])).decode())

    def do_GET(self) -> None:
        self._answer("")

    def _answer(self, text: str) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        request = Request(parts.path, query, dict(self.headers), json.loads(text or "null"), text)
        trouble, (status, body) = self.server.service.handle(request)
        if trouble is not None:
            status, body = trouble.status, trouble.body
        if not status:
            self.close_connection = True
            return
        self.send_response(status)
        if trouble is not None and trouble.retry_after_s is not None:
            self.send_header("Retry-After", str(trouble.retry_after_s))
        answer = b"" if status == 204 else json.dumps(body).encode()
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
