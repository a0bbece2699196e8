"""A real Apache Kafka for tests: one broker or three, in KRaft mode, that can be killed and restarted on its data.

    with KafkaCluster(folder, brokers=3) as kafka:
        kafka.bootstrap         "127.0.0.1:21001,127.0.0.1:21002,127.0.0.1:21003"
        kafka.kill(1)           kill -9
        kafka.start(1)          on the same data, waiting until it serves again

The jars come through Maven, once, into `.cache/kafka`; the version is the one in `kafka-pom.xml`.  `unavailable()` says
why there can be no Kafka on this machine.
"""

import functools
import hashlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from streams import process
from streams.local import HOST, free_port

POM = Path(__file__).with_name("kafka-pom.xml")
CACHE = Path(__file__).parents[2] / ".cache" / "kafka"
CLUSTER_ID = "bnBzLXBpcGVsaW5lLXRlcw"
READY_S = 60.0
JAVA_OPTIONS = (
    "-Xms64m",
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xshare:auto",
    "-Dorg.apache.logging.log4j.level=WARN",
)
"""A small heap, and a start that is twice as fast for not compiling everything twice."""


class KafkaFailed(RuntimeError):
    """A broker or the download of its jars failed; the message says why."""


@functools.cache
def unavailable() -> str | None:
    """Why there can be no real Kafka here, in one line; None when there can."""
    if shutil.which("java") is None:
        return "no java on the PATH: install a Java 17 runtime"
    said = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < 17:
        return f"java is too old, 17 is needed: {said.splitlines()[0] if said else 'it says no version'}"
    if _jars_folder().is_dir() or shutil.which("mvn") is not None:
        return None
    return "no mvn on the PATH: install Maven, which fetches Kafka's jars"


def jars() -> Path:
    """The folder of Kafka's jars, fetched when they are not there yet.  Raises KafkaFailed."""
    folder = _jars_folder()
    if folder.is_dir():
        return folder
    CACHE.mkdir(parents=True, exist_ok=True)
    # Fetched aside and then renamed: two test runs at once must not see each other's half of the jars.
    with tempfile.TemporaryDirectory(dir=CACHE) as aside:
        argv = ["mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", "-DincludeScope=runtime"]
        done = subprocess.run([*argv, f"-DoutputDirectory={aside}/jars"], capture_output=True, text=True, check=False)
        if done.returncode:
            raise KafkaFailed(f"Maven could not fetch Kafka's jars: {(done.stdout + done.stderr).strip()[-500:]}")
        if not folder.is_dir():
            os.rename(f"{aside}/jars", folder)
    return folder


def _jars_folder() -> Path:
    """Named after what the pom asks for, so that a changed pom means a new folder."""
    return CACHE / hashlib.sha256(POM.read_bytes()).hexdigest()[:12]


