"""Erasure: all that was known goes, counts stay, nothing older comes back, and a new start needs a new consent."""

from dataclasses import replace

import pytest

from schemas.events import Decision, Erasure, SurveyDispatch
from schemas.reasons import Reason
from streams.domain.effects import Effect, Ignore, Reject
from streams.domain.ids import erasure_id, survey_id
from streams.domain.journey import is_blank, next_timer_ms
from streams.domain.panes import DAY_MS, HOUR_MS
from streams.domain.state import NEW, Contact
from tests.support.histories import (
    CUSTOMER,
    OPEN,
    START_MS,
    Moment,
    opted,
    program,
    purchase,
    response,
    rule,
    run,
    told,
    wakeup,
)

TO = survey_id(CUSTOMER, "shop", "p", "r")
ASKED: Moment = (START_MS, purchase("p", "order.delivered", START_MS))
ANSWERED: Moment = (START_MS + 1, response("a", START_MS + 1, 9, "personal words"))
ERASE_MS = START_MS + HOUR_MS
ERASE: Moment = (ERASE_MS, told("e", ERASE_MS, erased=True))
NEWS: Moment = (ERASE_MS + 1, purchase("n", "order.delivered", ERASE_MS + 1))


def after(*moments: Moment) -> list[Effect]:
    """What these lead to once a customer who was asked and answered is erased."""
    journey = run([ASKED, ANSWERED, ERASE], OPEN)
    known = len(journey.effects)
    for moment in moments:
        journey.take(moment)
    return [effect for _, effect in journey.effects[known:]]


def test_one_record_and_no_count() -> None:
    """The sinks are told once; tallies are not touched; of the journey only the time is left."""
    journey = run([ASKED, ANSWERED], OPEN)
    assert journey.take(ERASE) == [
        Erasure(erasure_id(CUSTOMER, "crm", "e"), CUSTOMER, "crm", "e", ERASE_MS, ERASE_MS, OPEN.hash, 0)
    ]
    assert journey.journey == NEW._replace(clock_ms=ERASE_MS, contact=Contact(erased_ms=ERASE_MS))
    assert not is_blank(journey.journey), "or the next event would start as if nothing had been"
    assert next_timer_ms(journey.journey, OPEN) is None


def test_what_is_scheduled_is_decided() -> None:
    """`erased`, naming the event; the ledger balances."""
    later = program([rule("r", "s", "order.delivered", DAY_MS)])
    journey = run([ASKED, ERASE, wakeup(START_MS + 9 * DAY_MS)], later)
    assert [(d.trigger_id, d.reason, d.cause_id) for d in journey.all(Decision)] == [("p", Reason.ERASED, "e")]
    assert journey.all(SurveyDispatch) == []


def test_an_answer_that_waited_is_dropped() -> None:
    """Not put into dead letters, where it could be read."""
    effects = run([ANSWERED, ERASE, wakeup(ERASE_MS + DAY_MS)], OPEN).effects
    assert [effect for _, effect in effects if isinstance(effect, Ignore | Reject)] == [Ignore(Reason.ERASED)]


@pytest.mark.parametrize(
    "older",
    [
        (ERASE_MS + 5, purchase("o", "order.delivered", ERASE_MS)),
        (ERASE_MS + 5, response("o", ERASE_MS, 2, "personal words")),
        (ERASE_MS + 5, told("o", ERASE_MS, {"feedback/email": "granted"}, time_zone="Asia/Kolkata")),
        (ERASE_MS + 5, opted("o", False, ERASE_MS)),
        ASKED,
        ANSWERED,
    ],
)
def test_what_is_older_leaves_no_trace(older: Moment) -> None:
    """Late, repeated, a consent or an answer: ignored, and nothing is published that could name the customer."""
    assert after(older) == [Ignore(Reason.ERASED)]


def test_the_same_erasure_again_is_told_once() -> None:
    """Redelivered, or another from before; a newer one is a new one."""
    assert after(ERASE) == [Ignore(Reason.DUPLICATE)]
    assert after((ERASE_MS + 5, told("f", ERASE_MS - 1, erased=True))) == [Ignore(Reason.DUPLICATE)]
    assert [type(effect) for effect in after((ERASE_MS + 5, told("f", ERASE_MS + 1, erased=True)))] == [Erasure]


def outcomes(effects: list[Effect]) -> list[str]:
    """The reason of each decision, or `sent`."""
    return [effect.reason or "sent" for effect in effects if isinstance(effect, Decision)]


def test_a_new_start_needs_a_new_consent() -> None:
    """Even where consent is assumed: nobody is asked until they say so after the erasure."""
    assert outcomes(after(NEWS)) == [Reason.NO_CONSENT]
    assert outcomes(after((ERASE_MS + 1, opted("u", False, ERASE_MS + 1)), NEWS)) == ["sent"]
    assert outcomes(after((ERASE_MS + 1, told("u", ERASE_MS + 1, {"feedback/sms": "granted"})), NEWS)) == ["sent"]
    assert outcomes(after((ERASE_MS + 1, told("u", ERASE_MS + 1, {"news/sms": "granted"})), NEWS)) == [
        Reason.NO_CONSENT
    ]
    assert outcomes(after((ERASE_MS + 1, opted("u", True, ERASE_MS + 1)), NEWS)) == [Reason.OPTED_OUT]


def test_a_new_consent_is_for_its_channel() -> None:
    """With channels, only those that were consented to since."""
    asks = replace(OPEN, rules=(replace(OPEN.rules[0], channels=("email", "sms")),))
    yes: Moment = (ERASE_MS + 1, told("u", ERASE_MS + 1, {"feedback/sms": "granted"}))
    journey = run([ERASE, yes, NEWS], asks)
    assert [dispatch.channel for dispatch in journey.all(SurveyDispatch)] == ["sms"]


def test_what_happened_later_stays_though_it_was_read_before() -> None:
    """A consent and a purchase from after the erasure, read before it: as if read after it."""
    asks = program([rule("r", "s", "order.delivered", DAY_MS)])
    yes = opted("u", False, ERASE_MS + 1)
    bought = purchase("n", "order.delivered", ERASE_MS + 2)
    at_ms = ERASE_MS + 10
    late: Moment = (at_ms, told("e", ERASE_MS, erased=True))
    for order in ([(at_ms, yes), (at_ms, bought), late], [late, (at_ms, yes), (at_ms, bought)]):
        journey = run([*order, wakeup(ERASE_MS + 2 * DAY_MS)], asks)
        assert [(d.trigger_id, d.reason) for d in journey.all(Decision)] == [("n", None)]
