"""The asking half: every trigger ends in one decision, nobody is asked too often, too early, or after saying no."""

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import ContactUpdate, Decision, Purchase, SupportCase, SurveyDispatch
from schemas.reasons import Reason
from streams.domain.effects import Ignore, Reject
from streams.domain.ids import decision_id, survey_id
from streams.domain.panes import DAY_MS, HOUR_MS
from tests.support.histories import (
    DELIVERY_QUARANTINE_MS,
    OPEN,
    PROGRAM,
    QUARANTINE_MS,
    START_MS,
    Moment,
    Run,
    case,
    opted,
    program,
    purchase,
    response,
    rule,
    run,
    wakeup,
)

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


@settings(max_examples=120)
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


@settings(max_examples=120)
@given(histories())
def test_never_inside_a_quarantine(history: list[Moment]) -> None:
    """Two clocks, over all surveys and of the same survey."""
    journey = run(history, PROGRAM)
    journey.take(wakeup(START_MS + 900 * DAY_MS))
    check_quarantines(journey.all(SurveyDispatch))


@settings(max_examples=120)
@given(histories(), st.data())
def test_never_inside_a_quarantine_when_topics_drift(history: list[Moment], data: st.DataObject) -> None:
    """The same where topics are read up to two days apart, as they are while catching up."""
    journey = run(swapped(history, data, 2 * DAY_MS), PROGRAM)
    journey.take(wakeup(START_MS + 900 * DAY_MS))
    check_quarantines(journey.all(SurveyDispatch))


def test_quarantine_outlives_a_clock_that_ran_ahead() -> None:
    """A trigger read after the quarantine's end, though written before it, is still too soon.

    written:   asked ................ trigger | quarantine ends
    read:      asked .......................................... trigger
    """
    asks, early_ms = program(rules=[rule("r", "s", "x")]), START_MS + QUARANTINE_MS - HOUR_MS
    history = [(START_MS, purchase("1", "x", START_MS)), wakeup(START_MS + QUARANTINE_MS + HOUR_MS)]
    journey = run([*history, (early_ms, purchase("2", "x", early_ms))], asks)
    assert reasons(journey) == [("1", None, None), ("2", Reason.ASKED_RECENTLY, None)]


@settings(max_examples=120)
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


@settings(max_examples=120)
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
        assert decision.decision_id == decision_id(decision.trigger_source, decision.trigger_id)
    for dispatch in journey.all(SurveyDispatch):
        assert dispatch.survey_id == survey_id(dispatch.trigger_source, dispatch.trigger_id, dispatch.rule)
    assert len({d.decision_id for d in journey.all(Decision)}) == len(journey.all(Decision))


SHOP = purchase("p", "order.delivered", START_MS)
DUE_MS = START_MS + 3 * DAY_MS


def test_sent_on_time() -> None:
    """Not one millisecond before its due time, and at its due time however late the wakeup."""
    journey = run([(START_MS, SHOP), wakeup(DUE_MS - 1)], PROGRAM)
    assert journey.all(SurveyDispatch) == []
    journey.take(wakeup(DUE_MS + DAY_MS))
    (dispatch,) = journey.all(SurveyDispatch)
    assert (dispatch.due_ms, dispatch.segments, dispatch.dimensions) == (
        DUE_MS,
        ("all", "country=BR"),
        {"country": "BR"},
    )
    assert journey.all(Decision)[0].decided_ms == DUE_MS


def test_a_trigger_that_comes_late_is_not_sent_back_in_time() -> None:
    """Its delay is over when it is read: sent then, so that nothing is dispatched before anybody could know of it."""
    for back_ms in (5 * DAY_MS, 3 * DAY_MS - 1):
        journey = run([(START_MS, purchase("p", "order.delivered", START_MS - back_ms)), wakeup(START_MS + 1)], PROGRAM)
        assert [d.due_ms for d in journey.all(SurveyDispatch)] == [max(START_MS, START_MS - back_ms + 3 * DAY_MS)]


def reasons(journey: Run) -> list[tuple[str, str | None, str | None]]:
    """Each decision's trigger, reason and cause."""
    return [(decision.trigger_id, decision.reason, decision.cause_id) for decision in journey.all(Decision)]


def test_cancelled_before_sending() -> None:
    """A return of the same order stops the survey, and the decision names the return."""
    back = purchase("ret", "order.returned", START_MS + DAY_MS)
    journey = run([(START_MS, SHOP), (back.time, back), wakeup(DUE_MS)], PROGRAM)
    assert reasons(journey) == [("p", Reason.CANCELLED, "ret")]


def test_cancel_that_comes_before_its_trigger() -> None:
    """The return is read first, though it happened after the delivery: the survey is never scheduled.

    happened:   delivered ----- returned
    read:                                 returned, delivered
    """
    back = purchase("ret", "order.returned", START_MS + HOUR_MS)
    journey = run([(back.time, back), (back.time + 1, SHOP), wakeup(DUE_MS)], PROGRAM)
    assert reasons(journey) == [("p", Reason.CANCELLED, "ret")]


