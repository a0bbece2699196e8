"""Rehearsal of another program file beside the one in force, over the same history, by the pure step; nothing is sent.

A partition's topics are merged as a worker does.  Wakeups are left out: each customer is woken at every event, and in
the end all are brought to the present.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from schemas.codec import Codec, Undecodable
from schemas.events import Decision, Inbound, SurveyDispatch, Wakeup
from schemas.ours import decode_ours
from schemas.topics import DECISIONS, INBOUND, INBOUND_RECORDS, WAKEUPS
from streams.domain.effects import Effect, Reject
from streams.domain.journey import advance, step
from streams.domain.policy import Program
from streams.domain.state import NEW, Journey
from streams.intake import accept
from streams.kafka.ports import Reader
from streams.processing.merge import Merge
from streams.state.progress import Progress

NEWEST = 100
"""Records at the end of each partition among which the newest decision is looked for: some may be somebody else's."""

TOPICS = tuple(topic.name for topic in INBOUND if topic is not WAKEUPS)


class TriggerOutcome(NamedTuple):
    """Outcome of a trigger: `why` is the reason of a suppression, else the rule that asked."""

    customer_id: str
    outcome: str
    why: str


@dataclass(slots=True)
class RehearsalCounts:
    """Counts of one program's surveys and triggers since the rehearsal's `from_ms`."""

    dispatches: Counter[str] = field(default_factory=Counter)
    """Surveys sent, by rule."""
    reminders: int = 0
    suppressed: Counter[str] = field(default_factory=Counter)
    """Triggers that led to no survey, by reason."""
    pending: int = 0
    """Triggers still to be decided."""
    asked: int = 0
    """Customers who were sent at least one survey."""


@dataclass(slots=True)
class Comparison:
    """Comparison of two programs over the same history.

    `changed` counts the decisions that differ, `affected` their customers, `events` the events replayed.
    """

    before: RehearsalCounts = field(default_factory=RehearsalCounts)
    after: RehearsalCounts = field(default_factory=RehearsalCounts)
    changed: int = 0
    affected: int = 0
    events: int = 0

    def rows(self) -> Iterator[tuple[str, int, int]]:
        """Yield name, before and after: dispatches by rule, suppressions by reason, and the totals."""
        yield from _rows("sent by", self.before.dispatches, self.after.dispatches)
        yield "sent in all", self.before.dispatches.total(), self.after.dispatches.total()
        yield "reminders", self.before.reminders, self.after.reminders
        yield from _rows("suppressed:", self.before.suppressed, self.after.suppressed)
        yield "suppressed in all", self.before.suppressed.total(), self.after.suppressed.total()
        yield "still pending", self.before.pending, self.after.pending
        yield "customers asked", self.before.asked, self.after.asked


def rehearse(
    reader: Reader,
    partitions: int,
    codec: Codec,
    programs: tuple[Program, Program],
    from_ms: int,
    now_ms: int,
    each: Callable[[], None] = lambda: None,
) -> Comparison:
    """Replay all of the history through the program in force and another, and compare decisions since `from_ms`.

    `each` is called after each partition.  Memory: one partition's history and its journeys.
    """
    comparison = Comparison()
    for partition in range(partitions):
        events = list(_history(reader, partition, codec, now_ms))
        before, after = (_ProgramRun(program, from_ms) for program in programs)
        for run in (before, after):
            run.replay(events, now_ms)
        comparison.events += len(events)
        differing = before.decisions.items() ^ after.decisions.items()
        comparison.changed += len({decision_id for decision_id, _ in differing})
        comparison.affected += len({outcome.customer_id for _, outcome in differing})
        before.add_to(comparison.before)
        after.add_to(comparison.after)
        each()
    return comparison


def newest_program(reader: Reader, partitions: int, codec: Codec) -> str | None:
    """Find the hash of the program that made the newest decisions; None where there are none."""
    newest, newest_ms = None, -1
    for (_, _), record in reader.tail([(DECISIONS.name, number) for number in range(partitions)], NEWEST):
        with suppress(Undecodable):  # somebody else's
            decision = decode_ours(codec, Decision, record.key, record.value)
            if record.timestamp >= newest_ms:
                newest, newest_ms = decision.program, record.timestamp
    return newest


class _ProgramRun:
    """Replay of one partition through one program."""

    def __init__(self, program: Program, from_ms: int) -> None:
        self.decisions: dict[str, TriggerOutcome] = {}
        self._program = program
        self._from_ms = from_ms
        self._journeys: dict[str, Journey] = {}
        self._dispatches: Counter[str] = Counter()
        self._reminders = 0
        self._asked: set[str] = set()

    def replay(self, events: Iterable[tuple[int, Inbound]], now_ms: int) -> None:
        for at_ms, event in events:
            if not self._program.is_placeholder(event.customer_id):
                self._step(event, at_ms)
        for customer_id in list(self._journeys):
            self._step(Wakeup(customer_id, now_ms), now_ms)

    def add_to(self, tally: RehearsalCounts) -> None:
        tally.dispatches += self._dispatches
        tally.reminders += self._reminders
        tally.suppressed += Counter(decision.why for decision in self.decisions.values() if decision.outcome != "sent")
        tally.pending += sum(len(journey.pending) for journey in self._journeys.values())
        tally.asked += len(self._asked)

    def _step(self, event: Inbound, at_ms: int) -> None:
        """Wake the customer, as a worker would have, then take the event."""
        journey = self._journeys.get(event.customer_id, NEW)
        journey, due = advance(journey, event.customer_id, self._program, at_ms)
        self._journeys[event.customer_id], effects = step(journey, event, self._program, at_ms, history=True)
        self._count([*due, *effects])

    def _count(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Decision) and effect.decided_ms >= self._from_ms:
                why = effect.reason or effect.rule or ""
                self.decisions[effect.decision_id] = TriggerOutcome(effect.customer_id, effect.outcome, why)
            elif isinstance(effect, SurveyDispatch) and effect.due_ms >= self._from_ms:
                if effect.reminder:
                    self._reminders += 1
                else:
                    self._dispatches[effect.rule] += 1
                    self._asked.add(effect.customer_id)


def _history(reader: Reader, partition: int, codec: Codec, now_ms: int) -> Iterator[tuple[int, Inbound]]:
    """Read the valid events of a partition with their Kafka timestamps, in the order in which a worker takes them."""
    merge = Merge(Progress(), lambda topic: sys.maxsize, early_ms=0)
    for (topic, _), record in reader.read([(topic, partition) for topic in TOPICS]):
        merge.put(topic, [record], 0)
    while (batch := merge.take(now_ms)) is not None:
        for topic, taken in batch.records:
            event = accept(codec, INBOUND_RECORDS[topic], taken, now_ms, lambda _: False)
            if not isinstance(event, Reject):
                yield taken.timestamp, event


def _rows(title: str, before: Counter[str], after: Counter[str]) -> Iterator[tuple[str, int, int]]:
    for name in sorted(before.keys() | after.keys()):
        yield f"{title} {name}", before[name], after[name]
