"""The local stack starts, answers, ends with its parent; the supervisor leaves nothing behind."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from clickhouse_connect import get_client
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from streams.errors import NotStarted
from streams.local.servers import HOST, LocalServer, free_port, local_broker, local_clickhouse
from tests.support.commands import BOUND_S

SAY_PID = "import os, time; print('pid', os.getpid(), flush=True); time.sleep(600)"
LAST_WORDS = """
import os, signal, sys, time
def end(*_):
    print("stopping", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("pid", os.getpid(), flush=True)
time.sleep(600)
"""
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SAY_PID
SHORT = "import sys; print('had enough', flush=True); sys.exit(3)"


def test_the_local_broker_keeps_what_it_is_given(broker: LocalServer) -> None:
    """A record produced to the local broker comes back from it."""
    admin = AdminClient({"bootstrap.servers": broker.address})
    admin.create_topics([NewTopic("t", 1, 1)])["t"].result(BOUND_S)
    producer = Producer({"bootstrap.servers": broker.address})
    producer.produce("t", b"value", b"key")
    assert producer.flush(BOUND_S) == 0
    consumer = Consumer({"bootstrap.servers": broker.address, "group.id": "g", "session.timeout.ms": 2000})
    consumer.assign([TopicPartition("t", 0, 0)])
    record = consumer.poll(BOUND_S)
    consumer.close()
    assert record is not None
    assert (record.key(), record.value()) == (b"key", b"value")


def test_a_stopped_broker_is_gone() -> None:
    """After the `with` block the process has ended and the port is closed, although a client is still connected."""
    with local_broker() as server:
        client = AdminClient({"bootstrap.servers": server.address, "log_level": 0})
        client.list_topics(timeout=BOUND_S)
    assert _gone(server.pid)
    host, _, port = server.address.partition(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), 1)
    server.stop()


def test_a_taken_port_is_refused_in_one_line() -> None:
    """Starting on a port where somebody listens says which port and what to do."""
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(NotStarted, match=rf"^port {port} of 127\.0\.0\.1 is taken: .*choose another port$"):
            local_broker(port)


def test_a_given_port_is_used() -> None:
    """The broker listens on the port it was given."""
    port = free_port()
    with local_broker(port) as server:
        assert server.address == f"127.0.0.1:{port}"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a child to its parent")
def test_the_broker_dies_with_a_killed_parent() -> None:
    """A parent that is killed with SIGKILL, and so tidies up nothing, leaves no broker behind."""
    code = "import time; from streams.local.servers import local_broker as start; print(start().pid, flush=True); "
    code += "time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert not _gone(pid)
        parent.kill()
    _until(lambda: _gone(pid))


def test_the_broker_ends_with_its_parent() -> None:
    """A parent that just returns stops its broker on the way out."""
    code = "from streams.local.servers import local_broker; print(local_broker().pid, flush=True)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=BOUND_S)
    assert _gone(int(done.stdout))
    assert done.stderr == ""


def test_the_local_clickhouse_answers_queries(tmp_path: Path) -> None:
    """The ordinary ClickHouse client talks to the local ClickHouse, and data outlives a restart."""
    with local_clickhouse(tmp_path / "data") as server:
        port = int(server.address.rpartition(":")[2])
        client = get_client(host=HOST, port=port)
        client.command("CREATE TABLE t (x UInt8) ENGINE = MergeTree ORDER BY x")
        client.command("INSERT INTO t VALUES (7)")
    with local_clickhouse(tmp_path / "data", port) as server:
        assert get_client(host=HOST, port=port).query("SELECT x FROM t").result_rows == [(7,)]
    assert _gone(server.pid)


def test_a_child_that_ends_brings_all_down(tmp_path: Path) -> None:
    """The first child to end on its own is named with its exit code, and the rest are stopped."""
    supervisor = _Supervised(tmp_path, {"steady": SAY_PID, "short": SHORT})
    output = supervisor.wait()
    assert supervisor.code == 3
    assert "short  | had enough\n" in output
    assert "short  | ended with exit code 3 unexpectedly: stopping the rest\n" in output
    assert all(map(_gone, supervisor.pids()))


def test_a_child_that_ends_well_is_a_failure_too(tmp_path: Path) -> None:
    """Services are not supposed to end: an exit code of 0 is reported and turned into 1."""
    supervisor = _Supervised(tmp_path, {"done": "pass", "steady": SAY_PID})
    assert "done   | ended with exit code 0 unexpectedly: stopping the rest\n" in supervisor.wait()
    assert supervisor.code == 1


def test_a_killed_child_is_told_by_its_signal(tmp_path: Path) -> None:
    """A child killed from outside is named with the signal, and the exit code is the shell's for it."""
    supervisor = _Supervised(tmp_path, {"victim": SAY_PID})
    [pid] = supervisor.started(1)
    os.kill(pid, signal.SIGKILL)
    assert "victim | was killed by SIGKILL unexpectedly" in supervisor.wait()
    assert supervisor.code == 128 + signal.SIGKILL


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A program that cannot be started brings all down with a line that names it."""
    supervisor = _Supervised(tmp_path, {"steady": SAY_PID}, more='Child("ghost", ["/no/such/program"], {})')
    assert "/no/such/program" in supervisor.wait()
    assert supervisor.code != 0
    assert all(map(_gone, supervisor.pids()))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop_it_stops_in_reverse_order(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C or SIGTERM stops the child started last first, leaves nothing running and ends with 0."""
    supervisor = _Supervised(tmp_path, {"first": LAST_WORDS, "second": LAST_WORDS, "third": LAST_WORDS})
    pids = supervisor.started(3)
    supervisor.send(number)
    output = supervisor.wait()
    assert re.findall(r"(\w+) +\| stopping", output) == ["third", "second", "first"]
    assert supervisor.code == 0
    assert all(map(_gone, pids))


def test_a_child_that_will_not_stop_is_killed(tmp_path: Path) -> None:
    """A child that ignores SIGTERM is killed after the bound, and the exit code says so."""
    supervisor = _Supervised(tmp_path, {"stubborn": STUBBORN}, stop_s=0.2)
    pids = supervisor.started(1)
    supervisor.send(signal.SIGTERM)
    assert "stubborn | killed: did not stop within 0.2 s\n" in supervisor.wait()
    assert supervisor.code == 1
    assert all(map(_gone, pids))


def test_asked_twice_it_kills_at_once(tmp_path: Path) -> None:
    """A second Ctrl-C does not wait for children that take their time."""
    supervisor = _Supervised(tmp_path, {"stubborn": STUBBORN, "polite": LAST_WORDS}, stop_s=600)
    pids = supervisor.started(2)
    supervisor.send(signal.SIGINT)
    _until(lambda: "polite   | stopping" in supervisor.output())
    supervisor.send(signal.SIGINT)
    assert "stubborn | killed at once\n" in supervisor.wait()
    assert all(map(_gone, pids))


class _Supervised:
    """A supervisor in a process of its own, its children being Python programs."""

    def __init__(self, folder: Path, children: dict[str, str], stop_s: float = BOUND_S, more: str = "") -> None:
        listed = [f"Child({name!r}, [sys.executable, '-c', {code!r}], {{}})" for name, code in children.items()]
        program = folder / "supervised.py"
        program.write_text(
            "import sys\nfrom streams.local.supervisor import Child, Supervisor\n"
            f"sys.exit(Supervisor([{', '.join([*listed, more])}], stop_s={stop_s}).run())\n"
        )
        self._path = folder / "output"
        with self._path.open("wb") as output:
            self._process = subprocess.Popen([sys.executable, str(program)], stdout=output, stderr=output)

    @property
    def code(self) -> int:
        """The exit code."""
        return self._process.wait(BOUND_S)

    def output(self) -> str:
        """What has been said so far."""
        return self._path.read_text()

    def pids(self) -> list[int]:
        """The children's process ids, as they said them."""
        return [int(pid) for pid in re.findall(r"\| pid (\d+)$", self.output(), re.MULTILINE)]

    def started(self, count: int) -> list[int]:
        """The children's process ids, once that many have said theirs."""
        _until(lambda: len(self.pids()) == count)
        return self.pids()

    def send(self, number: signal.Signals) -> None:
        """Send the supervisor a signal."""
        self._process.send_signal(number)

    def wait(self) -> str:
        """All that was said, once the supervisor has ended; it is killed when it does not."""
        try:
            self._process.wait(BOUND_S)
        finally:
            self._process.kill()
        return self.output()


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + BOUND_S
    while not true():
        assert time.monotonic() < deadline, "did not happen within the bound"
        time.sleep(0.01)


def _gone(pid: int) -> bool:
    """True when no such process runs; one that only waits to be buried does not."""
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return done.stdout.strip()[:1] in {"", "Z"}