def test_cancel_of_an_earlier_delivery_leaves_a_later_one_alone() -> None:
    """Returned, then delivered again: the new delivery is asked about."""
    back = purchase("ret", "order.returned", START_MS - HOUR_MS)
    journey = run([(START_MS, back), (START_MS, SHOP), wakeup(DUE_MS)], PROGRAM)
    assert reasons(journey) == [("p", None, None)]


def test_cancel_after_sending_changes_nothing() -> None:
    """What is sent is sent, and a cancel alone is no trigger."""
    back = purchase("ret", "order.returned", DUE_MS + 1)
    journey = run([(START_MS, SHOP), (back.time, back)], PROGRAM)
    assert reasons(journey) == [("p", None, None)]
    assert len(journey.all(SurveyDispatch)) == 1


def test_cancel_of_another_order_or_type_changes_nothing() -> None:
    """Only the rule's own cancelling types, with the same correlation id."""
    other = purchase("ret", "order.returned", START_MS + 1, order="o2")
    reopened = case("again", "case.reopened", START_MS + 1, number="o1")
    journey = run([(START_MS, SHOP), (other.time, other), (reopened.time, reopened), wakeup(DUE_MS)], PROGRAM)
    assert reasons(journey) == [("p", None, None)]


def test_first_rule_that_matches_asks() -> None:
    """Type and every `where` attribute must match; else the trigger is suppressed with `no_rule`, once."""
    picky = OPEN.rules[0].__class__(
        "vip", "v", frozenset({"x"}), {"country": frozenset({"DE"})}, 0, DAY_MS, frozenset()
    )
    asks = program(rules=[picky, rule("rest", "r", "y")], quarantine_ms=0)
    history = [purchase("1", "x", START_MS, country="DE"), purchase("2", "x", START_MS), purchase("3", "z", START_MS)]
    journey = run([(START_MS, event) for event in history], asks)
    assert [(d.trigger_id, d.rule, d.reason) for d in journey.all(Decision)] == [
        ("1", "vip", None), ("2", None, Reason.NO_RULE), ("3", None, Reason.NO_RULE)
    ]  # fmt: skip


def test_two_scheduled_one_sent() -> None:
    """Quarantine is checked again when sending: of two that were both free to be scheduled only the first is sent."""
    second = purchase("q", "order.delivered", START_MS + 1, order="o2")
    journey = run([(START_MS, SHOP), (second.time, second), wakeup(DUE_MS + DAY_MS)], PROGRAM)
    assert reasons(journey) == [("p", None, None), ("q", Reason.ASKED_RECENTLY, None)]


def test_quarantine_ends_to_the_millisecond() -> None:
    """Half open: one millisecond less is too soon."""
    asks = program(rules=[rule("r", "s", "x")])
    for short_ms, reason in ((1, Reason.ASKED_RECENTLY), (0, None)):
        again_ms = START_MS + QUARANTINE_MS - short_ms
        journey = run([(START_MS, purchase("1", "x", START_MS)), (again_ms, purchase("2", "x", again_ms))], asks)
        assert reasons(journey) == [("1", None, None), ("2", reason, None)]


def test_every_ask_counts_however_disordered_the_topics_are_read() -> None:
    """A late ask must not make an earlier-read one forgotten: the third order lies within the quarantine of both."""
    asks = program(rules=[rule("r", "s", "x")])
    day = [START_MS + number * DAY_MS for number in (12, 0, 13)]
    journey = run([(at_ms, purchase(str(at_ms), "x", at_ms)) for at_ms in day], asks)
    assert [decision.reason for decision in journey.all(Decision)] == [None, None, Reason.ASKED_RECENTLY]


def test_late_and_early_are_judged_by_the_record_alone() -> None:
    """`late` before its Kafka timestamp and `early` after it still pass; a millisecond more does not, on any clock."""
    late_ms, early_ms = 7 * DAY_MS, 300_000
    for ahead_ms in (0, 50 * DAY_MS):
        journey = run([wakeup(START_MS + ahead_ms)] if ahead_ms else [], OPEN)
        for number, back_ms in enumerate((late_ms, late_ms + 1, -early_ms, -early_ms - 1)):
            journey.take((START_MS, purchase(str(number), "order.delivered", START_MS - back_ms)))
        assert [reject.reason for reject in journey.all(Reject)] == [Reason.TOO_LATE, Reason.TOO_EARLY]
        assert {decision.trigger_id for decision in journey.all(Decision)} <= {"0", "2"}


def test_redelivery_is_ignored() -> None:
    """The same source and id thrice: one decision, one dispatch, two duplicates."""
    journey = run([(START_MS, SHOP), (START_MS + 1, SHOP), wakeup(DUE_MS), (DUE_MS + 1, SHOP)], PROGRAM)
    assert len(journey.all(Decision)) == len(journey.all(SurveyDispatch)) == 1
    assert journey.all(Ignore) == [Ignore(Reason.DUPLICATE)] * 2


def test_a_response_does_not_trigger() -> None:
    """Only purchases and support events do."""
    assert run([(START_MS, response("r", START_MS, 9))], OPEN).all(Decision) == []
