"""What can only be seen while a scenario runs: what was committed when, how far behind, how much memory.

    with Sampler(bootstrap, partitions, pids=lambda: {"worker-1": 4711}) as sampler:
        ...                                         the scenario
    judge(world, terms, samples=sampler.samples)

A sample first asks what is committed and then how far the outputs reach.  So whatever came of a committed record must
lie below those ends: nothing that is committed may still be on its way.
"""

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from confluent_kafka import Consumer, KafkaException, TopicPartition

from tests.faults.oracle.effects import Part
from tests.faults.oracle.inputs import RECORDS
from tests.faults.oracle.outputs import ALERTS, ANSWERS, DEAD, DECISIONS, DISPATCHES, PANES

OUTPUTS = (ANSWERS, ALERTS, DECISIONS, DISPATCHES, PANES)
EVERY_S = 0.25
ASK_S = 2.0
MIB = 1 << 20


class Sample(NamedTuple):
    """What is committed, and after that the ends of inbound and output partitions; memory in bytes by process."""

    at_ms: int
    committed: Mapping[Part, int]
    ends: Mapping[Part, int]
    memory_bytes: Mapping[str, int]

    @property
    def lag(self) -> int:
        """Records of the inbound topics that are not committed."""
        return sum(self.ends[part] - offset for part, offset in self.committed.items())


class Sampler:
    """A thread that samples until it is left; while Kafka does not answer there are no samples.

    `pids` names the processes whose memory is looked at; it is asked each time, since they come and go.
    """

    def __init__(
        self,
        bootstrap: str,
        partitions: int,
        group: str = "nps-worker",
        pids: Callable[[], Mapping[str, int]] = dict,
        every_s: float = EVERY_S,
    ) -> None:
        self.samples: list[Sample] = []
        self._inbound = [(topic, number) for topic in RECORDS for number in range(partitions)]
        self._outputs = [(topic, number) for topic in OUTPUTS for number in range(partitions)] + [(DEAD, 0)]
        self._consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "log_level": 0})
        self._pids, self._every_s = pids, every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler")

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            try:
                self.samples.append(self._sample())
            except KafkaException:
                continue

    def _sample(self) -> Sample:
        asked = self._consumer.committed([TopicPartition(*part) for part in self._inbound], timeout=ASK_S)
        committed = {(one.topic, one.partition): max(one.offset, 0) for one in asked}
        ends = {part: self._end(part) for part in (*self._inbound, *self._outputs)}
        memory = {name: size for name, pid in self._pids().items() if (size := resident_bytes(pid))}
        return Sample(time.time_ns() // 1_000_000, committed, ends, memory)

    def _end(self, part: Part) -> int:
        _, end = self._consumer.get_watermark_offsets(TopicPartition(*part), timeout=ASK_S)
        return int(end)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._consumer.close()


def resident_bytes(pid: int) -> int:
    """The memory of a process that is really there; 0 once it has ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * 4_096
