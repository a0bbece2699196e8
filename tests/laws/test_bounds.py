"""Laws of bounds: whatever a customer does a journey stays small, and a step costs the same for ever.

The hostile customer sends ids of 256 bytes, attributes of 64 characters of four bytes each, comments of 60 kB, clicks,
traps, HEADs, beacons, consents and cancels without end, and answers to surveys that nobody sent.
"""

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from random import Random
from types import FrameType

import pytest

from schemas.codec import Codec
from schemas.events import ContactUpdate, Decision, Inbound, Purchase, SurveyDispatch, SurveyResponse
from schemas.reasons import Reason
from streams.domain.bounds import LARGEST_JOURNEY_BYTES
from streams.domain.effects import Effect, Ignore, Reject, Requeue
from streams.domain.journey import step
from streams.domain.panes import DAY_MS, HOUR_MS, MINUTE_MS
from streams.domain.policy import CustomerBounds, Program, Rule
from streams.domain.state import NEW, Journey
from streams.intake import accept
from streams.kafka.ports import KafkaRecord
from streams.state.tables import JourneyEntry, decode, encode
from tests.support.clicks import beacon, click, head, trap
from tests.support.histories import CUSTOMER, OPEN, START_MS, case, program, purchase, response, run, told, wakeup
from tests.support.laws import seeds

CODEC = Codec()
NAMES = tuple(f"attribute {n}" for n in range(6))
ASK = Rule(
    "ask", "survey", frozenset({"asks"}), {}, HOUR_MS, 30 * DAY_MS, frozenset({"cancels"}), personalise=NAMES,
    reminders=3, remind_after_ms=DAY_MS, cancel_closes=True, channels=("email", "sms"),
)  # fmt: skip
NOW = replace(ASK, name="now", on=frozenset({"asks now"}), delay_ms=0)
HOSTED = program([ASK, NOW], 0, dimensions=NAMES, combinations=[NAMES[:2], NAMES[2:4], NAMES[4:]], park_ms=DAY_MS)
KINDS = ["ask", "now", "cancel", "answer", "click", "trap", "head", "beacon", "unknown", "consent", "wakeup"]
STEP_CALLS = 30_000
"""The most calls of a step, with decoding and encoding: about 5 ms."""


def long(r: Random, characters: int) -> str:
    """A text of so many characters, of one byte or of four each."""
    return r.choice(("x", "%", "\U0001f600")) * characters


class Hostile:
    """A customer who sends whatever takes most room, as it comes through the door."""

    def __init__(self, seed: int, asks: Program) -> None:
        self.r, self.program, self.journey = Random(seed), asks, NEW
        self.now_ms, self.number = START_MS, 0
        self.surveys: list[str] = []
        self.effects = Counter[str]()

    def event(self, kind: str) -> Inbound:
        """One event of a kind."""
        r, at_ms = self.r, self.now_ms
        self.number += 1
        name = f"{self.number} {long(r, 60)}"
        survey = r.choice(self.surveys) if self.surveys else "none"
        if kind in ("ask", "now", "cancel"):
            type_ = {"ask": "asks", "now": "asks now", "cancel": "cancels"}[kind]
            attributes = {each: long(r, 500) for each in NAMES}
            return Purchase("s" * 250, name, type_, at_ms, CUSTOMER, long(r, 60), None, None, attributes)
        if kind == "answer":
            return response(name, at_ms - r.randrange(DAY_MS), r.randrange(11), long(r, 15_000), survey=survey)
        if kind == "unknown":
            return response(name, at_ms, 5, long(r, 15_000), survey=f"unknown {name}")
        if kind in ("click", "trap", "head", "beacon"):
            clicked_ms, score = at_ms - r.randrange(DAY_MS), r.randrange(11)
            made = {"click": click(clicked_ms, score), "trap": trap(at_ms), "head": head(at_ms)}
            return made.get(kind, beacon(clicked_ms, score))._replace(id=name, survey_id=survey)
        if kind == "consent":
            consents = {f"{self.number} {n} {long(r, 25)}/email": "granted" for n in range(20)}
            return told(name, at_ms, consents=consents, time_zone=f"{'America/Argentina/ComodRivadavia':<256}")
        return wakeup(at_ms)[1]

    def take(self, event: Inbound) -> list[Effect]:
        """One step, through the door, and what it puts back."""
        record = KafkaRecord(self.number, self.now_ms, CUSTOMER.encode(), CODEC.encode(event))
        accepted = accept(CODEC, type(event), record, self.now_ms, lambda _: False)
        if isinstance(accepted, Reject):
            self.effects[accepted.reason] += 1
            return [accepted]
        raw = (record.value or b"") if isinstance(event, SurveyResponse) else b""
        self.journey, effects = step(self.journey, accepted, self.program, self.now_ms, raw)
        for effect in effects:
            if isinstance(effect, SurveyDispatch) and effect.survey_id not in self.surveys:
                self.surveys.append(effect.survey_id)
            elif isinstance(effect, Decision | Reject | Ignore):
                self.effects[str(effect.reason)] += 1
            elif isinstance(effect, Requeue):
                self.take(CODEC.decode(SurveyResponse, effect.raw))
        return effects


