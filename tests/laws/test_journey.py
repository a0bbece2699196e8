"""The step as a whole: deterministic, replayable from any prefix through its stored bytes, independent of wakeups."""

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import Answer, Decision, SurveyDispatch
from schemas.reasons import Reason
from streams.domain.effects import Count, Effect, Reject, Requeue
from streams.domain.ids import survey_id
from streams.domain.journey import is_blank, next_timer_ms, step
from streams.domain.panes import DAY_MS, HOUR_MS
from streams.domain.policy import Program
from streams.domain.state import NEW
from streams.state.tables import JourneyEntry, encode
from tests.support.histories import (
    CUSTOMER,
    DELIVERY_QUARANTINE_MS,
    START_MS,
    Moment,
    case,
    opted,
    program,
    purchase,
    response,
    rule,
    run,
    wakeup,
)
from tests.support.laws import examples
from tests.support.tables import through_bytes
from tests.support.trigger_histories import granting

RULES = [
    rule("after-delivery", "delivery", "order.delivered", 3 * DAY_MS, ["order.returned"]),
    rule("after-support", "support", "case.solved", HOUR_MS, ["case.reopened"], expires_ms=2 * DAY_MS),
    rule("at-once", "collect", "order.collected"),
]
SHORT = program(RULES, quarantine_ms=HOUR_MS, survey_quarantine_ms={"delivery": DELIVERY_QUARANTINE_MS})
PATIENT = program(RULES, quarantine_ms=HOUR_MS, park_ms=1_000 * DAY_MS)
GAPS_MS = st.sampled_from([0, 1, 60_000, HOUR_MS, 5 * HOUR_MS, DAY_MS, 3 * DAY_MS])
TYPES = ["order.delivered", "order.collected", "order.collected", "order.returned", "case.solved", "case.reopened"]


@st.composite
def histories(draw: st.DrawFn) -> list[Moment]:
    """All that can happen to a customer, in order of Kafka timestamps; answers are to surveys of this history."""
    now_ms, history, surveys = START_MS, list[Moment](), ["unknown"]
    for number in range(draw(st.integers(1, 25))):
        now_ms += draw(GAPS_MS)
        time_ms = now_ms - draw(st.sampled_from([0, 0, 0, HOUR_MS, DAY_MS, 8 * DAY_MS]))
        kind = draw(st.sampled_from(["trigger"] * 4 + ["answer"] * 4 + ["contact", "repeat"]))
        if kind == "trigger":
            type_ = draw(st.sampled_from(TYPES))
            make, source = (case, "desk") if type_.startswith("case") else (purchase, "shop")
            history.append((now_ms, make(f"t{number}", type_, time_ms, draw(st.sampled_from("ab")))))
            surveys += [
                survey_id(CUSTOMER, source, f"t{number}", each.name) for each in RULES if each.matches(type_, {})
            ]
        elif kind == "answer":
            score, voided = draw(st.one_of(st.none(), st.integers(-1, 11))), draw(st.integers(0, 6)) == 0
            comment, to = draw(st.sampled_from([None, "words"])), draw(st.sampled_from(surveys))
            history.append((now_ms, response(f"r{number}", time_ms, score, comment, voided, to)))
        elif kind == "contact":
            history.append((now_ms, opted(f"u{number}", draw(st.sampled_from([None, True, False, False])), time_ms)))
        elif history:
            history.append((now_ms, draw(st.sampled_from(history))[1]))
    return history


def told(history: list[Moment], program: Program) -> list[tuple[int, Effect]]:
    """All effects of a history."""
    return run(history, program).effects


@settings(max_examples=examples(120))
@given(histories(), st.integers(0, 25))
def test_replay_from_any_prefix(history: list[Moment], cut: int) -> None:
    """Stored after any prefix and read back, the rest makes the same effects and the same journey, byte for byte."""
    whole, first = run(history, SHORT), run(history[:cut], SHORT)
    first.journey = through_bytes(first.journey)
    for moment in history[cut:]:
        first.take(moment)
    assert first.effects == whole.effects
    assert first.journey == whole.journey
    assert through_bytes(whole.journey) == whole.journey
    assert told(history, SHORT) == whole.effects


