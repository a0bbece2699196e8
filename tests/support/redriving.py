"""Dead letters of a worker over topics in memory, put back by the code of `nps deadletters redrive`."""

import asyncio
from collections.abc import Callable, Mapping

from schemas.codec import Codec
from schemas.topics import DEAD_LETTERS, LETTER_ACTIONS
from sinks.rows import digest
from streams.commands.fates import Fates, actions
from streams.commands.letters import Letter, Selection, selected
from streams.commands.redrive import MOST_AT_ONCE, ActedOn, Actor, Judge, Verdict
from streams.domain.policy import Program
from streams.kafka.memory import MemoryLog
from streams.kafka.ports import KafkaRecord

NOBODY: Mapping[str, int] = {}
"""Nobody was erased."""


def judge_of(program: Program, codec: Codec, now_ms: int, erased: Mapping[str, int] = NOBODY) -> Judge:
    """A judge by this program; `erased` are instants by customer id."""
    return Judge(program, codec, {digest(name): until_ms for name, until_ms in erased.items()}, digest, now_ms)


def redriven(
    log: MemoryLog,
    codec: Codec,
    judge: Callable[[Letter], Verdict],
    limit: int = MOST_AT_ONCE,
    dry_run: bool = False,
    kind: type[Actor] = Actor,
) -> ActedOn:
    """Act once on all letters that lie in the log.  Raises ConnectionError where the log crashes."""
    actor = kind(None if dry_run else log, codec, lambda: 1, limit)
    actor.pause_s = 0
    return asyncio.run(actor.act(selected(log, codec, Selection()), Fates.read(log, codec), judge))


def waiting(log: MemoryLog, codec: Codec) -> list[Letter]:
    """The letters of which no fate is known."""
    fates = Fates.read(log, codec)
    return [one for one in selected(log, codec, Selection()) if fates.of(one.identity) == "waiting"]


def letters(log: MemoryLog) -> list[KafkaRecord]:
    """All dead letters as they lie."""
    return log.partitions.get((DEAD_LETTERS, 0), [])


def fates(log: MemoryLog, codec: Codec) -> list[tuple[str, int, str]]:
    """Letter, death and what was done, in order."""
    assert all(topic != LETTER_ACTIONS.name or number == 0 for topic, number in log.partitions)
    return [(one.letter_id, one.death, one.action) for one in actions(log, codec)]