def size(journey: Journey) -> int:
    """Its bytes as they are kept."""
    return len(encode(JourneyEntry((1 << 62,) * 5, 1 << 50, journey)))


@pytest.mark.parametrize("seed", seeds(40))
def test_a_journey_stays_below_its_bytes(seed: int) -> None:
    """After any history of the hostile customer, at every step; and what is kept comes back."""
    bounds = CustomerBounds() if seed % 2 else CustomerBounds(200, 400)
    hostile = Hostile(seed, replace(HOSTED, customer=bounds))
    largest = 0
    for _ in range(10):
        kind, gap_ms = hostile.r.choice(KINDS), hostile.r.choice((0, 1, 1_000, MINUTE_MS, HOUR_MS))
        for _ in range(hostile.r.choice((5, 80, 150))):
            hostile.now_ms += gap_ms
            hostile.take(hostile.event(kind if hostile.r.random() < 0.7 else hostile.r.choice(KINDS)))
        largest = max(largest, size(hostile.journey))
        assert largest <= LARGEST_JOURNEY_BYTES
    assert decode(encode(JourneyEntry((0,) * 5, None, hostile.journey))).journey == hostile.journey


def test_the_hostile_customer_fills_every_room() -> None:
    """All bounds at once: the journey is large, never too large, and each bound was met."""
    hostile = Hostile(1, HOSTED)
    for kind in ["now"] * 60 + ["cancel"] * 60 + ["unknown"] * 80 + ["consent"] * 6:
        hostile.now_ms += MINUTE_MS
        hostile.take(hostile.event(kind))
    for kind in ["click"] * 900 + ["answer"] * 900 + ["trap"] * 300 + ["ask"] * 2_000:
        hostile.now_ms += 1
        hostile.take(hostile.event(kind))
    journey = hostile.journey
    assert len(journey.seen) == HOSTED.customer.triggers
    assert hostile.effects[Reason.TOO_MANY_TRIGGERS] > 1_000
    assert min(hostile.effects[Reason.CUT], hostile.effects[Reason.UNKNOWN_SURVEY]) > 10
    assert LARGEST_JOURNEY_BYTES // 3 < size(journey) <= LARGEST_JOURNEY_BYTES


@pytest.mark.parametrize(("bound", "count"), [("scheduled", 50), ("invitations", 200)])
def test_triggers_beyond_the_bound_are_suppressed(bound: str, count: int) -> None:
    """Scheduled or sent, the next one leads to a decision with its reason, until there is room again."""
    delay_ms = HOUR_MS if bound == "scheduled" else 0
    rule = Rule("r", "s", frozenset({"x"}), {}, delay_ms, 30 * DAY_MS, frozenset())
    moments = [(START_MS + n, purchase(f"p{n}", "x", START_MS + n)) for n in range(count + 10)]
    journey = run(moments, program([rule], quarantine_ms=0))
    refused = [one.trigger_id for one in journey.all(Decision) if one.reason == Reason.TOO_MANY_TRIGGERS]
    assert refused == [f"p{n}" for n in range(count, count + 10)]
    later_ms = START_MS + 121 * DAY_MS
    journey.take((later_ms, purchase("later", "x", later_ms)))
    assert Reason.TOO_MANY_TRIGGERS not in [one.reason for one in journey.all(Decision)[-1:]]


def test_the_oldest_trigger_is_forgotten_first() -> None:
    """A duplicate within the newest 2,000 is one; an older one is a new trigger, and may ask again."""
    few = replace(OPEN, customer=CustomerBounds(triggers=20))
    moments = [(START_MS + n, purchase(f"p{n}", "order.delivered", START_MS + n)) for n in range(25)]
    journey = run(moments, few)
    assert len(journey.journey.seen) == 20
    assert journey.take(moments[24]) == [Ignore(Reason.DUPLICATE)]
    assert journey.take(moments[5]) == [Ignore(Reason.DUPLICATE)]
    assert [type(effect) for effect in journey.take(moments[4])] == [Decision, SurveyDispatch]


