"""Laws of what is due: nothing is lost whatever the clocks say, and what a customer takes away comes before it.

A worker that was away finds much due at once.  Each history here is read without a wakeup until its end, or with the
Kafka timestamps of its records going back and forth, as producers with clocks of their own make them.
"""

from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import ContactUpdate, Purchase, SupportCase, SurveyDispatch, Wakeup
from streams.domain.effects import Confirm
from streams.domain.panes import DAY_MS, HOUR_MS, MINUTE_MS
from streams.domain.state import Journey, Message, Pending, Waiting
from tests.support.clicks import click, trap
from tests.support.histories import START_MS, Moment, Run, response, told, wakeup
from tests.support.laws import examples
from tests.support.trigger_histories import PROGRAM, granting, histories

LAW = settings(max_examples=examples(1_000))
CHANCES = st.lists(st.tuples(st.integers(0, 9), st.integers(-6 * HOUR_MS, 9 * DAY_MS)), min_size=1, max_size=15)
EARLY_MS = PROGRAM.limits.early_ms


def with_erasures(history: list[Moment], chances: list[tuple[int, int]]) -> list[Moment]:
    """The same with an erasure after some of its moments."""
    found: list[Moment] = []
    for place, (at_ms, event) in enumerate(history):
        found.append((at_ms, event))
        chance, back_ms = chances[place % len(chances)]
        if chance == 0:
            found.append((at_ms, told(f"e{place}", at_ms - max(back_ms, 0), erased=True)))
    return found


class Word(NamedTuple):
    """The newest statement on one matter, worked out from all of them at once; of two at once the one that forbids."""

    time_ms: int = -1
    forbids: bool = False


def forbidden(said: list[ContactUpdate], dispatch: SurveyDispatch, rule_purpose: str = "feedback") -> bool:
    """True when by these statements the message must not be sent."""
    channels = (f"{rule_purpose}/{dispatch.channel}", f"{rule_purpose}/*")
    erased_ms = max((each.time for each in said if each.erased), default=-1)
    said = [each for each in said if each.time > erased_ms]
    out = max((Word(each.time, each.opted_out) for each in said if each.opted_out is not None), default=Word())
    consents = [
        Word(each.time, value == "withdrawn")
        for each in said for name, value in each.consents.items() if name in channels
    ]  # fmt: skip
    bounces = [
        Word(each.time, value == "bounced")
        for each in said for channel, value in each.bounces.items() if channel == dispatch.channel
    ]  # fmt: skip
    consent, bounce = max(consents, default=Word()), max(bounces, default=Word())
    anywhere = dispatch.channel is None and any("granted" in each.consents.values() for each in said)
    since = out.time_ms >= 0 or consent.time_ms >= 0 or anywhere
    return out.forbids or consent.forbids or bounce.forbids or (
        erased_ms >= 0 and (dispatch.trigger_ms <= erased_ms or not since)
    )  # fmt: skip


def forbidding(event: ContactUpdate) -> ContactUpdate:
    """The part of an update that forbids something, all of an erasure."""
    consents = {name: value for name, value in event.consents.items() if value == "withdrawn"}
    bounces = {channel: value for channel, value in event.bounces.items() if value == "bounced"}
    return event._replace(opted_out=event.opted_out or None, consents=consents, bounces=bounces)


@LAW
@given(histories(), CHANCES, st.booleans())
def test_nobody_is_asked_against_a_word_that_was_read(
    history: list[Moment], chances: list[tuple[int, int]], is_history: bool
) -> None:
    """In the very step that reads an opt-out, withdrawal, bounce or erasure, and in all after it, nothing leaves."""
    history = with_erasures(history, chances)
    journey, said = Run(PROGRAM, history=is_history), list[ContactUpdate]()
    for at_ms, event in [*history, wakeup(history[-1][0] + 90 * DAY_MS)]:
        effects = journey.take((at_ms, event))
        word = event if isinstance(event, ContactUpdate) and event.time <= at_ms + EARLY_MS else None
        known = [*said, forbidding(word)] if word is not None else said
        dispatches = [effect for effect in effects if isinstance(effect, SurveyDispatch)]
        assert [one for one in dispatches if forbidden(known, one)] == []
        said += [word] if word is not None else []


@LAW
@given(histories(), CHANCES)
def test_a_grant_holds_from_its_own_time_on(history: list[Moment], chances: list[tuple[int, int]]) -> None:
    """What was due before an update that only grants is decided as if it had not come."""
    history = granting(with_erasures(history, [(1, 0), *chances]))
    journey = Run(PROGRAM, history=True)
    for at_ms, event in history:
        if isinstance(event, ContactUpdate) and not event.erased:
            alone = Run(PROGRAM, journey.journey, history=True)
            wanted = alone.take(wakeup(at_ms))
            assert [one for one in journey.take((at_ms, event)) if one in wanted] == wanted
        else:
            journey.take((at_ms, event))


