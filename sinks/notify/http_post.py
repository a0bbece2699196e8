"""JSON requests to services, with their answers told apart: taken, not now, refused, or not known.

2xx                                  Reply
no connection, 429, 503              TryLater, with Retry-After: surely not taken
no answer after sending, other 5xx   InDoubt: the service may have taken it
other 4xx that may pass              TryLater
everything else                      GiveUp
"""

import json
import ssl
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from urllib3 import BaseHTTPResponse
from urllib3.exceptions import ConnectTimeoutError, HTTPError, InvalidHeader, NewConnectionError, ProxyError
from urllib3.exceptions import SSLError as TlsError
from urllib3.util import Retry, Timeout

from schemas import http
from schemas.errors import BadInput
from sinks.notify.notifier import GiveUp, TryLater
from sinks.notify.receiver import InDoubt
from sinks.notify.text import clipped, one_line

NOT_TAKEN = frozenset({404, 408, 421, 423, 425, 429, 499, 503})
"""Answers by which nothing was taken and that may pass: a gateway reloads, hurries, locks, is too busy."""

LONGEST_ANSWER = 200
LARGEST_REPLY_BYTES = 1_048_576
"""Upper bound of a reply that is read: a longer one is cut, and no JSON any more."""

NOT_SENT = (ConnectTimeoutError, NewConnectionError, ProxyError, TlsError)


class Reply(NamedTuple):
    """Answer 2xx of a service: its status, and its JSON or text."""

    status: int
    text: str

    @property
    def json(self) -> dict[str, Any]:
        """Object that the text holds; empty for another text."""
        try:
            found = json.loads(self.text)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def line(self) -> str:
        """Status and text in one line for people."""
        return f"{self.status} {shortened(self.text)}".rstrip()


class HttpService:
    """Service at one address.  Errors repeat neither the address, which may hold a secret, nor any header.

    Raises BadInput for an address that is not plain http(s), naming `setting`.
    """

    def __init__(self, url: str, setting: str, *, timeout_s: float = 10.0, ca: str = "") -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise BadInput(f"{setting} must look like https://host/path") from None
        if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
            raise BadInput(f"{setting} must look like https://host/path")
        user, self._url = http.user_of(url), parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        self._headers = {"Authorization": http.basic(user)} if user else {}
        self._name = f"{parts.hostname}:{port or (443 if parts.scheme == 'https' else 80)}"
        self._pool = http.pool_for(self._url, timeout=Timeout(timeout_s), context=_context(ca, setting))

    def post(self, body: object, path: str = "", headers: Mapping[str, str] | None = None) -> Reply:
        """POST as JSON.  Raises TryLater, InDoubt or GiveUp."""
        return self.post_text(json_text(body), path, headers)

    def post_text(self, text: str, path: str = "", headers: Mapping[str, str] | None = None) -> Reply:
        """POST a text that is JSON already.  Raises TryLater, InDoubt or GiveUp."""
        sent = {"Content-Type": "application/json; charset=utf-8", **self._headers, **(headers or {})}
        return self._request("POST", path, sent, text.encode())

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Reply:
        """GET a path with its query.  Raises TryLater or GiveUp: reading is never in doubt."""
        try:
            return self._request("GET", path, {**self._headers, **(headers or {})}, None)
        except InDoubt as error:
            raise TryLater(str(error)) from error

    def _request(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> Reply:
        try:
            reply = self._pool.request(
                method, f"{self._url}{path}", body=body, headers=headers, redirect=False, preload_content=False
            )
            text = _text(reply)
        except (HTTPError, OSError) as error:
            said = f"{self._name} does not answer: {http.tls_trouble(error) or type(error).__name__}"
            raise (TryLater if isinstance(error, NOT_SENT) else InDoubt)(said) from None
        except ValueError as error:
            raise GiveUp(f"no valid request for {self._name}: {type(error).__name__}") from None
        return self._judged(reply, text)

    def _judged(self, reply: BaseHTTPResponse, text: str) -> Reply:
        status, said = reply.status, f"{self._name} answered {reply.status} {shortened(text)}".rstrip()
        if 200 <= status < 300:
            return Reply(status, text)
        if status in NOT_TAKEN:
            raise TryLater(said, retry_after_s(reply.headers.get("Retry-After", "")))
        raise InDoubt(said) if status >= 500 else GiveUp(said)


def json_text(body: object) -> str:
    """Write JSON in UTF-8, compact; what is no character, half of an emoji, is written as a replacement."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "replace").decode()


def shortened(text: str) -> str:
    """Cut what a service said to one line of 200 characters."""
    return clipped(one_line(" ".join(text.split())), LONGEST_ANSWER)


def retry_after_s(header: str) -> float:
    """Wait in seconds that a Retry-After header asks for, as a number or a date; 0 for none and for nonsense."""
    try:
        return Retry().parse_retry_after(header)
    except (InvalidHeader, ValueError, OverflowError):  # the last two: a date or number beyond what Python holds
        return 0.0


def _text(reply: BaseHTTPResponse) -> str:
    data: bytes = reply.read(LARGEST_REPLY_BYTES, decode_content=True) or b""
    if len(data) == LARGEST_REPLY_BYTES:
        reply.close()
    reply.release_conn()
    return data.decode("utf-8", "replace")


def _context(ca: str, setting: str) -> ssl.SSLContext | None:
    try:
        return http.tls_context(ca) if ca else None
    except ValueError as error:
        raise BadInput(f"{setting}: {error}") from None
