"""Rehearsal of another program file beside the one in force, over the same history; nothing is sent.

Both are replayed as if a worker had lived at every moment (`streams.processing.replay`), and their decisions compared.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from schemas.codec import Codec, Undecodable
from schemas.events import Decision, SurveyDispatch
from schemas.ours import decode_ours
from schemas.topics import DECISIONS
from streams.domain.decisions import PENDING
from streams.domain.effects import Publication
from streams.domain.policy import Program
from streams.kafka.ports import Reader
from streams.processing.replay import TOPICS, ReplayTerms, inputs_of, replay
from streams.state.progress import UNREAD

NEWEST = 100
"""Records at the end of each partition among which the newest decision is looked for: some may be somebody else's."""


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
    readers: Mapping[str, Reader],
    partitions: int,
    codec: Codec,
    programs: tuple[Program, Program],
    from_ms: int,
    now_ms: int,
    each: Callable[[], None] = lambda: None,
) -> Comparison:
    """Replay all of the history through the program in force and another, and compare decisions since `from_ms`.

    `readers` holds one reader for each inbound topic; `each` is called after each partition.  Memory: one partition's
    journeys, and its decisions.
    """
    comparison = Comparison()
    everything = [UNREAD] * len(TOPICS)
    for partition in range(partitions):
        before, after = runs = _ProgramRun(from_ms), _ProgramRun(from_ms)
        for program, run in zip(programs, runs, strict=True):
            terms = ReplayTerms(program, codec, partitions, now_ms, recorded=False)
            events = 0
            for batch in replay(terms, partition, inputs_of(readers, partition, everything)):
                events += batch.events
                for published in batch.publications:
                    run.count(published)
        comparison.events += events
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
    """Decisions and surveys of one partition under one program."""

    def __init__(self, from_ms: int) -> None:
        self.decisions: dict[str, TriggerOutcome] = {}
        self._from_ms = from_ms
        self._dispatches: Counter[str] = Counter()
        self._reminders = 0
        self._asked: set[str] = set()

    def count(self, published: Publication) -> None:
        """Count a publication that was due since `from_ms`."""
        if isinstance(published, Decision) and published.decided_ms >= self._from_ms:
            why = published.reason or published.rule or ""
            self.decisions[published.decision_id] = TriggerOutcome(published.customer_id, published.outcome, why)
        elif isinstance(published, SurveyDispatch) and published.due_ms >= self._from_ms:
            if published.reminder:
                self._reminders += 1
            else:
                self._dispatches[published.rule] += 1
                self._asked.add(published.customer_id)

    def add_to(self, tally: RehearsalCounts) -> None:
        """Add the counts of this partition."""
        outcomes = Counter(decision.outcome for decision in self.decisions.values())
        tally.dispatches += self._dispatches
        tally.reminders += self._reminders
        tally.suppressed += Counter(one.why for one in self.decisions.values() if one.outcome == "suppressed")
        tally.pending += outcomes[PENDING]
        tally.asked += len(self._asked)


def _rows(title: str, before: Counter[str], after: Counter[str]) -> Iterator[tuple[str, int, int]]:
    for name in sorted(before.keys() | after.keys()):
        yield f"{title} {name}", before[name], after[name]
