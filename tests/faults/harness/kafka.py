"""A real Apache Kafka for tests: one broker or three, in KRaft mode, that can be killed and restarted on its data.

    with KafkaCluster(folder, brokers=3) as kafka:
        kafka.bootstrap         "127.0.0.1:21001,127.0.0.1:21002,127.0.0.1:21003"
        kafka.kill(1)           kill -9
        kafka.start(1)          on the same data, waiting until it serves again

The first cluster ever made on a machine also fetches the jars and archives the classes; that takes about 20 seconds.
"""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from streams.local import process
from streams.local.servers import HOST, free_port
from tests.faults.harness.kafka_jars import KafkaFailed, jars

CLUSTER_ID = "bnBzLXBpcGVsaW5lLXRlcw"
READY_S = 300.0
JAVA_OPTIONS = (
    "-Xms64m",
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xshare:auto",
    "-Dorg.apache.logging.log4j.level=WARN",
)
"""A small heap, and a start that is twice as fast for not compiling everything twice."""


class KafkaCluster:
    """Brokers 1 to n, each a controller too; data, settings and logs lie in `folder`.

    `listeners` are more ports of a broker, by their names in its settings, each with its security protocol.
    """

    def __init__(
        self,
        folder: Path,
        brokers: int = 1,
        properties: Mapping[str, str] | None = None,
        java_options: Sequence[str] | None = None,
        listeners: Mapping[str, str] | None = None,
    ) -> None:
        self._folder = folder
        self._jars = jars()
        self._options = (f"-XX:SharedArchiveFile={classes()}",) if java_options is None else java_options
        self._ports = {number: (free_port(), free_port()) for number in range(1, brokers + 1)}
        self._listeners = {name: (protocol, free_port()) for name, protocol in (listeners or {}).items()}
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        for number in self._ports:
            self._write_properties(number, properties or {})

    @property
    def bootstrap(self) -> str:
        """All brokers' addresses, as clients want them."""
        return ",".join(f"{HOST}:{port}" for port, _ in self._ports.values())

    def address(self, listener: str) -> str:
        """Address of a listener that was asked for beside the plain one; of a cluster of one broker."""
        return f"{HOST}:{self._listeners[listener][1]}"

    def start(self, number: int) -> None:
        """Start a broker, on its data where it has some, and wait until it serves."""
        self._launch(number)
        self.wait()

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

    def wait(self, bound_s: float = READY_S) -> None:
        """Wait until all running brokers serve and every replica they hold is in sync.

        Raises KafkaFailed when a running one ends, or after the bound in seconds.
        """
        deadline = time.monotonic() + bound_s
        for number, child in self._children.items():
            while not self._serves(number):
                if child.poll() is not None:
                    raise KafkaFailed(f"broker {number} ended with {child.returncode}: {self.log(number)[-2000:]}")
                if time.monotonic() > deadline:
                    raise KafkaFailed(f"broker {number} does not serve after {bound_s:g} s: {self.log(number)[-2000:]}")
                time.sleep(0.02)

    def __enter__(self) -> Self:
        try:
            self._format()
            for number in self._ports:
                self._launch(number)
            self.wait()
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

    def _serves(self, number: int) -> bool:
        """True when this broker itself knows all running ones, and they have all their replicas in sync."""
        address = f"{HOST}:{self._ports[number][0]}"
        try:
            metadata = AdminClient({"bootstrap.servers": address, "log_level": 0}).list_topics(timeout=2)
        except KafkaException:
            return False
        running = self._children.keys()
        partitions = [partition for topic in metadata.topics.values() for partition in topic.partitions.values()]
        return running <= metadata.brokers.keys() and all(
            running & set(partition.replicas) <= set(partition.isrs) for partition in partitions
        )

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
        return ["java", *JAVA_OPTIONS, *self._options, "-cp", f"{self._jars}/*", main, *arguments]

    def _properties_path(self, number: int) -> Path:
        return self._folder / f"broker-{number}.properties"

    def _log_path(self, number: int) -> Path:
        return self._folder / f"broker-{number}.log"

    def _write_properties(self, number: int, more: Mapping[str, str]) -> None:
        port, controller = self._ports[number]
        others = "".join(f",{name}://{self.address(name)}" for name in self._listeners)
        protocols = "".join(f",{name}:{protocol}" for name, (protocol, _) in self._listeners.items())
        properties = {
            **small_cluster(len(self._ports)),
            "node.id": str(number),
            "controller.quorum.voters": ",".join(f"{n}@{HOST}:{c}" for n, (_, c) in self._ports.items()),
            "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller}{others}",
            "advertised.listeners": f"PLAINTEXT://{HOST}:{port}{others}",
            "listener.security.protocol.map": f"PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT{protocols}",
            "log.dirs": str(self._folder / f"broker-{number}"),
            **more,
        }
        text = "".join(f"{name}={value}\n" for name, value in properties.items())
        self._properties_path(number).write_text(text)


def classes() -> Path:
    """The archive of a broker's classes, made once by running one: it halves the start of all later ones."""
    archive = jars() / "classes.jsa"
    if not archive.exists():
        with tempfile.TemporaryDirectory(dir=archive.parent) as folder:
            aside = Path(folder) / archive.name
            with KafkaCluster(Path(folder), java_options=[f"-XX:ArchiveClassesAtExit={aside}"]) as cluster:
                cluster.stop(1)
            os.replace(aside, archive)
    return archive


def small_cluster(brokers: int) -> dict[str, str]:
    """Settings for a broker of a small cluster that starts, notices and gives up quickly."""
    replicas = str(brokers)
    in_sync = "2" if brokers > 2 else "1"
    return {
        "process.roles": "broker,controller",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
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
        "broker.session.timeout.ms": "2000",
        "broker.heartbeat.interval.ms": "400",
        "controller.quorum.election.timeout.ms": "300",
        "controller.quorum.fetch.timeout.ms": "1000",
        "log.cleaner.dedupe.buffer.size": "8388608",
        "num.io.threads": "4",
    }
