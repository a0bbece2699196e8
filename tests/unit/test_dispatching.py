"""Sending by example: who goes first, what is too late, what waits for morning, whom to remind, what ends a survey."""

from dataclasses import replace

import pytest

from schemas.events import Answer, ContactUpdate, Decision, Purchase, SurveyDispatch, SurveyResponse
from schemas.reasons import Reason
from streams.domain.conditions import AtLeast, Exists
from streams.domain.effects import Count
from streams.domain.hours import Hours
from streams.domain.ids import survey_id
from streams.domain.journey import next_timer_ms, step
from streams.domain.panes import DAY_MS, HOUR_MS
from streams.domain.policy import Rule
from tests.support.clicks import click
from tests.support.histories import (
    CUSTOMER,
    QUARANTINE_MS,
    START_MS,
    Moment,
    Run,
    opted,
    program,
    purchase,
    response,
    rule,
    run,
    told,
    wakeup,
)

MIDNIGHT_MS = START_MS // DAY_MS * DAY_MS
NINE_MS = MIDNIGHT_MS + 9 * HOUR_MS
DAYTIME = Hours(9 * HOUR_MS, 20 * HOUR_MS)


def asking(on: str = "x", delay_ms: int = 0, **more: object) -> Rule:
    """A rule of its own name after `on`, with whatever else it says."""
    given: dict[str, object] = {"name": f"after-{on}", "survey": on, **more}
    return replace(rule("r", "s", on, delay_ms), **given)  # type: ignore[arg-type]


def decided(journey: Run) -> dict[str, str]:
    """Of each trigger the reason, or `sent`."""
    return {decision.trigger_id: decision.reason or "sent" for decision in journey.all(Decision)}


def sent(journey: Run) -> list[tuple[int, int]]:
    """Reminder number and due time of each message."""
    return [(dispatch.reminder, dispatch.due_ms) for dispatch in journey.all(SurveyDispatch)]


def both(low: Purchase, high: Purchase, lower: int = 0, higher: int = 1) -> Run:
    """Two triggers that compete: `low` is due a day before `high`."""
    rules = [asking("low", DAY_MS, priority=lower), asking("high", 2 * DAY_MS, priority=higher)]
    ends = wakeup(START_MS + 30 * DAY_MS)
    return run([*sorted([(low.time, low), (high.time, high)], key=lambda m: m[0]), ends], program(rules))


LOW, HIGH = purchase("low", "low", START_MS), purchase("high", "high", START_MS + 1)


def test_of_two_that_compete_the_higher_priority_is_sent() -> None:
    """Though the other was due before; the loser names the winner."""
    journey = both(LOW, HIGH)
    assert decided(journey) == {"low": Reason.ALREADY_PENDING, "high": "sent"}
    assert journey.all(Decision)[0].cause_id == "high"


@pytest.mark.parametrize(("lower", "higher"), [(0, 0), (1, 0)])
def test_of_equals_the_earlier_is_sent(lower: int, higher: int) -> None:
    """The other then comes too soon after it."""
    assert decided(both(LOW, HIGH, lower, higher)) == {"low": "sent", "high": Reason.ASKED_RECENTLY}


def test_who_does_not_compete_does_not_lose() -> None:
    """The higher one is far enough away."""
    assert decided(both(LOW, HIGH._replace(time=START_MS - DAY_MS + QUARANTINE_MS))) == {"low": "sent", "high": "sent"}


def test_a_rival_that_could_not_be_sent_is_none() -> None:
    """The higher one's only channel bounced: waiting for it would ask nobody."""
    rules = [asking("low", DAY_MS), asking("high", 2 * DAY_MS, priority=1, channels=("sms",))]
    bounced = told("u", START_MS + 2, bounces={"sms": "bounced"})
    history: list[Moment] = [(START_MS, LOW), (START_MS + 1, HIGH), (START_MS + 2, bounced)]
    journey = run([*history, wakeup(START_MS + 9 * DAY_MS)], program(rules))
    assert decided(journey) == {"low": "sent", "high": Reason.ASKED_RECENTLY}


def test_what_was_sent_is_sent() -> None:
    """A higher priority that comes after sending is too late for it."""
    late = HIGH._replace(time=START_MS + DAY_MS + 1)
    assert decided(both(LOW, late)) == {"low": "sent", "high": Reason.ASKED_RECENTLY}


