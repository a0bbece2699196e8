"""One customer and one rule: on which channel the survey goes after some updates, or why it does not."""

from schemas.events import Decision, SurveyDispatch
from streams.domain.panes import DAY_MS, HOUR_MS
from streams.domain.policy import Program, Rule
from tests.support.histories import START_MS, Moment, program, purchase, run


def asking(consent_required: bool = False, channels: tuple[str, ...] = ("email", "sms"), **more: object) -> Rule:
    """A rule that asks at once after `x`."""
    given: dict[str, object] = {"channels": channels, "consent_required": consent_required, **more}
    return Rule("r", "s", frozenset({"x"}), {}, 0, 30 * DAY_MS, frozenset(), **given)  # type: ignore[arg-type]


def outcome(rule: Rule, updates: list[Moment], asks: Program | None = None) -> str | None:
    """The channel on which the customer is asked after these updates, or the reason why not."""
    after_ms = max((at for at, _ in updates), default=START_MS) + HOUR_MS
    journey = run([*updates, (after_ms, purchase("p", "x", after_ms))], asks or program([rule]))
    (decision,) = journey.all(Decision)
    assert [dispatch.channel for dispatch in journey.all(SurveyDispatch)] == [decision.channel] * (not decision.reason)
    return decision.reason or decision.channel
