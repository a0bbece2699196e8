"""The pure step over records in order of time: no worker, no batches, no crash; what a customer's side must come to.

The topics of a partition are merged by time, as a worker merges them; wakeups are written when their time is passed, or
not, as if no worker had lived then.  A history lies there whole, as after an outage, or comes bit by bit.
"""

import random
import zlib
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple, TypeAlias

from schemas.events import Alert, Answer, Decision, Erasure, Inbound, PaneTally, SurveyDispatch, Wakeup
from schemas.topics import (
    ALERTS,
    ANSWERS,
    BY_NAME,
    DECISIONS,
    DISPATCHES,
    ERASURES,
    HISTORY_HEADER,
    INBOUND_RECORDS,
    PANES,
    RESPONSES,
    WAKEUPS,
)
from streams.domain.effects import Confirm, Count, Effect, Reject, Requeue, Scheduled
from streams.domain.journey import next_timer_ms, step
from streams.domain.panes import Pane, panes
from streams.domain.state import NEW, Journey
from streams.intake import accept
from streams.kafka.ports import KafkaRecord, Output, TopicPartition
from streams.processing.raw_record import dead_letter, pack, raw_fields, requeued, unpack
from streams.processing.rolling import RollingRows
from streams.program import load
from tests.faults.harness.reading import Row, World
from tests.faults.harness.sampling import Sample
from tests.faults.oracle.inputs import CODEC
from tests.faults.traffic.mix import Sent

PARTITIONS = 2
RANKS = ("nps.contacts", "nps.purchases", "nps.support", "nps.responses", "nps.wakeups")
Published: TypeAlias = Decision | SurveyDispatch | Answer | Alert | Erasure
PUBLISHED: dict[type[Published], str] = {
    Decision: DECISIONS.name, SurveyDispatch: DISPATCHES.name, Answer: ANSWERS.name, Alert: ALERTS.name,
    Erasure: ERASURES.name,
}  # fmt: skip
SAMPLED_RATIO = 0.02
BANDS = ("promoter", "passive", "detractor")


class Cause(NamedTuple):
    """A record in hand, with its topic and as a journey keeps it."""

    topic: str
    row: Row
    raw: bytes