def test_too_late_is_missed_unless_it_is_history() -> None:
    """Up to `send_within` after its due time it is sent, a millisecond later not; history always, at its due time."""
    strict = program([asking(delay_ms=HOUR_MS, send_within_ms=DAY_MS)])
    for late_ms, history, outcome in (
        (DAY_MS, False, "sent"),
        (DAY_MS + 1, False, "missed"),
        (99 * DAY_MS, True, "sent"),
    ):
        journey = Run(strict, history=history)
        journey.take((START_MS, purchase("p", "x", START_MS)))
        journey.take(wakeup(START_MS + HOUR_MS + late_ms))
        assert decided(journey) == {"p": outcome}
        assert [dispatch.due_ms for dispatch in journey.all(SurveyDispatch)] == [START_MS + HOUR_MS] * (
            outcome == "sent"
        )


def test_a_missed_survey_takes_no_place() -> None:
    """Nobody was asked, so the next trigger may ask."""
    strict = program([asking(delay_ms=HOUR_MS, send_within_ms=DAY_MS)])
    again = purchase("q", "x", START_MS + 3 * DAY_MS)
    journey = run([(START_MS, purchase("p", "x", START_MS)), (again.time, again), wakeup(again.time + HOUR_MS)], strict)
    assert decided(journey) == {"p": "missed", "q": "sent"}


def test_a_trigger_loaded_as_history_stays_so() -> None:
    """It is remembered with the trigger: a live wakeup that comes years later still sends it at its due time."""
    strict = program([asking(delay_ms=HOUR_MS, send_within_ms=DAY_MS)])
    journey, _ = step(Run(strict).journey, purchase("p", "x", START_MS), strict, START_MS, history=True)
    _, effects = step(journey, wakeup(START_MS + 700 * DAY_MS)[1], strict, START_MS + 700 * DAY_MS)
    assert [effect.due_ms for effect in effects if isinstance(effect, SurveyDispatch)] == [START_MS + HOUR_MS]


def test_found_at_night_it_waits_for_the_morning() -> None:
    """Due at seven in the evening, found at eleven: it leaves at nine, though it was due within the hours."""
    daytime = program([asking(hours=DAYTIME, delay_ms=HOUR_MS, send_within_ms=DAY_MS)])
    bought = purchase("p", "x", MIDNIGHT_MS + 18 * HOUR_MS)
    journey = run([(bought.time, bought), wakeup(MIDNIGHT_MS + 23 * HOUR_MS)], daytime)
    assert journey.all(SurveyDispatch) == []
    assert next_timer_ms(journey.journey, daytime) == NINE_MS + DAY_MS
    journey.take(wakeup(NINE_MS + DAY_MS))
    assert sent(journey) == [(0, NINE_MS + DAY_MS)]


def test_a_customer_who_moves_is_asked_by_the_new_clock() -> None:
    """Scheduled for nine in Berlin, moved to Sao Paulo meanwhile: nine there."""
    daytime = program([asking(hours=replace(DAYTIME, time_zone="Europe/Berlin"))])
    bought = purchase("p", "x", MIDNIGHT_MS + 3 * HOUR_MS)
    moved = told("u", bought.time + 1, time_zone="America/Sao_Paulo")
    journey = Run(daytime, history=True)
    history: list[Moment] = [(bought.time, bought), (moved.time, moved), wakeup(MIDNIGHT_MS + 2 * DAY_MS)]
    for moment in history:
        journey.take(moment)
    assert sent(journey) == [(0, MIDNIGHT_MS + 12 * HOUR_MS)]