def test_held_responses_are_bounded_in_bytes() -> None:
    """The oldest are given up as dead letters with their own records; one that is too large alone is not held."""
    journey = NEW
    gone: list[bytes | None] = []
    for n in range(10):
        raw = bytes([n]) * 5_000
        event = response(f"r{n}", START_MS, 9, survey=f"s{n}")
        journey, effects = step(journey, event, OPEN, START_MS, raw)
        gone += [effect.raw for effect in effects if isinstance(effect, Reject)]
    assert gone == [bytes([n]) * 5_000 for n in range(4)]
    assert [len(held.raw) for held in journey.parked] == [5_000] * 6
    after, (reject,) = step(journey, response("big", START_MS, 9, survey="s"), OPEN, START_MS, b"x" * 60_000)
    assert (after, isinstance(reject, Reject) and reject.reason) == (journey, Reason.UNKNOWN_SURVEY)


def calls(work: Callable[[], object]) -> int:
    """How many functions the work calls, in Python and C: the same number on a busy machine."""
    count = 0

    def counted(frame: FrameType, what: str, argument: object) -> None:
        nonlocal count
        count += what in ("call", "c_call")

    sys.setprofile(counted)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def stepped(value: bytes, event: Inbound, asks: Program, now_ms: int) -> bytes:
    """One step as a worker takes it: from bytes to bytes."""
    journey, _ = step(decode(value).journey, event, asks, now_ms, b"raw")
    return encode(JourneyEntry((0,) * 5, None, journey))


def test_a_step_costs_the_same_for_ever() -> None:
    """6,000 triggers of one customer: the last costs no more calls than the one after the bound, and few."""
    value, costs = encode(JourneyEntry((0,) * 5, None, NEW)), {}
    for n in range(6_000):
        at_ms = START_MS + n * 1_000
        event = purchase(f"p{n}", "order.delivered", at_ms)
        if n in (300, 2_500, 5_999):
            costs[n] = calls(partial(stepped, value, event, OPEN, at_ms))
        value = stepped(value, event, OPEN, at_ms)
    assert costs[5_999] <= costs[2_500] * 1.1
    assert max(costs.values()) < STEP_CALLS // 10


@pytest.mark.parametrize("kind", ["at once", "reminders", "clicks"])
def test_much_that_is_due_at_once_costs_little(kind: str) -> None:
    """All that may be scheduled falls due in one step: it stays below the work of 5 ms."""
    rule = Rule("r", "s", frozenset({"x"}), {}, HOUR_MS, 30 * DAY_MS, frozenset(), reminders=1, remind_after_ms=DAY_MS)
    asks = program([rule], quarantine_ms=0)
    journey = run([(START_MS, purchase(f"p{n}", "x", START_MS)) for n in range(10_000)], asks)
    assert len(journey.journey.pending) == asks.customer.scheduled
    at_ms = START_MS + HOUR_MS
    if kind != "at once":
        journey.take(wakeup(at_ms))
        at_ms += DAY_MS
    if kind == "clicks":
        for survey in journey.all(SurveyDispatch):
            journey.take((at_ms - 40_000, click(at_ms - 40_000, 9)._replace(survey_id=survey.survey_id)))
    value = encode(JourneyEntry((0,) * 5, None, journey.journey))
    assert calls(lambda: stepped(value, wakeup(at_ms)[1], asks, at_ms)) < STEP_CALLS
    assert len(journey.take(wakeup(at_ms))) >= asks.customer.scheduled


def test_contacts_are_bounded() -> None:
    """Consents by number and length of name; cancels by number and bytes, the newest."""
    update = ContactUpdate("crm", "u", "t", START_MS, CUSTOMER, None, None, None, {}, {"p" * 125 + "/sms": "granted"})
    assert [type(effect) for effect in step(NEW, update, OPEN, START_MS)[1]] == [Reject]
    asks = program([replace(ASK, name="r")], quarantine_ms=0)
    journey = run([(START_MS + n, case(f"c{n}", "cancels", START_MS + n, f"k{n}")) for n in range(300)], asks)
    assert [cancel.id for cancel in journey.journey.cancels] == [f"c{n}" for n in range(250, 300)]
