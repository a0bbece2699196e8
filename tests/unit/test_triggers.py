"""Triggers by example: cancels, quarantines and rules decide each to the millisecond."""

from schemas.events import Decision, SurveyDispatch
from schemas.reasons import Reason
from streams.domain.effects import Ignore, Reject
from streams.domain.panes import DAY_MS, HOUR_MS
from tests.support.histories import (
    OPEN,
    PROGRAM,
    QUARANTINE_MS,
    START_MS,
    Run,
    case,
    program,
    purchase,
    response,
    rule,
    run,
    wakeup,
)


def test_quarantine_outlives_a_clock_that_ran_ahead() -> None:
    """A trigger read after the quarantine's end, though written before it, is still too soon.

    written:   asked ................ trigger | quarantine ends
    read:      asked .......................................... trigger
    """
    asks, early_ms = program(rules=[rule("r", "s", "x")]), START_MS + QUARANTINE_MS - HOUR_MS
    history = [(START_MS, purchase("1", "x", START_MS)), wakeup(START_MS + QUARANTINE_MS + HOUR_MS)]
    journey = run([*history, (early_ms, purchase("2", "x", early_ms))], asks)
    assert reasons(journey) == [("1", None, None), ("2", Reason.ASKED_RECENTLY, None)]


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
