"""A webhook receiver that can be down, slow or unwilling, and remembers everything that reached it.

with Receiver(secret) as receiver:
    environ["NPS_WEBHOOK_URL"] = receiver.url
    receiver.answer(429, retry_after_s=2, times=3)      three times, then 200 again
    receiver.go_down(); receiver.come_up()
    receiver.pages                                      how often each alert id was taken with a 200
"""

import json
import threading
import time
from collections import Counter
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from standardwebhooks import Webhook, WebhookVerificationError

from streams.local.servers import HOST, free_port


@dataclass(frozen=True, slots=True)
class Received:
    """One request: the id it came under, when, whether its signature holds, and what it was answered."""

    alert_id: str
    at_s: float
    """On the monotonic clock."""
    genuine: bool
    status: int
    body: dict[str, object]


@dataclass(frozen=True, slots=True)
class Answer:
    """How to answer: the status, how long to think about it, and when to come again; `times` None is for ever."""

    status: int = 200
    delay_s: float = 0.0
    retry_after_s: int | None = None
    times: int | None = None


class Receiver:
    """One receiver on a port of its own, the same after it was down."""

    def __init__(self, secret: str) -> None:
        self._webhook = Webhook(secret)
        self._port = free_port()
        self._answer = Answer()
        self._lock = threading.Lock()
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self.received: list[Received] = []

    @property
    def url(self) -> str:
        """Where alerts are posted."""
        return f"http://{HOST}:{self._port}/hook"

    @property
    def pages(self) -> Counter[str]:
        """How often each alert id was taken."""
        return Counter(one.alert_id for one in list(self.received) if one.status == 200)

    def tries(self, alert_id: str) -> list[Received]:
        """Every time this alert came, in order."""
        return [one for one in list(self.received) if one.alert_id == alert_id]

    def answer(
        self, status: int = 200, *, delay_s: float = 0.0, retry_after_s: int | None = None, times: int | None = None
    ) -> None:
        """Answer like this from now on, or so many times and then with 200 at once."""
        with self._lock:
            self._answer = Answer(status, delay_s, retry_after_s, times)

    def go_down(self) -> None:
        """Listen no more: connections are refused."""
        server, self._server = self._server, None
        if server is not None and self._thread is not None:
            server.shutdown()
            self._thread.join()
            server.server_close()

    def come_up(self) -> None:
        """Listen again, at the same address."""
        server = self._server = _Server(self._port, self)
        self._thread = threading.Thread(target=server.serve_forever, args=(0.02,), name="receiver")
        self._thread.start()

    def take(self, headers: dict[str, str], body: bytes) -> Answer:
        """Note one request and say how to answer it."""
        with self._lock:
            answer = self._answer
            if answer.times is not None:
                left = answer.times - 1
                self._answer = Answer(answer.status, answer.delay_s, answer.retry_after_s, left) if left else Answer()
            found = Received(
                headers.get("webhook-id", ""), time.monotonic(), self._genuine(headers, body), answer.status,
                json.loads(body),
            )  # fmt: skip
            self.received.append(found)
        return answer

    def _genuine(self, headers: dict[str, str], body: bytes) -> bool:
        try:
            self._webhook.verify(body, headers)
        except WebhookVerificationError:
            return False
        return True

    def __enter__(self) -> Self:
        self.come_up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.go_down()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int, receiver: Receiver) -> None:
        super().__init__((HOST, port), _Handler)
        self.receiver = receiver


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = self.server.receiver.take(dict(self.headers), body)
        time.sleep(answer.delay_s)
        try:
            self.send_response(answer.status)
            if answer.retry_after_s is not None:
                self.send_header("Retry-After", str(answer.retry_after_s))
            self.send_header("Content-Length", "0")
            self.end_headers()
        except ConnectionError:
            return  # the client did not wait for a slow answer

    def log_message(self, *_: object) -> None:
        """Say nothing."""
