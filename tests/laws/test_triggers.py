"""Laws of triggers: each ends in one decision, nobody is asked too often, too early, or after saying no."""

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import ContactUpdate, Decision, Purchase, SupportCase, SurveyDispatch
from streams.domain.ids import decision_id, survey_id
from streams.domain.panes import DAY_MS, HOUR_MS
from tests.support.histories import (
    CUSTOMER,
    DELIVERY_QUARANTINE_MS,
    OPEN,
    PROGRAM,
    QUARANTINE_MS,
    START_MS,
    Moment,
    Run,
    case,
    opted,
    purchase,
    run,
    wakeup,
)
from tests.support.laws import examples

DELAY_MS = {"after-delivery": 3 * DAY_MS, "after-support": HOUR_MS, "at-once": 0}
GAPS_MS = st.sampled_from([0, 0, 1_000, HOUR_MS - 1, HOUR_MS, 5 * HOUR_MS, DAY_MS, 3 * DAY_MS, 9 * DAY_MS])
BACK_MS = st.sampled_from([0, 0, 0, 60_000, HOUR_MS, 2 * DAY_MS, 7 * DAY_MS, 8 * DAY_MS, -299_000, -301_000])
ORDER_TYPES = st.sampled_from(["order.delivered"] * 3 + ["order.collected", "order.returned", "order.noise"])
CASE_TYPES = st.sampled_from(["case.solved", "case.solved", "case.reopened"])


@st.composite
def histories(draw: st.DrawFn, wakeups: bool = True) -> list[Moment]:
    """One customer's events in order of their Kafka timestamps: late, early, repeated, cancelled, opted out, woken."""
    now_ms, history = START_MS, list[Moment]()
    kinds = ["order", "order", "case", "contact", "repeat", *(["wakeup"] if wakeups else [])]
    for number in range(draw(st.integers(1, 25))):
        now_ms += draw(GAPS_MS)
        kind, time_ms = draw(st.sampled_from(kinds)), now_ms - draw(BACK_MS)
        if kind == "order":
            history.append((now_ms, purchase(f"p{number}", draw(ORDER_TYPES), time_ms, draw(st.sampled_from("ab")))))
        elif kind == "case":
            history.append((now_ms, case(f"k{number}", draw(CASE_TYPES), time_ms)))
        elif kind == "contact":
            history.append((now_ms, opted(f"u{number}", draw(st.sampled_from([None, True, False, False])), now_ms)))
        elif kind == "wakeup":
            history.append(wakeup(now_ms))
        elif history:
            history.append((now_ms, draw(st.sampled_from(history))[1]))
    return history


def accepted(history: list[Moment]) -> list[Purchase | SupportCase]:
    """The triggers that must be decided on, worked out on its own: in time, first of its id, no mere cancel."""
    found: dict[str, Purchase | SupportCase] = {}
    for now_ms, event in history:
        in_time = isinstance(event, Purchase | SupportCase) and -300_000 <= now_ms - event.time <= 7 * DAY_MS
        if in_time and isinstance(event, Purchase | SupportCase):
            found.setdefault(event.id, event)
    return [event for event in found.values() if event.type not in ("order.returned", "case.reopened")]


def swapped(history: list[Moment], draw: st.DataObject, reach_ms: int) -> list[Moment]:
    """The history as it is read when topics drift: records may come up to `reach_ms` after younger ones."""
    jitter = [draw.draw(st.integers(0, reach_ms)) for _ in history]
    return [
        moment
        for _, _, moment in sorted((m[0] + j, i, m) for i, (m, j) in enumerate(zip(history, jitter, strict=True)))
    ]


def check_quarantines(dispatches: list[SurveyDispatch]) -> None:
    """No two dispatches inside either clock."""
    due = sorted((each.due_ms, each.survey) for each in dispatches)
    for at, (later_ms, survey) in enumerate(due):
        for earlier_ms, other in due[:at]:
            assert later_ms - earlier_ms >= QUARANTINE_MS
            assert survey != "delivery" or other != survey or later_ms - earlier_ms >= DELIVERY_QUARANTINE_MS