@settings(max_examples=examples(120))
@given(histories(), st.lists(st.tuples(st.integers(0, 24), st.integers(0, 5 * DAY_MS)), max_size=8))
def test_the_result_does_not_depend_on_wakeups(history: list[Moment], timers: list[tuple[int, int]]) -> None:
    """Woken at any times, or only at the end: the same decisions and dispatches, and the same answers.

    Opt-outs, which hold at once for whatever is not sent yet, are left out: see `test_objections`.

    Where a response came before its survey, its place among later ones depends on when it was put back; then only
    decisions and dispatches are compared, and test_responses holds the answer to any order.
    """
    history = granting(history)
    end = wakeup(history[-1][0] + 30 * DAY_MS if history else START_MS)
    extra = [wakeup(history[at % len(history)][0] + after) for at, after in timers if history]
    woken = sorted([*history, *(wake for wake in extra if wake[0] < end[0])], key=lambda moment: moment[0])
    plain, poked = run([*history, end], PATIENT), run([*woken, end], PATIENT)
    assert poked.all(Decision) == plain.all(Decision)
    assert poked.all(SurveyDispatch) == plain.all(SurveyDispatch)
    if not plain.all(Requeue):
        assert poked.all(Answer) == plain.all(Answer)
        assert poked.all(Count) == plain.all(Count)
        assert poked.alerts == plain.alerts


@settings(max_examples=examples(120))
@given(histories())
def test_step_changes_nothing_it_was_given(history: list[Moment]) -> None:
    """Journey and event read the same after the step; the same step again gives the same."""
    journey = NEW
    for now_ms, event in history:
        before = encode(JourneyEntry((), None, journey)), repr(event)
        after, effects = step(journey, event, SHORT, now_ms, b"e")
        assert (encode(JourneyEntry((), None, journey)), repr(event)) == before
        assert step(journey, event, SHORT, now_ms, b"e") == (after, effects)
        journey = after


@settings(max_examples=examples(120))
@given(histories())
def test_time_never_goes_back(history: list[Moment]) -> None:
    """A customer's own time is the highest Kafka timestamp stepped to, also where records come out of order."""
    journey = NEW
    highest = 0
    for now_ms, event in history[::2] + history[1::2]:
        highest = max(highest, now_ms)
        journey, _ = step(journey, event, SHORT, now_ms)
        assert journey.clock_ms == highest
        assert all(pending.due_ms > journey.clock_ms for pending in journey.pending)


@settings(max_examples=examples(120))
@given(histories())
def test_woken_until_all_is_forgotten(history: list[Moment]) -> None:
    """Woken whenever it asks to be, a quiet customer is soon forgotten, but for a wish not to be asked."""
    journey = run(history, SHORT)
    for _ in range(60):
        due_ms = next_timer_ms(journey.journey, SHORT)
        if due_ms is None:
            break
        before = journey.journey
        journey.take(wakeup(max(due_ms, before.clock_ms)))
        assert journey.journey != before, "a wakeup that changes nothing would come for ever"
    rest = journey.journey._replace(opted_out=False, opted_ms=-1)
    assert is_blank(rest)
    assert is_blank(journey.journey) == (journey.journey.opted_ms == -1)


@settings(max_examples=examples(120))
@given(histories())
def test_a_rejected_event_changes_only_the_time(history: list[Moment]) -> None:
    """Apart from what fell due before it, a bad event leaves no trace; a closed correction may revive."""
    journey = NEW
    for now_ms, event in history:
        advanced, _ = step(journey, opted("-", None, now_ms), SHORT, now_ms)
        journey, effects = step(journey, event, SHORT, now_ms)
        reasons = [effect.reason for effect in effects if isinstance(effect, Reject) and effect.raw is None]
        if reasons == [Reason.EDIT_CLOSED]:
            assert journey._replace(invitations=()) == advanced._replace(invitations=())
            assert not any(isinstance(effect, Answer | Count) for effect in effects)
        elif reasons:
            assert journey == advanced
