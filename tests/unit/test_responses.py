"""Responses by example: parts, corrections and withdrawals in their minute, held answers, and what is refused."""

from collections import Counter

import pytest

from schemas.events import Alert
from schemas.reasons import Reason
from streams.domain.effects import Count, Effect, Reject, Requeue
from streams.domain.nps import Band
from streams.domain.panes import DAY_MS, HOUR_MS, MINUTE_MS
from tests.support.answers import ASKED, EXPIRES_MS, FIRST_MS, SEGMENTS, SURVEY, net, told
from tests.support.histories import (
    CUSTOMER,
    OPEN,
    START_MS,
    program,
    purchase,
    response,
    rule,
    run,
    wakeup,
)


def counts(effects: list[Effect]) -> list[tuple[Band, int]]:
    """Bands and signs."""
    return [(effect.band, effect.sign) for effect in effects if isinstance(effect, Count)]


def test_comment_after_score_changes_no_count() -> None:
    """The score counts at once; the comment makes a second revision of the same answer."""
    journey = told([response("a", FIRST_MS, 9)])
    assert counts(journey.take((FIRST_MS + DAY_MS, response("b", FIRST_MS + 1, None, "lovely")))) == []
    assert (journey.answers[SURVEY].revision, journey.answers[SURVEY].comment) == (2, "lovely")


def test_comment_before_score_is_kept_but_not_counted() -> None:
    """A comment alone is flagged; the score that follows counts in its own minute."""
    journey = told([response("b", FIRST_MS, None, "lovely")])
    assert (journey.answers[SURVEY].flag, net(journey)) == (Reason.NO_SCORE, Counter())
    effects = journey.take((FIRST_MS + DAY_MS, response("a", FIRST_MS + 2 * MINUTE_MS, 9)))
    assert effects[0] == Count(SEGMENTS, FIRST_MS + 2 * MINUTE_MS, Band.PROMOTER, 1)
    assert journey.answers[SURVEY].comment == "lovely"


def test_correction_moves_one_answer_in_its_own_minute() -> None:
    """3, then 9 the next day: one detractor less and one promoter more, in the minute of the 3."""
    journey = told([response("a", FIRST_MS, 3)])
    effects = journey.take((FIRST_MS + DAY_MS, response("b", FIRST_MS + DAY_MS, 9)))
    assert effects[:2] == [Count(SEGMENTS, FIRST_MS, Band.DETRACTOR, -1), Count(SEGMENTS, FIRST_MS, Band.PROMOTER, 1)]
    assert journey.answers[SURVEY].answered_ms == FIRST_MS


def test_correction_within_a_band_changes_no_count() -> None:
    """9 to 10 is a new revision, not a new answer."""
    journey = told([response("a", FIRST_MS, 9)])
    assert counts(journey.take((FIRST_MS + DAY_MS, response("b", FIRST_MS + 1, 10)))) == []
    assert journey.answers[SURVEY].score == 10


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1], [1, 2, 0]])
def test_a_withdrawal_takes_the_comment_with_it(order: list[int]) -> None:
    """In whatever order they come, neither the answer nor the alert that resolves repeats what was withdrawn."""
    said = [response("a", FIRST_MS, 2), response("b", FIRST_MS + 1, None, "my mail is ana@example.com"),
            response("void", FIRST_MS + 2, voided=True)]  # fmt: skip
    journey = told([said[place] for place in order])
    answer = journey.answers[SURVEY]
    assert (answer.score, answer.comment, answer.flag) == (None, None, Reason.VOIDED)
    assert [(alert.status, alert.comment) for alert in journey.all(Alert) if alert.score is None] == (
        [("resolved", None)] if order[-1] == 2 else []
    )
    journey.take((FIRST_MS + DAY_MS, response("c", FIRST_MS + 3, 9, "thank you")))
    assert (journey.answers[SURVEY].score, journey.answers[SURVEY].comment) == (9, "thank you")