def overdue(journey: Journey, at_ms: int) -> list[object]:
    """All that should have happened by then."""
    timers: list[tuple[Pending | Message | Waiting, ...]] = [journey.pending, journey.reminders, journey.waiting]
    return [timer for some in timers for timer in some if timer.due_ms <= at_ms]


def visits(history: list[Moment], shifts: list[tuple[int, int]]) -> list[Moment]:
    """The history with timestamps of its own making, and with clicks, traps and answers to what it asks."""
    found: list[Moment] = []
    for place, (at_ms, event) in enumerate(history):
        kind, shift_ms = shifts[place % len(shifts)]
        now_ms = at_ms + shift_ms
        if not isinstance(event, Wakeup):
            found.append((now_ms, event._replace(time=min(event.time, now_ms))))
        journey = Run(PROGRAM)
        if kind < 6 and isinstance(event, Purchase | SupportCase):
            for moment in [*found, wakeup(now_ms + 5 * DAY_MS)]:
                journey.take(moment)
            for dispatch in journey.all(SurveyDispatch)[-1:]:
                clicked_ms = dispatch.due_ms + kind * MINUTE_MS
                said = [click(clicked_ms, kind), trap(clicked_ms), response("r", clicked_ms, kind)][kind % 3]
                found.append((clicked_ms + shift_ms % HOUR_MS, said._replace(survey_id=dispatch.survey_id)))
    return found


@LAW
@given(histories(), CHANCES, st.integers(0, 20 * DAY_MS), st.booleans())
def test_nothing_due_is_lost(
    history: list[Moment], shifts: list[tuple[int, int]], after_ms: int, is_history: bool
) -> None:
    """Whatever the clock of the journey, after an event or a wakeup at T nothing is left that was due by T."""
    journey = Run(PROGRAM, history=is_history)
    for at_ms, event in visits(history, shifts):
        due_ms = max(at_ms, journey.journey.clock_ms)
        before = overdue(journey.journey, due_ms)
        journey.take((at_ms, event))
        assert [one for one in before if one in overdue(journey.journey, due_ms)] == []
    last_ms = max(at for at, _ in history) + after_ms
    journey.take(wakeup(last_ms))
    assert overdue(journey.journey, last_ms) == []
    assert journey.journey.clock_ms >= last_ms


def asked(is_history: bool = False) -> tuple[Run, SurveyDispatch]:
    """A customer who was asked in time."""
    journey = Run(PROGRAM, history=is_history)
    journey.take((START_MS, Purchase("shop", "p", "order.delivered", START_MS, "c1", "o", None, None, {})))
    (pending,) = journey.journey.pending
    journey.take(wakeup(pending.due_ms))
    (dispatch,) = journey.all(SurveyDispatch)
    return journey, dispatch


@LAW
@given(st.integers(-HOUR_MS, HOUR_MS), st.integers(0, 5_000), st.integers(0, 10))
def test_a_click_waits_no_longer_than_its_time(ahead_ms: int, read_ms: int, score: int) -> None:
    """Whatever clock an older state has, the wakeup 30 s after the click confirms it, or an event before did."""
    journey, dispatch = asked()
    at_ms = dispatch.due_ms + 2 * HOUR_MS
    journey.journey = journey.journey._replace(clock_ms=at_ms + ahead_ms)
    journey.take((at_ms + read_ms, click(at_ms, score)._replace(survey_id=dispatch.survey_id)))
    journey.take(wakeup(at_ms + read_ms + 30_000))
    assert [confirm.response.score for confirm in journey.all(Confirm)] == [score]
    assert not journey.journey.waiting


@LAW
@given(st.integers(-90_000, 90_000), st.sampled_from(["person", "trapped", "confirmed"]), st.booleans())
def test_nobody_is_reminded_while_a_click_waits(before_ms: int, kind: str, is_history: bool) -> None:
    """Nor before the confirmation is back; a click that is known to be a machine's does not keep the reminder back."""
    journey, dispatch = asked(is_history)
    (reminder,) = journey.journey.reminders
    clicked_ms = reminder.due_ms + before_ms
    clicked = click(clicked_ms, 9)._replace(survey_id=dispatch.survey_id)
    journey.take((clicked_ms, clicked))
    if kind == "trapped":
        journey.take((clicked_ms + 1, trap(clicked_ms + 1)._replace(survey_id=dispatch.survey_id)))
    for at_ms in range(clicked_ms + 10_000, clicked_ms + 3 * MINUTE_MS, 10_000):
        journey.take(wakeup(at_ms))
        for confirm in journey.all(Confirm) if kind == "confirmed" else ():
            journey.take((at_ms, confirm.response))
    journey.take(wakeup(clicked_ms + 20 * HOUR_MS))
    reminded = [at_ms for at_ms, one in journey.effects if isinstance(one, SurveyDispatch) and one.reminder]
    assert bool(reminded) == (kind == "trapped" or before_ms >= 0)
    assert not reminded or reminded[0] >= reminder.due_ms
    assert not reminded or kind != "trapped" or reminded[0] < max(reminder.due_ms, clicked_ms) + 10_000