def test_ten_thousand_that_wait_for_the_morning_do_not_leave_at_once() -> None:
    """Spread over the first hour: no second of it has more than a few, none is early."""
    spread = program([asking(hours=replace(DAYTIME, jitter_ms=HOUR_MS))])
    due = []
    for number in range(10_000):
        bought = purchase(f"p{number}", "x", MIDNIGHT_MS + HOUR_MS)
        due.append(step(Run(spread).journey, bought, spread, bought.time)[0].pending[0].due_ms)
    seconds = [at_ms // 1000 for at_ms in due]
    assert min(due) >= NINE_MS
    assert max(due) < NINE_MS + HOUR_MS
    assert max(seconds.count(second) for second in set(seconds)) <= 15
    assert max(due) - min(due) > 59 * 60_000


REMINDING = program([asking(reminders=2, remind_after_ms=3 * DAY_MS, hours=DAYTIME, send_within_ms=DAY_MS)])
ASKED = purchase("p", "x", NINE_MS)
TO = survey_id(CUSTOMER, "shop", "p", "after-x")


def reminded(*between: Moment) -> Run:
    """A survey sent at nine, what happens then, and a wakeup each day at noon."""
    days = [wakeup(NINE_MS + day * DAY_MS + 3 * HOUR_MS) for day in range(12)]
    return run([(NINE_MS, ASKED), *sorted([*between, *days], key=lambda moment: moment[0])], REMINDING)


def test_reminders_until_the_last() -> None:
    """Every three days, twice: same survey and expiry, counted up; no decision of their own, and woken for."""
    journey = reminded()
    assert sent(journey) == [(number, NINE_MS + number * 3 * DAY_MS) for number in (0, 1, 2)]
    assert len({(d.survey_id, d.expires_ms) for d in journey.all(SurveyDispatch)}) == 1
    assert len(journey.all(Decision)) == 1
    assert next_timer_ms(run([(NINE_MS, ASKED)], REMINDING).journey, REMINDING) == NINE_MS + 3 * DAY_MS


@pytest.mark.parametrize(
    ("event", "messages"),
    [
        (response("r", NINE_MS + DAY_MS, 9, survey=TO), 1),
        (response("r", NINE_MS + DAY_MS, None, "words", survey=TO), 1),
        (response("r", NINE_MS + 4 * DAY_MS, 9, survey=TO), 2),
        (response("r", NINE_MS + DAY_MS, None, None, True, survey=TO), 3),
        (opted("u", True, NINE_MS + DAY_MS), 1),
        (told("u", NINE_MS + DAY_MS, {"feedback/*": "withdrawn"}), 1),
        (told("u", NINE_MS + DAY_MS, erased=True), 1),
    ],
)
def test_no_reminder_after_an_answer_or_a_no(event: SurveyResponse | ContactUpdate, messages: int) -> None:
    """Whoever answered, even in words alone, or wants to hear no more, gets none; a withdrawn answer is none."""
    assert len(sent(reminded((event.time, event)))) == messages


def test_an_answer_that_was_read_before_its_survey_needs_no_reminder() -> None:
    """It is put back and will count."""
    early: Moment = (NINE_MS - 1, response("r", NINE_MS - 1, 9, survey=TO))
    journey = run([early, (NINE_MS, ASKED), wakeup(NINE_MS + 3 * DAY_MS)], REMINDING)
    assert sent(journey) == [(0, NINE_MS)]


@pytest.mark.parametrize("woken_ms", [(), (NINE_MS + 3 * DAY_MS,)])
def test_a_reminder_does_not_wait_for_a_machine(woken_ms: tuple[int, ...]) -> None:
    """Three scores at one instant are no person's: it leaves at its own time, whether or not somebody is woken then."""
    at_ms = NINE_MS + 3 * DAY_MS - 1_000
    scan = [(at_ms, click(at_ms, score)._replace(survey_id=TO)) for score in (0, 5, 10)]
    woken = [wakeup(at) for at in (*woken_ms, NINE_MS + 4 * DAY_MS)]
    journey = run([(NINE_MS, ASKED), *scan, *woken], REMINDING)
    assert sent(journey)[:2] == [(0, NINE_MS), (1, NINE_MS + 3 * DAY_MS)]


def test_a_reminder_that_is_too_late_is_left_out() -> None:
    """And so are those after it."""
    journey = run([(NINE_MS, ASKED), wakeup(NINE_MS + 4 * DAY_MS + 1), wakeup(NINE_MS + 9 * DAY_MS)], REMINDING)
    assert sent(journey) == [(0, NINE_MS)]


CLOSING = program([replace(asking(), cancel_on=frozenset({"back"}), cancel_closes=True)], quarantine_ms=0)
BACK = purchase("b", "back", START_MS + 5)


@pytest.mark.parametrize("order", ["answer first", "cancel first"])
@pytest.mark.parametrize(
    ("answered_ms", "counts"), [(START_MS + 4, True), (START_MS + 5, False), (START_MS + 9, False)]
)
def test_a_cancel_after_sending_ends_the_survey(order: str, answered_ms: int, counts: bool) -> None:
    """What was first answered before it counts, also when corrected later; what came after is kept and flagged.

    An answer that was counted before the cancel was read stays as it is: only responses touch the tallies.
    """
    to = survey_id(CUSTOMER, "shop", "p", "after-x")
    answer: Moment = (START_MS + 9, response("r", answered_ms, 9, survey=to))
    cancel: Moment = (START_MS + 9, BACK)
    history = [answer, cancel] if order == "answer first" else [cancel, answer]
    journey = run([(START_MS, purchase("p", "x", START_MS)), *history], CLOSING)
    (last,) = journey.all(Answer)
    counted = counts or order == "answer first"
    assert (last.counted, last.flag) == (counted, None if counted else Reason.CANCELLED)
    assert sum(count.sign for count in journey.all(Count)) == counted
    assert last.score == 9


def test_only_its_own_cancel_ends_a_survey() -> None:
    """Another order's, another type's, or one from before the trigger leave it open."""
    to = survey_id(CUSTOMER, "shop", "p", "after-x")
    for other in (BACK._replace(order_id="o2"), BACK._replace(type="lost"), BACK._replace(time=START_MS - 1)):
        answer: Moment = (START_MS + 9, response("r", START_MS + 9, 9, survey=to))
        journey = run([(START_MS, purchase("p", "x", START_MS)), (START_MS + 9, other), answer], CLOSING)
        assert journey.answers[to].counted


def test_without_cancel_closes_a_survey_stays_open() -> None:
    """What is sent is sent."""
    asks = program([replace(asking(), cancel_on=frozenset({"back"}))], quarantine_ms=0)
    answer: Moment = (START_MS + 9, response("r", START_MS + 9, 9, survey=survey_id(CUSTOMER, "shop", "p", "after-x")))
    journey = run([(START_MS, purchase("p", "x", START_MS)), (START_MS + 9, BACK), answer], asks)
    assert [answer.counted for answer in journey.all(Answer)] == [True]


def test_at_most_so_many_a_day() -> None:
    """Within 24 hours, of this rule; whatever the quarantine allows."""
    asks = program([asking(daily_limit=2), asking("y")], quarantine_ms=0)
    times = [0, HOUR_MS, 2 * HOUR_MS, DAY_MS, DAY_MS + HOUR_MS - 1]
    history: list[Moment] = [(START_MS + at, purchase(f"p{at}", "x", START_MS + at)) for at in times]
    journey = run([*history, (START_MS + 2 * DAY_MS, purchase("y", "y", START_MS + DAY_MS))], asks)
    limit = Reason.DAILY_LIMIT
    assert list(decided(journey).values()) == ["sent", "sent", limit, "sent", limit, "sent"]


def test_a_type_that_is_not_registered() -> None:
    """Unknown where the program lists its types, without a rule where it does not."""
    for events, reason in ((frozenset({"x"}), Reason.UNKNOWN_TYPE), (frozenset[str](), Reason.NO_RULE)):
        asks = replace(program([asking()]), events=events)
        assert decided(run([(START_MS, purchase("p", "z", START_MS))], asks)) == {"p": reason}


def priced(amount: int | None, **attributes: str) -> str | None:
    """Which of two rules asks: the one for whoever spent 100 or more, or the one for guests."""
    rules = [
        asking(where={"amount_minor": AtLeast(100)}),
        replace(asking(where={"guest": Exists(True)}), name="guests"),
    ]
    bought = purchase("p", "x", START_MS)._replace(amount_minor=amount, currency="EUR", attributes=attributes)
    return run([(START_MS, bought)], program(rules)).all(Decision)[0].rule


def test_what_a_purchase_cost_can_be_asked_for() -> None:
    """Like an attribute; the amount itself wins over an attribute of its name."""
    assert priced(100) == "after-x"
    assert priced(99, amount_minor="500") is None
    assert priced(None, amount_minor="500", guest="") == "after-x"
    assert priced(None, guest="") == "guests"
    assert priced(None) is None


def test_a_dispatch_says_what_its_contract_lists_and_nothing_else() -> None:
    """Of the trigger's attributes only those that the rule names; question, probability and lag beside them."""
    asks = program([asking(delay_ms=HOUR_MS, personalise=("first_name", "amount_minor", "nickname"), sample=0.999,
                           question="nps", question_version=3)])  # fmt: skip
    bought = purchase("p", "x", START_MS)._replace(
        amount_minor=1999, attributes={"first_name": "Ana", "country": "BR", "card": "4111"}
    )
    journey = run([(START_MS, bought), wakeup(START_MS + HOUR_MS)], asks)
    [dispatch], [decision] = journey.all(SurveyDispatch), journey.all(Decision)
    assert dispatch.personalisation == {"first_name": "Ana", "amount_minor": "1999"}
    assert "4111" not in repr(journey.effects)
    for told_ in (dispatch, decision):
        assert (told_.question, told_.question_version, told_.probability, told_.lag_ms) == ("nps", 3, 0.999, HOUR_MS)
    assert (dispatch.token, dispatch.channel, dispatch.locale, dispatch.customer_id) == (None, None, None, CUSTOMER)


def test_sampled_out_is_decided_at_once_and_for_ever() -> None:
    """The same customer under the same rule, whatever the trigger; the decision says how likely it was."""
    asks = program([asking(sample=1e-9)])
    journey = run([(START_MS + n, purchase(f"p{n}", "x", START_MS)) for n in range(9)], asks)
    assert set(decided(journey).values()) == {Reason.SAMPLED_OUT}
    assert {decision.probability for decision in journey.all(Decision)} == {1e-9}