def test_withdrawn_then_answered_by_a_human() -> None:
    """A scanner's click is withdrawn and resolves its alert; a later score counts in its own minute."""
    clicks = [response("bot", FIRST_MS, 0), response("void", FIRST_MS + 1_000, voided=True)]
    journey = told(clicks)
    assert (journey.answers[SURVEY].flag, journey.answers[SURVEY].score, net(journey)) == (
        Reason.VOIDED,
        None,
        Counter(),
    )
    assert [alert.status for alert in journey.alerts] == ["open", "resolved"]
    journey.take((FIRST_MS + 2 * DAY_MS + 9, response("human", FIRST_MS + HOUR_MS, 10)))
    assert net(journey) == Counter({((FIRST_MS + HOUR_MS) // MINUTE_MS, Band.PROMOTER): 1})


@pytest.mark.parametrize(("late_ms", "flag"), [(-1, None), (0, Reason.EXPIRED)])
def test_expiry_to_the_millisecond(late_ms: int, flag: str | None) -> None:
    """An answer at its expiry is kept, flagged, not counted and pages nobody; a millisecond earlier it counts."""
    journey = run([ASKED], OPEN)
    journey.take((EXPIRES_MS + late_ms, response("a", EXPIRES_MS + late_ms, 0, "slow")))
    assert (journey.answers[SURVEY].flag, journey.answers[SURVEY].score) == (flag, 0)
    assert len(net(journey)) == len(journey.alerts) == int(flag is None)


def test_corrections_end_to_the_millisecond() -> None:
    """At first score + edit a correction still counts; a millisecond later it is a dead letter and no revision."""
    end_ms = FIRST_MS + OPEN.limits.edit_ms
    journey = run([ASKED, (FIRST_MS, response("a", FIRST_MS, 3)), (end_ms, response("b", end_ms, 7))], OPEN)
    assert [type(e) for e in journey.take((end_ms, response("c", end_ms + 1, 9)))] == [Reject]
    assert journey.all(Reject)[0].reason is Reason.EDIT_CLOSED
    assert (journey.answers[SURVEY].score, journey.answers[SURVEY].revision) == (7, 2)


def test_the_edit_window_does_not_care_for_order() -> None:
    """A correction outside the window of an earlier score never holds, also when it came first."""
    beyond_ms = FIRST_MS + OPEN.limits.edit_ms + 1
    first, beyond = (FIRST_MS, response("a", FIRST_MS, 3)), (beyond_ms, response("b", beyond_ms, 10))
    for history in ([ASKED, first, beyond], [ASKED, beyond, first]):
        journey = run(history, OPEN)
        assert journey.answers[SURVEY].score == 3
        assert net(journey) == Counter({(FIRST_MS // MINUTE_MS, Band.DETRACTOR): 1})


def test_empty_response_is_rejected() -> None:
    """Neither score nor comment nor withdrawal."""
    assert [r.reason for r in told([response("a", FIRST_MS)]).all(Reject)] == [Reason.EMPTY_RESPONSE]


def test_answer_before_its_survey_waits_for_it() -> None:
    """A response to a survey that is not sent yet is held, put back when it is sent, and then counts.

    response   trigger      due: sent, response put back
       |----------|-----------|
    """
    asks = program(rules=[rule("r", "s", "order.delivered", delay_ms=HOUR_MS)], quarantine_ms=0, park_ms=2 * HOUR_MS)
    early = (START_MS - 1, response("a", START_MS - 1, 9))
    journey = run([early, ASKED], asks)
    assert not journey.answers
    assert len(journey.journey.parked) == 1
    journey.take(wakeup(START_MS + HOUR_MS))
    assert len(journey.all(Requeue)) == 1
    assert journey.answers[SURVEY].score == 9
    assert not journey.journey.parked
    assert journey.all(Reject) == []


def test_only_a_wakeup_gives_up_and_only_after_hold() -> None:
    """An unknown survey's response is a dead letter `hold` after it came, with its own evidence, once."""
    unknown = (START_MS, response("a", START_MS, 9, survey="nobody's"))
    journey = run([unknown], OPEN)
    journey.take((START_MS + DAY_MS, purchase("p", "order.delivered", START_MS + DAY_MS)))
    journey.take(wakeup(START_MS + HOUR_MS - 1))
    assert journey.all(Reject) == []
    journey.take(wakeup(START_MS + DAY_MS))
    journey.take(wakeup(START_MS + DAY_MS))
    (reject,) = journey.all(Reject)
    assert reject.reason is Reason.UNKNOWN_SURVEY
    assert reject.raw is not None
    assert journey.kept[reject.raw] == unknown


def test_hold_ends_to_the_millisecond() -> None:
    """Not given up before, given up at its time."""
    journey = run([(START_MS, response("a", START_MS, 9, survey="?")), wakeup(START_MS + HOUR_MS - 1)], OPEN)
    assert journey.all(Reject) == []
    assert len([e for e in journey.take(wakeup(START_MS + HOUR_MS)) if isinstance(e, Reject)]) == 1


def test_a_survey_about_to_be_sent_is_not_given_up() -> None:
    """While its survey is pending a response is held beyond `hold`."""
    asks = program(rules=[rule("r", "s", "order.delivered", delay_ms=DAY_MS)], quarantine_ms=0)
    journey = run([(START_MS, response("a", START_MS, 9)), ASKED, wakeup(START_MS + 5 * HOUR_MS)], asks)
    assert journey.all(Reject) == []
    journey.take(wakeup(START_MS + DAY_MS))
    assert journey.answers[SURVEY].score == 9


def test_another_customers_survey_is_unknown() -> None:
    """A survey belongs to the journey it was sent on."""
    stranger = run([], OPEN)
    stranger.take((FIRST_MS, response("a", FIRST_MS, 9)))
    assert stranger.answers == {}
    assert ASKED[1].customer_id == CUSTOMER