class PurePipeline:
    """A history in topics in memory; `awake_ratio` is how many due times find a worker that lives."""

    def __init__(
        self, r: random.Random, program: Path, sent: Iterable[Sent], now_ms: int, *, live: bool, awake_ratio: float
    ) -> None:
        self.now_ms = now_ms
        self._r, self._awake_ratio = r, awake_ratio
        self._program, self._codec = load(program), CODEC
        self._rows: dict[str, list[Row]] = {topic: [] for topic in BY_NAME}
        self.samples: list[Sample] = []
        self._ends: Counter[TopicPartition] = Counter()
        self._committed: Counter[TopicPartition] = Counter()
        self._left: dict[TopicPartition, deque[Row]] = {
            (topic, number): deque() for number in range(PARTITIONS) for topic in RANKS
        }
        self._times: dict[TopicPartition, int] = dict.fromkeys(self._left, 0)
        self._journeys: dict[bytes, Journey] = {}
        self._timers: dict[bytes, int] = {}
        self._asleep: dict[bytes, int] = {}
        self._read_to_ms = dict.fromkeys(range(PARTITIONS), 0)
        self._tallies: dict[tuple[Pane, int], list[int]] = {}
        self._unwritten = [list(sent)] if not live else _bit_by_bit(sent)

    def run(self) -> World:
        """Until all is read and nobody is due; what lies there then."""
        for written in self._unwritten:
            for one in written:
                self._append(one.topic, Output(one.topic, one.value, one.key, -1, one.timestamp_ms, one.headers))
            self._read()
        while due := [key for key, due_ms in (self._timers | self._asleep).items() if due_ms <= self.now_ms]:
            for key in due:
                self._timers.pop(key, None)
                self._wake(key, self.now_ms)
            self._read()
        self._sample()
        self._roll()
        return World(self._rows, None, (), self.now_ms)

    def _roll(self) -> None:
        rolling = RollingRows(self._program, self._codec, lambda: self.now_ms, lambda offset: offset)
        for row in self._rows[PANES.name]:
            rolling.take(row.partition, row.offset, self._codec.decode(PaneTally, row.value))
        for out in rolling.changes():
            self._append(out.topic, out)

    def _append(self, topic: str, out: Output) -> None:
        number = zlib.crc32(out.key or b"") % PARTITIONS
        self._ends[topic, number] += 1
        row = Row(number, self._ends[topic, number] - 1, out.timestamp_ms, out.key, out.value, tuple(out.headers))
        self._rows[topic].append(row)
        if (topic, number) in self._left:
            self._left[topic, number].append(row)

    def _read(self) -> None:
        for number in range(PARTITIONS):
            while heads := [part for part, rows in self._left.items() if part[1] == number and rows]:
                part = min(heads, key=self._rank)
                at_ms = self._rank(part)[0]
                if not self._wake_before(at_ms, number):
                    self._read_to_ms[number] = max(self._read_to_ms[number], at_ms)
                    self._take(part, self._left[part].popleft())
                    self._commit(part)

    def _commit(self, part: TopicPartition) -> None:
        """Commit each record when all that comes of it is written; now and then somebody looks."""
        self._committed[part] += 1
        if self._r.random() < SAMPLED_RATIO:
            self._sample()

    def _sample(self) -> None:
        parts = [(topic, number) for topic in BY_NAME for number in range(PARTITIONS)]
        self.samples.append(Sample(self.now_ms, dict(self._committed), {one: self._ends[one] for one in parts}, {}))

    def _rank(self, part: TopicPartition) -> tuple[int, int]:
        """The time of the topic's head, and which topic comes first at one time."""
        at_ms = self._left[part][0].timestamp_ms
        if at_ms <= self.now_ms + self._program.limits.early_ms:
            self._times[part] = max(self._times[part], at_ms)
        return self._times[part], RANKS.index(part[0])

    def _wake_before(self, at_ms: int, number: int) -> bool:
        """Write the wakeups whose time is passed now; customers of whom nobody takes care wait for the end."""
        due = [(due_ms, key) for key, due_ms in self._timers.items()
               if due_ms < at_ms and zlib.crc32(key) % PARTITIONS == number]  # fmt: skip
        awake = [one for one in sorted(due) if self._r.random() < self._awake_ratio]
        for due_ms, key in due:
            self._asleep[key] = due_ms
            del self._timers[key]
        for due_ms, key in awake:
            self._wake(key, max(due_ms, self._read_to_ms[number]))
        return bool(awake)

    def _wake(self, key: bytes, at_ms: int) -> None:
        """A wakeup is never older than what was read before it."""
        self._asleep.pop(key, None)
        wakeup = self._codec.encode(Wakeup(key.decode(), at_ms))
        self._append(WAKEUPS.name, Output(WAKEUPS.name, wakeup, key, -1, at_ms, ()))

    def _take(self, part: TopicPartition, row: Row) -> None:
        record = KafkaRecord(row.offset, row.timestamp_ms, row.key, row.value, row.headers)
        latest_ms = self.now_ms + self._program.limits.early_ms
        event = accept(self._codec, INBOUND_RECORDS[part[0]], record, latest_ms, self._program.is_placeholder)
        cause = Cause(part[0], row, pack(raw_fields(*part, record)))
        if isinstance(event, Reject):
            self._put(event, cause)
        else:
            self._step(event, cause)

    def _step(self, event: Inbound, cause: Cause) -> None:
        row, key = cause.row, cause.row.key or b""
        is_history = any(name == HISTORY_HEADER for name, _ in row.headers)
        now_ms = min(row.timestamp_ms, self.now_ms)
        journey, effects = step(self._journeys.get(key, NEW), event, self._program, now_ms, cause.raw, is_history)
        self._journeys[key] = journey
        due_ms = next_timer_ms(journey, self._program)
        if due_ms is None:
            self._timers.pop(key, None)
        elif self._asleep.get(key) != due_ms:
            self._timers[key] = due_ms
        for effect in effects:
            self._put(effect, cause)
        self._count([effect for effect in effects if isinstance(effect, Count)], row)

    def _put(self, effect: Effect, cause: Cause) -> None:
        if isinstance(effect, Scheduled):
            self._publish(effect.decision, 0, cause)
        elif isinstance(effect, Reject):
            self._append("nps.dead-letters", dead_letter(unpack(effect.raw or cause.raw), effect))
        elif isinstance(effect, Requeue):
            self._append(RESPONSES.name, requeued(unpack(effect.raw)))
        elif isinstance(effect, Confirm):
            answer = self._codec.encode(effect.response)
            self._append(RESPONSES.name, Output(RESPONSES.name, answer, cause.row.key, -1, effect.at_ms, ()))
        elif isinstance(effect, Decision | SurveyDispatch | Answer | Alert | Erasure):
            self._publish(effect, cause.row.offset, cause)

    def _publish(self, value: Published, version: int, cause: Cause) -> None:
        topic, headers = PUBLISHED[type(value)], (("nps-cause", cause.topic.encode()),)
        encoded = self._codec.encode(value, version)
        self._append(topic, Output(topic, encoded, cause.row.key, -1, self.now_ms, headers))

    def _count(self, counts: Sequence[Count], row: Row) -> None:
        changed = set()
        for count in counts:
            for pane in panes(count.segments, count.at_ms):
                changed.add(pane)
                tally = self._tallies.setdefault((pane, row.partition), [0, 0, 0])
                tally[BANDS.index(count.band)] += count.sign
        for pane in sorted(changed):
            promoters, passives, detractors = self._tallies[pane, row.partition]
            value = PaneTally(
                pane.segment, pane.resolution, pane.start_ms, row.partition, promoters, passives, detractors,
                self._program.hash, row.offset,
            )  # fmt: skip
            self._append(PANES.name, Output(PANES.name, self._codec.encode(value), pane.segment.encode(), -1, 0, ()))


def _bit_by_bit(sent: Iterable[Sent]) -> Sequence[list[Sent]]:
    """The records in order of time, those of one instant together."""
    in_order = sorted(sent, key=lambda one: one.timestamp_ms)
    return [list(group) for _, group in groupby(in_order, key=lambda one: one.timestamp_ms)]
