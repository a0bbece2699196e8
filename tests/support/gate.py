"""A TCP gate in front of a broker that turns some clients away as they come."""

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from streams.local.servers import HOST


class Gate(socketserver.ThreadingTCPServer):
    """Lets everybody through to `target` but the next `cuts` clients whose first bytes hold `name`."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, target: str, name: bytes, cuts: int) -> None:
        super().__init__((HOST, 0), _Handler)
        self.target, self.name, self.cuts = target, name, cuts

    @property
    def address(self) -> str:
        """Where clients find it."""
        return f"{HOST}:{self.server_address[1]}"


class _Handler(socketserver.BaseRequestHandler):
    server: Gate

    def handle(self) -> None:
        first = self.request.recv(65_536)
        if self.server.name in first and self.server.cuts:
            self.server.cuts -= 1
            return
        host, _, port = self.server.target.partition(":")
        with socket.create_connection((host, int(port))) as behind:
            behind.sendall(first)
            back = threading.Thread(target=_pass_on, args=(behind, self.request), daemon=True)
            back.start()
            _pass_on(self.request, behind)


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while data := one.recv(65_536):
            other.sendall(data)
        other.shutdown(socket.SHUT_WR)


@contextmanager
def gate(target: str, name: bytes, cuts: int) -> Iterator[Gate]:
    """A gate that is open until the end of the block."""
    with Gate(target, name, cuts) as unwrap:
        serving = threading.Thread(target=unwrap.serve_forever)
        serving.start()
        try:
            yield unwrap
        finally:
            unwrap.shutdown()
            serving.join()
