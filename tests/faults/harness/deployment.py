"""A whole pipeline for fault tests: real processes on a real Kafka and a ClickHouse, each with its own way to fail.

    with Deployment(folder, program) as nps:
        nps.run("worker-1"), nps.run("worker-2"), nps.run("sink"), nps.run("notify")
        nps.members["worker-1"].kill()          or stop, freeze, thaw
        nps.until(condition, "it got so far")   meanwhile whoever ended unasked is started again
        nps.quiet()                             nothing is left to read, and ClickHouse has it all
        nps.at_rest(lambda: look(...))          what is seen while not even a minute turns

Kafka, topics and tables are fresh.  All logs lie in `folder`; a failure shows the end of each.
"""

import signal
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from sinks.clickhouse.client import connect
from sinks.warehouse import Row
from streams.local.servers import HOST, local_clickhouse
from tests.faults.harness.kafka import KafkaCluster
from tests.faults.harness.lag import Lag
from tests.faults.harness.pipeline import Pipeline
from tests.support.commands import Service, done

T = TypeVar("T")
PARTITIONS = 4
SESSION_MS = 6_000
QUIET_S = 600.0
STILL_S = 6.0
"""Nothing may move for so long before it is quiet: wakeups come two seconds after state is restored."""

LAST_LINES = 15
ROLES = {"worker": "worker", "sink": "sink", "notify": "notifier"}


