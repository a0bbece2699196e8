"""Health of a process over HTTP, on the port of its metrics.

/healthz    200 while the process runs at all: restart it when there is no answer
/readyz     200 while it makes progress, or has nothing to do; else 503, and the reason in a line
the rest    its metrics
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from prometheus_client import start_http_server

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class Health:
    """Health of this process.  Set `unready` once it can say why there is no progress; empty when there is."""

    def __init__(self) -> None:
        self.unready: Callable[[], str] = lambda: "it is starting"

    def serve(self, host: str, port: int) -> None:
        """Answer from a thread of its own.  Raises OSError for an address that cannot be taken."""
        server, _ = start_http_server(port, host)
        server.set_app(self.before(server.get_app()))

    def before(self, metrics: "WSGIApplication | None") -> "WSGIApplication":
        """Make the application that answers for health, and leaves all else to another."""

        def application(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
            path = environ["PATH_INFO"]
            if path not in ("/healthz", "/readyz"):
                return metrics(environ, start_response) if metrics else []
            problem = self.unready() if path == "/readyz" else ""
            status = "503 Service Unavailable" if problem else "200 OK"
            start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
            return [f"{problem or 'ok'}\n".encode()]

        return application
