"""A schema registry over HTTP that speaks Confluent's REST interface, with faults on demand."""

import base64
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

FIRST_ID = 70_000


class Reply(NamedTuple):
    """An answer: its status, body and seconds until it is given."""

    status: int
    body: bytes = b""
    after_s: float = 0.0


class RegistryServer(ThreadingHTTPServer):
    """Schemas by id, versions by subject.  `fault`, while set, answers every request, `faults` the next ones."""

    daemon_threads = True

    def __init__(self, user: str | None = None, token: str | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.user = user
        self.wanted = f"Bearer {token}" if token else _basic(user) if user else None
        self.schemas: dict[int, dict[str, object]] = {}
        self.subjects: dict[str, list[int]] = {}
        self.fault: Reply | None = None
        self.faults: list[Reply] = []
        self.requests: list[str] = []
        self.released = threading.Event()
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        """Its address, with user and password where it asks for them."""
        at = f"{self.user}@" if self.user else ""
        return f"http://{at}127.0.0.1:{self.server_port}"

    def handle_error(self, *_: object) -> None:
        """Say nothing of clients that went away."""

    def register(self, subject: str, body: dict[str, object]) -> int:
        """The id of a schema under a subject, a new one for a new schema."""
        with self.lock:
            known = [known for known, schema in self.schemas.items() if schema == body]
            schema_id = known[0] if known else FIRST_ID + len(self.schemas)
            self.schemas[schema_id] = body
            versions = self.subjects.setdefault(subject, [])
            if schema_id not in versions:
                versions.append(schema_id)
            return schema_id

    def answer(self, method: str, path: str, body: dict[str, object]) -> Reply:
        """The reply to a request, as Confluent's registry gives it."""
        if self.faults:
            return self.faults.pop(0)
        if self.fault is not None:
            return self.fault
        if method == "GET" and (found := re.fullmatch(r"/schemas/ids/(-?\d+)", path)):
            schema_id = int(found[1])
            if schema_id > 2**31 - 1:
                return _error(404, 404, "HTTP 404 Not Found")
            if schema_id not in self.schemas:
                return _error(404, 40403, f"Schema {schema_id} not found")
            return _json(200, self.schemas[schema_id])
        if method == "GET" and (found := re.fullmatch(r"/subjects/([^/]+)/versions/(\d+|latest)", path)):
            versions = self.subjects.get(unquote(found[1]), [])
            number = len(versions) if found[2] == "latest" else int(found[2])
            if not 0 < number <= len(versions):
                return _error(404, 40402, "Version not found.")
            return _json(200, {"id": versions[number - 1], **self.schemas[versions[number - 1]]})
        if method == "GET" and path == "/subjects":
            return _json(200, sorted(self.subjects))
        if method == "POST" and (found := re.fullmatch(r"/subjects/([^/]+)", path)):
            subject = unquote(found[1])
            if subject not in self.subjects:
                return _error(404, 40401, f"Subject '{subject}' not found.")
            for schema_id in self.subjects[subject]:
                if self.schemas[schema_id] == body:
                    return _json(200, {"subject": subject, "id": schema_id, **body})
            return _error(404, 40403, "Schema not found")
        if method == "POST" and (found := re.fullmatch(r"/subjects/([^/]+)/versions", path)):
            return _json(200, {"id": self.register(unquote(found[1]), body)})
        return _error(404, 404, "HTTP 404 Not Found")


@contextmanager
def registry_server(user: str | None = None, token: str | None = None) -> Iterator[RegistryServer]:
    """A registry that runs, empty."""
    server = RegistryServer(user, token)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _error(status: int, code: int, message: str) -> Reply:
    return _json(status, {"error_code": code, "message": message})


def _json(status: int, body: object) -> Reply:
    return Reply(status, json.dumps(body).encode())


class _Handler(BaseHTTPRequestHandler):
    server: RegistryServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._reply({})

    def do_POST(self) -> None:
        self._reply(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _reply(self, body: dict[str, object]) -> None:
        path = urlsplit(self.path).path
        self.server.requests.append(f"{self.command} {path}")
        reply = self.server.answer(self.command, path, body)
        if self.server.wanted and self.headers["Authorization"] != self.server.wanted:
            reply = _error(401, 401, "Unauthorized")
        if reply.after_s:
            self.server.released.wait(reply.after_s)
        try:
            self.send_response(reply.status)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)
        except OSError:
            self.close_connection = True


def _basic(user: str) -> str:
    return f"Basic {base64.b64encode(unquote(user).encode()).decode()}"
