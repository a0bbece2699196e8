"""A server in front of another one: a forward proxy, or one that speaks TLS, whatever host it is asked for."""

import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from streams.local.servers import HOST


class Front(ThreadingHTTPServer):
    """Passes every request on to one port of this machine; `asked` holds the request lines, `users` who asked."""

    daemon_threads = True

    def __init__(self, port: int, context: ssl.SSLContext | None = None) -> None:
        super().__init__((HOST, 0), _FrontHandler)
        self.port = port
        self.asked: list[str] = []
        self.users: set[str | None] = set()
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_side=True)

    def handle_error(self, *_: object) -> None:
        """Say nothing of clients that did not like our certificate."""


@contextmanager
def front(port: int, context: ssl.SSLContext | None = None) -> Iterator[Front]:
    """A server that runs in front of a port."""
    server = Front(port, context)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _FrontHandler(BaseHTTPRequestHandler):
    server: Front
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._pass_on()

    def do_POST(self) -> None:
        self._pass_on()

    def do_CONNECT(self) -> None:
        self._note()
        with socket.create_connection((HOST, self.server.port)) as upstream:
            self.send_response(200)
            self.end_headers()
            with suppress(OSError):
                _splice(self.connection, upstream)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _pass_on(self) -> None:
        self._note()
        parts = urlsplit(self.path)
        target = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
        upstream = HTTPConnection(HOST, self.server.port)
        body = self._body()
        headers = {**dict(self.headers), "Host": f"{HOST}:{self.server.port}"}
        upstream.request(self.command, target, body, headers)
        answer = upstream.getresponse()
        said = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)
        upstream.close()

    def _note(self) -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        self.server.users.add(self.headers["Proxy-Authorization"])

    def _body(self) -> bytes:
        if self.headers["Transfer-Encoding"] != "chunked":
            return self.rfile.read(int(self.headers["Content-Length"] or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        del self.headers["Transfer-Encoding"]
        self.rfile.readline()
        return body


def _splice(one: socket.socket, other: socket.socket) -> None:
    """Pass on what either says until one hangs up."""
    while True:
        for ready in select.select([one, other], [], [])[0]:
            if not (text := ready.recv(65_536)):
                return
            (other if ready is one else one).sendall(text)
