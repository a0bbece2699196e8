"""A trigger that asks for a survey, before it is sent and after, and the records that tell of it."""

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from schemas.events import Decision, Purchase, SupportCase, SurveyDispatch
from tests.faults.oracle.ids import decision_of, survey_of
from tests.faults.oracle.terms import Ask, Terms

Trigger: TypeAlias = Purchase | SupportCase


def about(event: Trigger) -> str:
    """The order or case."""
    return event.order_id if isinstance(event, Purchase) else event.case_id


class Verdict(NamedTuple):
    """What is decided about a trigger, and when."""

    outcome: str
    at_ms: int
    reason: str | None = None
    cause_id: str | None = None
    channel: str | None = None


class Cancel(NamedTuple):
    """An event that stops surveys about the same order or case, also those whose trigger is read later."""

    type: str
    about: str
    id: str
    time_ms: int

    def stops(self, event: Trigger, ask: Ask) -> bool:
        """True for a trigger, of this rule, that happened before."""
        return self.type in ask.cancel_on and self.about == about(event) and event.time <= self.time_ms


@dataclass(slots=True)
class Sent:
    """A survey that falls due at `due_ms`; `cancelled_ms` is when it was ended after sending, -1 for never."""

    event: Trigger
    ask: Ask
    due_ms: int
    segments: tuple[str, ...]
    dimensions: dict[str, str]
    channel: str | None = None
    cancelled_ms: int = -1

    @property
    def customer(self) -> str:
        """Who is asked."""
        return self.event.customer_id

    @property
    def about(self) -> str:
        """The order or case."""
        return about(self.event)

    @property
    def survey_id(self) -> str:
        """The id that it must have."""
        return survey_of(self.event.customer_id, self.event.source, self.event.id, self.ask.name)

    @property
    def expires_ms(self) -> int:
        """From here on an answer does not count."""
        return self.due_ms + self.ask.expires_ms

    def end(self, cancel: Cancel) -> None:
        """End it, where its rule says so, if the event did."""
        if self.ask.cancel_closes and cancel.stops(self.event, self.ask):
            self.cancelled_ms = cancel.time_ms if self.cancelled_ms < 0 else min(self.cancelled_ms, cancel.time_ms)

    def dispatch(self, due_ms: int, channel: str | None, reminder: int) -> SurveyDispatch:
        """The first message or a reminder."""
        event, ask = self.event, self.ask
        return SurveyDispatch(
            survey_id=self.survey_id, customer_id=event.customer_id, survey=ask.survey, rule=ask.name,
            trigger_source=event.source, trigger_id=event.id, trigger_ms=event.time, correlation_id=self.about,
            due_ms=due_ms, expires_ms=self.expires_ms, segments=self.segments, dimensions=self.dimensions, program="",
            question=ask.question, question_version=1, channel=channel, locale=None, personalisation={}, token=None,
            reminder=reminder, lag_ms=due_ms - event.time, probability=1.0, version=0,
        )  # fmt: skip


def decision(event: Trigger, ask: Ask | None, verdict: Verdict, terms: Terms) -> Decision:
    """The decision about a trigger; `ask` is None where no rule wants it."""
    is_sent = verdict.outcome == "sent"
    return Decision(
        decision_id=decision_of(event.customer_id, event.source, event.id), customer_id=event.customer_id,
        trigger_source=event.source, trigger_id=event.id, trigger_type=event.type, trigger_ms=event.time,
        correlation_id=about(event), rule=ask.name if ask else None, survey=ask.survey if ask else None,
        outcome=verdict.outcome, reason=verdict.reason, cause_id=verdict.cause_id,
        survey_id=survey_of(event.customer_id, event.source, event.id, ask.name) if ask and is_sent else None,
        decided_ms=verdict.at_ms, segments=terms.segments(event.attributes), program="", channel=verdict.channel,
        question=ask.question if ask else None, question_version=1 if ask else None,
        probability=1.0 if ask else None, lag_ms=verdict.at_ms - event.time if is_sent else None, version=0,
    )  # fmt: skip
