"""What the laws of journeys share: a program for tests, random histories of one customer, and a run through `step`.

A run feeds a history to `step` and puts requeued responses back with their own timestamp, as a worker does.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from schemas.events import (
    Alert,
    Answer,
    ContactUpdate,
    Inbound,
    Purchase,
    SupportCase,
    SurveyResponse,
    Wakeup,
)
from streams.domain.effects import Effect, Requeue
from streams.domain.ids import survey_id
from streams.domain.journey import step
from streams.domain.panes import DAY_MS, HOUR_MS
from streams.domain.policy import AlertPolicy, Limits, Program, Rule
from streams.domain.state import NEW, Journey
from streams.domain.windows import Window

START_MS = 1_700_000_000_000
CUSTOMER = "c1"
QUARANTINE_MS = 10 * DAY_MS
DELIVERY_QUARANTINE_MS = 20 * DAY_MS
T = TypeVar("T")

Moment = tuple[int, Inbound]
"""A Kafka timestamp and the event that was written at it."""


def rule(
    name: str, survey: str, on: str, delay_ms: int = 0, cancel_on: Iterable[str] = (), expires_ms: int = 30 * DAY_MS
) -> Rule:
    """A rule without conditions."""
    return Rule(name, survey, frozenset({on}), {}, delay_ms, expires_ms, frozenset(cancel_on))


RULES = (
    rule("after-delivery", "delivery", "order.delivered", 3 * DAY_MS, ["order.returned"]),
    rule("after-support", "support", "case.solved", HOUR_MS, ["case.reopened"]),
    rule("at-once", "delivery", "order.collected", 0, ["order.returned"]),
)


def program(
    rules: Sequence[Rule] = RULES,
    quarantine_ms: int = QUARANTINE_MS,
    survey_quarantine_ms: Mapping[str, int] | None = None,
    dimensions: Sequence[str] = ("country",),
    combinations: Sequence[Sequence[str]] = (("country",),),
    park_ms: int = HOUR_MS,
    edit_ms: int = 7 * DAY_MS,
    late_ms: int = 7 * DAY_MS,
) -> Program:
    """A program as the tests need it."""
    return Program(
        rules=tuple(rules),
        quarantine_ms=quarantine_ms,
        survey_quarantine_ms=survey_quarantine_ms or {},
        dimensions=tuple(dimensions),
        combinations=tuple(tuple(combination) for combination in combinations),
        windows=(Window("1h", HOUR_MS),),
        minimum_n=30,
        limits=Limits(late_ms, 300_000, edit_ms, park_ms, remember_ms=120 * DAY_MS),
        alerts=AlertPolicy(2, 4, 6),
        hash="abcdef012345",
    )


PROGRAM = program(survey_quarantine_ms={"delivery": DELIVERY_QUARANTINE_MS})
OPEN = program(rules=[rule("r", "s", "order.delivered")], quarantine_ms=0)
"""Asks at once, and as often as something happens."""


def purchase(id_: str, type_: str, time_ms: int, order: str = "o1", country: str = "BR") -> Purchase:
    """Something happened to an order."""
    return Purchase("shop", id_, type_, time_ms, CUSTOMER, order, None, None, {"country": country})


def case(id_: str, type_: str, time_ms: int, number: str = "k1") -> SupportCase:
    """Something happened to a support case."""
    return SupportCase("desk", id_, type_, time_ms, CUSTOMER, number, {})


def opted(id_: str, out: bool | None, time_ms: int) -> ContactUpdate:
    """The customer says whether to be asked."""
    return ContactUpdate("crm", id_, "contact.updated", time_ms, CUSTOMER, out, None, None, {})


def told(
    id_: str, time_ms: int, consents: Mapping[str, str] | None = None, bounces: Mapping[str, str] | None = None,
    preferred: str | None = None, time_zone: str | None = None, opted_out: bool | None = None, erased: bool = False,
) -> ContactUpdate:  # fmt: skip
    """The customer says something about being contacted."""
    return ContactUpdate("crm", id_, "contact.updated", time_ms, CUSTOMER, opted_out, time_zone, None, {},
                         consents or {}, bounces or {}, preferred, erased)  # fmt: skip


def response(
    id_: str,
    time_ms: int,
    score: int | None = None,
    comment: str | None = None,
    voided: bool = False,
    survey: str = "",
) -> SurveyResponse:
    """A response to a survey, to the one after purchase `p` of OPEN when none is named."""
    to = survey or survey_id(CUSTOMER, "shop", "p", "r")
    return SurveyResponse("tool", id_, "answered", time_ms, CUSTOMER, to, score, comment, voided, "email")


@dataclass
class Run:
    """A customer's journey so far, and all that came of it."""

    program: Program
    journey: Journey = NEW
    history: bool = False
    effects: list[tuple[int, Effect]] = field(default_factory=list)
    """Each with the Kafka timestamp of the step that caused it."""
    kept: dict[bytes, Moment] = field(default_factory=dict)

    def take(self, moment: Moment) -> list[Effect]:
        """One step, and then those of the responses that it put back."""
        now_ms, event = moment
        raw = repr(moment).encode()
        self.kept[raw] = moment
        self.journey, effects = step(self.journey, event, self.program, now_ms, raw, self.history)
        self.effects += [(now_ms, effect) for effect in effects]
        for effect in effects:
            if isinstance(effect, Requeue):
                self.take(self.kept[effect.raw])
        return effects

    def all(self, kind: type[T]) -> list[T]:
        """Every effect of a kind, in order."""
        return [effect for _, effect in self.effects if isinstance(effect, kind)]

    @property
    def answers(self) -> dict[str, Answer]:
        """The last answer of each survey."""
        return {answer.survey_id: answer for answer in self.all(Answer)}

    @property
    def alerts(self) -> list[Alert]:
        """Every alert."""
        return self.all(Alert)


def run(history: Iterable[Moment], program: Program) -> Run:
    """A whole history from the beginning."""
    journey = Run(program)
    for moment in history:
        journey.take(moment)
    return journey


def wakeup(at_ms: int) -> Moment:
    """It is now the customer's due time."""
    return at_ms, Wakeup(CUSTOMER, at_ms)