@settings(max_examples=examples(120))
@given(histories())
def test_one_decision_for_each_trigger(history: list[Moment]) -> None:
    """Triggers = sent + suppressed + still pending, at any time; a dispatch for each `sent` and for nothing else."""
    journey = run(history, PROGRAM)
    decisions, triggers = journey.all(Decision), accepted(history)
    decided = [decision.trigger_id for decision in decisions]
    assert sorted([*decided, *(pending.id for pending in journey.journey.pending)]) == sorted(t.id for t in triggers)
    assert {d.outcome for d in decisions} <= {"sent", "suppressed"}
    assert all((d.outcome == "sent") == (d.reason is None) == (d.survey_id is not None) for d in decisions)
    sent = [decision.survey_id for decision in decisions if decision.outcome == "sent"]
    assert sent == [dispatch.survey_id for dispatch in journey.all(SurveyDispatch)]
    journey.take(wakeup(history[-1][0] + 30 * DAY_MS if history else START_MS))
    assert len(journey.all(Decision)) == len(triggers), "in the end nothing is left pending"


@settings(max_examples=examples(120))
@given(histories())
def test_never_inside_a_quarantine(history: list[Moment]) -> None:
    """Two clocks, over all surveys and of the same survey."""
    journey = run(history, PROGRAM)
    journey.take(wakeup(START_MS + 900 * DAY_MS))
    check_quarantines(journey.all(SurveyDispatch))


@settings(max_examples=examples(120))
@given(histories(), st.data())
def test_never_inside_a_quarantine_when_topics_drift(history: list[Moment], data: st.DataObject) -> None:
    """The same where topics are read up to two days apart, as they are while catching up."""
    journey = run(swapped(history, data, 2 * DAY_MS), PROGRAM)
    journey.take(wakeup(START_MS + 900 * DAY_MS))
    check_quarantines(journey.all(SurveyDispatch))


@settings(max_examples=examples(120))
@given(histories(), st.data())
def test_never_early(history: list[Moment], data: st.DataObject) -> None:
    """Neither before the delay has passed, nor before the trigger was read, nor ahead of the customer's own time."""
    journey = Run(PROGRAM)
    for moment in [*swapped(history, data, DAY_MS), wakeup(START_MS + 900 * DAY_MS)]:
        for effect in journey.take(moment):
            if isinstance(effect, SurveyDispatch):
                assert effect.due_ms >= effect.trigger_ms + DELAY_MS[effect.rule]
                assert effect.due_ms <= journey.journey.clock_ms
                assert effect.expires_ms == effect.due_ms + 30 * DAY_MS


@settings(max_examples=examples(120))
@given(histories())
def test_no_dispatch_after_an_opt_out(history: list[Moment]) -> None:
    """Whoever said no before the due time and has not said yes since is not asked."""
    journey = run(history, PROGRAM)
    journey.take(wakeup(START_MS + 900 * DAY_MS))
    said = [(at, event) for at, event in history if isinstance(event, ContactUpdate) and event.opted_out is not None]
    for dispatch in journey.all(SurveyDispatch):
        before = [(event.time, event.opted_out) for at, event in said if at < dispatch.due_ms]
        allowed_then = any(not event.opted_out for at, event in said if at == dispatch.due_ms)
        assert allowed_then or not before or not max(before)[1]


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from([None, True, False])), max_size=8), st.randoms())
def test_newest_statement_wins(said: list[tuple[int, bool | None]], random: "st.randoms") -> None:  # type: ignore[valid-type]
    """In whatever order statements arrive; a withdrawal wins a tie; one that says nothing changes nothing."""
    clear = [(at, out) for at, out in said if out is not None]
    for _ in range(3):
        random.shuffle(said)  # type: ignore[attr-defined]
        journey = run([(START_MS + 9, opted(f"u{i}", out, START_MS + at)) for i, (at, out) in enumerate(said)], OPEN)
        assert journey.journey.opted_out == (bool(clear) and max(clear)[1])


@given(histories())
def test_ids_come_from_their_cause(history: list[Moment]) -> None:
    """A decision's id from its trigger, a survey's from trigger and rule; none is there twice."""
    journey = run([*history, wakeup(START_MS + 900 * DAY_MS)], PROGRAM)
    for decision in journey.all(Decision):
        assert decision.decision_id == decision_id(CUSTOMER, decision.trigger_source, decision.trigger_id)
    for dispatch in journey.all(SurveyDispatch):
        assert dispatch.survey_id == survey_id(CUSTOMER, dispatch.trigger_source, dispatch.trigger_id, dispatch.rule)
    assert len({d.decision_id for d in journey.all(Decision)}) == len(journey.all(Decision))
