"""Law of a source that was away: what its backlog says of old times has the outcome that it would have had then."""

import asyncio
import random

import pytest

from schemas.codec import Codec
from schemas.events import Decision, Purchase, SupportCase, SurveyDispatch
from schemas.topics import DECISIONS, DISPATCHES, MAPPED_AT_HEADER, ORIGIN_HEADER, PURCHASES, SUPPORT, key_of
from streams.domain.panes import DAY_MS, HOUR_MS
from streams.kafka.memory import MemoryLog
from streams.kafka.ports import KafkaRecord, Output
from streams.processing.behind import QUIET_MS
from streams.processing.partition import PartitionProcessor
from tests.support.histories import PROGRAM, START_MS
from tests.support.laws import seeds
from tests.support.memory_feed import World

CODEC = Codec()
AWAY_MS = 8 * DAY_MS
CUSTOMERS = 12
Outcomes = tuple[set[tuple[str, str, str | None]], set[tuple[str, int]]]


def orders(r: random.Random) -> list[KafkaRecord]:
    """Deliveries in eight days, of which half are returned: before the survey is due, three days later, or after it."""
    found: list[Purchase] = []
    for number in range(CUSTOMERS):
        at_ms, name = START_MS + r.randrange(AWAY_MS // 2), f"c{number}"
        found.append(Purchase("shop", f"{name}:d", "order.delivered", at_ms, name, name, None, None, {}))
        if r.random() < 0.6:
            back_ms = at_ms + r.randrange(4 * DAY_MS)
            found.append(Purchase("shop", f"{name}:r", "order.returned", back_ms, name, name, None, None, {}))
    found.sort(key=lambda event: event.time)
    return [KafkaRecord(at, event.time, key_of(event), CODEC.encode(event)) for at, event in enumerate(found)]


class Life:
    """A worker and a source on one partition; `is_blind` for events that do not say when they were mapped."""

    def __init__(self, r: random.Random, is_blind: bool = False) -> None:
        self.r, self.is_blind = r, is_blind
        self.log = MemoryLog()
        self.world = World(self.log, CODEC, blank, [0], 300_000)
        self.world.ticks = 0.3

    async def began(self) -> None:
        """Start the worker, which reads back what its topics hold."""
        self.journeys = await self.world.started()

    def map(self, records: list[KafkaRecord]) -> None:
        """Map foreign records now."""
        for record in records:
            headers = ((MAPPED_AT_HEADER, b"%d" % self.world.now_ms), (ORIGIN_HEADER, b"o 0 %d f" % record.offset))
            told = () if self.is_blind else headers
            self.log.send_all([Output(PURCHASES.name, record.value, record.key, 0, record.timestamp, told)])

    def case(self) -> None:
        """Something that another producer writes now: the other topics go on."""
        event = SupportCase("desk", str(self.world.now_ms), "case.x", self.world.now_ms, "other", "k", {})
        self.log.send_all([Output(SUPPORT.name, CODEC.encode(event), b"other", 0, self.world.now_ms)])

    async def step(self, now_ms: int) -> None:
        """Let it be this time: read all there is, and wake who is due."""
        self.world.now_ms = now_ms
        await self.world.drain(self.journeys, self.r)
        self.journeys.tick()
        await self.world.drain(self.journeys, self.r)

    def outcomes(self) -> Outcomes:
        """The last outcome of each trigger, and the surveys that were sent, each with the time it was due."""
        last: dict[str, tuple[str, str, str | None]] = {}
        for record in self.log.partitions.get((DECISIONS.name, 0), []):
            decision = CODEC.decode(Decision, record.value)
            if decision.trigger_source == "shop":
                last[decision.decision_id] = decision.trigger_id, decision.outcome, decision.reason
        sent = [CODEC.decode(SurveyDispatch, one.value) for one in self.log.partitions.get((DISPATCHES.name, 0), [])]
        return set(last.values()), {(one.survey_id, one.due_ms) for one in sent}


def blank(number: int, _: int = 1) -> PartitionProcessor:
    """A blank partition."""
    return PartitionProcessor(number, PROGRAM, CODEC, lambda _: 0)


async def clean(records: list[KafkaRecord], r: random.Random) -> Outcomes:
    """Every record is mapped as it comes."""
    life = Life(r)
    await life.began()
    waiting = list(records)
    for now_ms in range(START_MS, START_MS + AWAY_MS + 4 * DAY_MS, 12 * HOUR_MS):
        while waiting and waiting[0].timestamp <= now_ms:
            await life.step(waiting[0].timestamp)
            life.map([waiting.pop(0)])
        await life.step(now_ms)
    return life.outcomes()


async def away(records: list[KafkaRecord], r: random.Random, *, is_blind: bool = False) -> Outcomes:
    """The source is away for eight days, then maps all in pieces; the worker is started anew at any moment."""
    life = Life(r, is_blind)
    await life.began()
    for now_ms in range(START_MS, START_MS + AWAY_MS, 12 * HOUR_MS):
        life.world.now_ms = now_ms
        life.case()
        await life.step(now_ms)
    waiting, now_ms = list(records), START_MS + AWAY_MS
    while waiting:
        now_ms += r.randrange(1, QUIET_MS // 2)
        life.world.now_ms = now_ms
        piece = r.randrange(1, 5)
        life.map(waiting[:piece])
        del waiting[:piece]
        if r.random() < 0.3:
            life.case()
        if r.random() < 0.2:
            await life.began()
        await life.step(now_ms)
    for later_ms in range(now_ms + 10 * QUIET_MS, now_ms + 4 * DAY_MS, 12 * HOUR_MS):
        await life.step(later_ms)
    return life.outcomes()


@pytest.mark.parametrize("part", range(2))
def test_a_source_that_was_away_changes_no_outcome(part: int) -> None:
    """Surveys that are due meanwhile wait for what the backlog says of them, and all others go at their due time."""
    kinds = set()
    for seed in seeds(20, part, 2):
        r = random.Random(seed)
        records = orders(r)
        wanted = asyncio.run(clean(records, r))
        assert asyncio.run(away(records, r)) == wanted, f"seed {seed}"
        kinds |= {(outcome, reason) for _, outcome, reason in wanted[0]}
    assert {("sent", None), ("suppressed", "cancelled")} <= kinds


def test_without_the_time_of_mapping_customers_are_asked_too_soon() -> None:
    """The law is not true of itself: a worker that does not know of the backlog asks about what was returned."""
    differing = 0
    for seed in range(10):
        r = random.Random(seed)
        records = orders(r)
        differing += asyncio.run(clean(records, r)) != asyncio.run(away(records, r, is_blind=True))
    assert differing > 5