class KafkaCluster:
    """Brokers 1 to n, each a controller too; data, settings and logs lie in `folder`."""

    def __init__(self, folder: Path, brokers: int = 1, properties: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self._jars = jars()
        self._ports = {number: (free_port(), free_port()) for number in range(1, brokers + 1)}
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        for number in self._ports:
            self._write_properties(number, properties or {})

    @property
    def bootstrap(self) -> str:
        """All brokers' addresses, as clients want them."""
        return ",".join(f"{HOST}:{port}" for port, _ in self._ports.values())

    def start(self, number: int) -> None:
        """Start a broker, on its data where it has some, and wait until it serves."""
        self._launch(number)
        self.wait(len(self._children))

    def stop(self, number: int) -> None:
        """Stop a broker cleanly: it hands its partitions over first, where somebody can take them."""
        process.stop(self._children.pop(number), bound_s=30)

    def kill(self, number: int) -> None:
        """Kill a broker as `kill -9` does."""
        process.kill(self._children.pop(number))

    def freeze(self, number: int) -> None:
        """Stop a broker's clock: it holds its connections and answers nothing."""
        self._children[number].send_signal(signal.SIGSTOP)

    def thaw(self, number: int) -> None:
        """Let a frozen broker go on."""
        self._children[number].send_signal(signal.SIGCONT)

    def log(self, number: int) -> str:
        """What a broker has said since it first started."""
        return self._log_path(number).read_text(errors="replace")

    def wait(self, brokers: int, bound_s: float = READY_S) -> None:
        """Wait until that many brokers serve.  Raises KafkaFailed when a running one ends, or after the bound."""
        deadline = time.monotonic() + bound_s
        while self._serving() < brokers:
            for number, child in self._children.items():
                if child.poll() is not None:
                    raise KafkaFailed(f"broker {number} ended with {child.returncode}: {self.log(number)[-2000:]}")
            if time.monotonic() > deadline:
                raise KafkaFailed(f"{brokers} brokers do not serve after {bound_s:.0f} s: {self.log(1)[-2000:]}")

    def __enter__(self) -> Self:
        try:
            self._format()
            for number in self._ports:
                self._launch(number)
            self.wait(len(self._ports))
        except BaseException:
            self._kill_all()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kill_all()

    def _kill_all(self) -> None:
        """Without ceremony: the last brokers of a quorum would wait for the ones that went before."""
        for number in list(self._children):
            self.kill(number)

    def _serving(self) -> int:
        """How many brokers the cluster says are in service."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0, "reconnect.backoff.ms": 50})
        try:
            metadata = admin.list_topics(timeout=2)
        except KafkaException:
            return 0
        return len(metadata.brokers) if metadata.controller_id > 0 else 0

    def _launch(self, number: int) -> None:
        with self._log_path(number).open("ab") as log:
            self._children[number] = process.start(self._java("kafka.Kafka", str(self._properties_path(number))), log)

    def _format(self) -> None:
        """Write each broker's empty data folder, all at once: most of it is the start of a Java machine."""
        argv = {
            number: self._java("kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(path))
            for number, path in ((number, self._properties_path(number)) for number in self._ports)
        }
        running = [
            subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            for line in argv.values()
        ]
        for child in running:
            said, _ = child.communicate()
            if child.returncode:
                raise KafkaFailed(f"could not format Kafka's data folder: {said[-2000:]}")

    def _java(self, main: str, *arguments: str) -> list[str]:
        return ["java", *JAVA_OPTIONS, "-cp", f"{self._jars}/*", main, *arguments]

    def _properties_path(self, number: int) -> Path:
        return self._folder / f"broker-{number}.properties"

    def _log_path(self, number: int) -> Path:
        return self._folder / f"broker-{number}.log"

    def _write_properties(self, number: int, more: Mapping[str, str]) -> None:
        port, controller = self._ports[number]
        properties = {
            **small_cluster(len(self._ports)),
            "node.id": str(number),
            "controller.quorum.voters": ",".join(f"{n}@{HOST}:{c}" for n, (_, c) in self._ports.items()),
            "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller}",
            "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
            "log.dirs": str(self._folder / f"broker-{number}"),
            **more,
        }
        text = "".join(f"{name}={value}\n" for name, value in properties.items())
        self._properties_path(number).write_text(text)


def small_cluster(brokers: int) -> dict[str, str]:
    """Settings for a broker of a small cluster that starts, notices and gives up quickly."""
    replicas = str(brokers)
    in_sync = "2" if brokers > 2 else "1"
    return {
        "process.roles": "broker,controller",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "auto.create.topics.enable": "false",
        "default.replication.factor": replicas,
        "min.insync.replicas": in_sync,
        "offsets.topic.num.partitions": "3",
        "offsets.topic.replication.factor": replicas,
        "transaction.state.log.num.partitions": "3",
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": in_sync,
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "500",
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        "controller.quorum.election.timeout.ms": "300",
        "controller.quorum.fetch.timeout.ms": "1000",
        "log.cleaner.dedupe.buffer.size": "8388608",
        "num.io.threads": "4",
    }