class Member:
    """One process of the pipeline under a name that outlives its restarts; the name's first word is its command.

    `exits` are the codes with which it ended without being asked, negative ones being signals of our own.
    """

    def __init__(self, name: str, environ: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.exits: list[int] = []
        self.wanted = False
        self._environ = environ
        self._log = log
        self._service: Service | None = None

    def start(self, **environ: str) -> None:
        """Start it; `environ` is for this one run.  A restart by the pipeline goes without."""
        self._service = Service(self.name.partition("-")[0], {**self._environ, **environ}, self._log)
        self.wanted = True

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end, and wait; the exit code."""
        self.wanted = False
        return self._running.stop(number)

    def kill(self, *, again: bool = True) -> None:
        """As `kill -9` does; `again` lets the pipeline start it once more."""
        self.wanted = again
        self._running.kill()

    def freeze(self) -> None:
        """Stop its clock."""
        self._running.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on, late."""
        self._running.process.send_signal(signal.SIGCONT)

    def ended(self) -> int:
        """The exit code, once it has ended by itself; it is not started again."""
        self.wanted = False
        return self._running.ended()

    def is_running(self) -> bool:
        """True until it has ended."""
        return self._service is not None and self._service.is_running()

    @property
    def pid(self) -> int:
        """The id of the process that runs now."""
        return self._running.process.pid

    def said(self) -> str:
        """Everything that it said in all its runs."""
        return self._log.read_text(errors="replace")

    def tend(self) -> None:
        """Start it again if it ended unasked."""
        if self.wanted and not self.is_running():
            self.exits.append(self._running.process.returncode)
            self.start()

    def close(self) -> None:
        """Kill what is left of it."""
        self.wanted = False
        if self._service is not None:
            self._service.kill()

    @property
    def _running(self) -> Service:
        if self._service is None:
            raise RuntimeError(f"{self.name} was never started")
        return self._service


class Deployment:
    """Kafka, ClickHouse and the members that were started with `run`.

    `settings` go to every member, over those made here; `kafka` lends a cluster that somebody else stops.
    """

    def __init__(
        self,
        folder: Path,
        program: Path,
        *,
        brokers: int = 1,
        partitions: int = PARTITIONS,
        settings: Mapping[str, str] | None = None,
        kafka: KafkaCluster | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.program, self.partitions = folder, program, partitions
        self.kafka = kafka or KafkaCluster(folder, brokers)
        self.members: dict[str, Member] = {}
        self.environ: dict[str, str] = {}
        self.clickhouse_url = ""
        self._owned = kafka is None
        self._made = {"NPS_REPLICATION": str(brokers), **(settings or {})}
        self._stack = ExitStack()

    def run(self, name: str, **environ: str) -> Member:
        """Start a member, `environ` being its own for good; worker-1 and worker-2 are two of one kind."""
        settings = {**self.environ, "NPS_INSTANCE": name, **environ}
        member = self.members[name] = Member(name, settings, self.folder / f"{name}.log")
        member.start()
        return member

    def tend(self) -> None:
        """Start every member again that ended unasked, as a supervisor would."""
        for member in self.members.values():
            member.tend()

    def until(self, condition: Callable[[], bool], what: str, within_s: float = QUIET_S) -> None:
        """Wait for something to become true, tending the members; the failure shows what each said last."""
        deadline = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < deadline, f"not within {within_s:g} s: {what}\n{self.last_words()}"
            self.tend()
            time.sleep(0.05)

    def quiet(self, within_s: float = QUIET_S) -> float:
        """Wait until all is read, durable and in ClickHouse, and nothing moves any more; the seconds it took."""
        began = still_since = time.monotonic()
        ends: Mapping[tuple[str, int], int] = {}

        def still() -> bool:
            nonlocal ends, still_since
            now_ends = self.lag.inbound_ends()
            if now_ends != ends or self.behind() or not self.lag.settled(self._running_roles()):
                ends, still_since = now_ends, time.monotonic()
            return time.monotonic() - still_since > STILL_S

        self.until(still, "the pipeline is quiet", within_s)
        return still_since - began

    def at_rest(self, look: Callable[[], T]) -> T:
        """What `look` sees while nothing is written and ClickHouse has everything.

        Rolling rows come with every minute of the clock, however quiet it is; then it looks again.
        """
        deadline = time.monotonic() + QUIET_S
        while time.monotonic() < deadline:
            ends = self.lag.all_ends()
            if not self.behind():
                seen = look()
                if self.lag.all_ends() == ends:
                    return seen
            self.quiet()
        raise AssertionError(f"something was written whenever one looked, for {QUIET_S:g} s\n{self.last_words()}")

    def _running_roles(self) -> set[str]:
        """The roles of which somebody ought to be at work: while it starts again, nothing moves and much is left."""
        return {ROLES[name.partition("-")[0]] for name, member in self.members.items() if member.wanted}

    def behind(self) -> dict[str, int]:
        """Records that are not committed yet, by role of the members that were started."""
        return self.lag.behind({ROLES[name.partition("-")[0]] for name in self.members})

    def query(self, sql: str) -> list[Row]:
        """Ask ClickHouse itself."""
        with closing(connect(self.clickhouse_url)) as warehouse:
            return warehouse.query(sql)

    def last_words(self) -> str:
        """The last lines of each member, and how far behind they are."""
        tails = {name: member.said().splitlines()[-LAST_LINES:] for name, member in self.members.items()}
        lines = [f"--- {name} {self.members[name].exits}\n" + "\n".join(tail) for name, tail in tails.items()]
        return "\n".join([*lines, f"behind: {self.behind()}"])

    def __enter__(self) -> Self:
        try:
            if self._owned:
                self._stack.enter_context(self.kafka)
            clickhouse = self._stack.enter_context(local_clickhouse(self.folder / "clickhouse"))
            self.clickhouse_url = f"{clickhouse.address}/nps"
            self.environ = self._settings()
            for command in ("topics", "migrate"):
                done(command, environ=self.environ)
            self.topics = self._stack.enter_context(closing(Pipeline(self.kafka.bootstrap, self.partitions)))
            self.lag = self._stack.enter_context(closing(Lag(self.kafka.bootstrap, self.partitions)))
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            print(f"logs lie in {self.folder}\n{self.last_words()}")
        for member in self.members.values():
            member.close()
        self._stack.close()

    def _settings(self) -> dict[str, str]:
        return {
            "NPS_BROKERS": self.kafka.bootstrap,
            "NPS_CLICKHOUSE_URL": self.clickhouse_url,
            "NPS_PARTITIONS": str(self.partitions),
            "NPS_PROGRAM": str(self.program),
            "NPS_SESSION_TIMEOUT_MS": str(SESSION_MS),
            "NPS_METRICS_HOST": HOST,
            **self._made,
        }
