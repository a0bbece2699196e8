"""Provisional answers: a click waits and then counts in its own minute; a machine's never does, whatever came when."""

import random
from collections import Counter
from collections.abc import Sequence

import pytest

from schemas.events import Alert, Answer, SurveyResponse
from schemas.reasons import Reason
from streams.domain.effects import Confirm, Count, Effect, Ignore, Reject
from streams.domain.journey import next_timer_ms
from streams.domain.nps import Band
from streams.domain.panes import DAY_MS, MINUTE_MS
from streams.domain.parts import NO_ANSWER
from tests.support.answers import ASKED, EXPIRES_MS, FIRST_MS, SEGMENTS, SURVEY, net
from tests.support.clicks import WAIT_MS, beacon, click, head, trap, visited, waited
from tests.support.histories import OPEN, START_MS, purchase, response, run, wakeup


def only(effects: Sequence[Effect], kind: type) -> list[Effect]:
    """The effects of a kind."""
    return [effect for effect in effects if isinstance(effect, kind)]


def test_a_click_counts_when_its_time_is_over_and_in_its_own_minute() -> None:
    """Not a millisecond before; put back under the click's time and a name of its own, it counts as any answer.

    click                 confirmed
      |------- 30 s --------|
    """
    journey = run([ASKED, (FIRST_MS, click(FIRST_MS, 3))], OPEN)
    assert not journey.answers
    assert next_timer_ms(journey.journey, OPEN) == FIRST_MS + WAIT_MS
    assert journey.take(wakeup(FIRST_MS + WAIT_MS - 1)) == []
    assert journey.take(wakeup(FIRST_MS + WAIT_MS)) == [Confirm(waited(FIRST_MS, 3), FIRST_MS + WAIT_MS)]
    assert journey.take(wakeup(FIRST_MS + DAY_MS)) == []
    effects = journey.take((FIRST_MS + WAIT_MS, waited(FIRST_MS, 3)))
    assert effects[0] == Count(SEGMENTS, FIRST_MS, Band.DETRACTOR, 1)
    assert [type(effect) for effect in effects[1:]] == [Answer, Alert]


def test_any_topic_moves_the_clock() -> None:
    """A purchase after the wait confirms as a wakeup does; it counts nothing itself."""
    journey = run([ASKED, (FIRST_MS, click(FIRST_MS, 9))], OPEN)
    effects = journey.take((FIRST_MS + DAY_MS, purchase("other", "order.placed", FIRST_MS + DAY_MS)))
    assert only(effects, Confirm) == [Confirm(waited(FIRST_MS, 9), FIRST_MS + WAIT_MS)]
    assert not only(effects, Count)


def test_a_click_that_comes_late_waits_from_then() -> None:
    """The wait begins when the click is read, so a burst that was held up together is still seen as one."""
    journey = run([ASKED, (FIRST_MS + DAY_MS, click(FIRST_MS, 3))], OPEN)
    for second, score in enumerate((5, 7), 1):
        assert journey.take((FIRST_MS + DAY_MS + second, click(FIRST_MS + second, score))) == []
    assert journey.take(wakeup(FIRST_MS + 2 * DAY_MS)) == []


def test_a_confirmation_is_never_too_late() -> None:
    """A click taken at the last moment of `late` is put back with a Kafka timestamp that is still good."""
    last_ms = FIRST_MS + OPEN.limits.late_ms
    journey = run([ASKED, (last_ms, click(FIRST_MS, 3)), wakeup(last_ms + DAY_MS)], OPEN)
    (confirm,) = journey.all(Confirm)
    journey.take((confirm.at_ms, confirm.response))
    assert journey.answers[SURVEY].counted
    assert not journey.all(Reject)


@pytest.mark.parametrize("confirming", [beacon(FIRST_MS, 3), response("c", FIRST_MS + 9_000, None, "late again")])
def test_a_person_confirms_at_once(confirming: SurveyResponse) -> None:
    """The page's beacon, or a comment: the answer counts in the click's minute, and once."""
    journey = run([ASKED, (FIRST_MS, click(FIRST_MS, 3))], OPEN)
    effects = journey.take((FIRST_MS + 9_000, confirming))
    assert effects[0] == Count(SEGMENTS, FIRST_MS, Band.DETRACTOR, 1)
    assert journey.answers[SURVEY].comment == confirming.comment
    assert journey.take(wakeup(FIRST_MS + DAY_MS)) == []


def test_a_scanner_leaves_nothing() -> None:
    """Every score, and the trap: no answer, no count, no alert, however long one waits."""
    scan = [(FIRST_MS + n, click(FIRST_MS + n, n)) for n in range(11)]
    journey = run([ASKED, *scan, (FIRST_MS + 99, trap(FIRST_MS + 99)), wakeup(FIRST_MS + DAY_MS)], OPEN)
    assert [type(effect) for _, effect in journey.effects if not isinstance(effect, Count)][2:] == []
    assert not journey.all(Count)


def test_a_machine_found_out_too_late_is_taken_back() -> None:
    """One click was confirmed by a beacon; the third score voids it, and its alert resolves."""
    journey = run([ASKED, (FIRST_MS, click(FIRST_MS, 0)), (FIRST_MS + 1, beacon(FIRST_MS, 0))], OPEN)
    assert [alert.status for alert in journey.alerts] == ["open"]
    journey.take((FIRST_MS + 2, click(FIRST_MS + 2, 5)))
    journey.take((FIRST_MS + 3, click(FIRST_MS + 3, 9)))
    assert (journey.answers[SURVEY].flag, journey.answers[SURVEY].counted) == (Reason.VOIDED, False)
    assert net(journey) == Counter()
    assert [alert.status for alert in journey.alerts] == ["open", "resolved"]
    assert journey.take((FIRST_MS + 4, beacon(FIRST_MS + 2, 5))) == [Ignore(Reason.SUPERSEDED)]


@pytest.mark.parametrize("human", [click(FIRST_MS + WAIT_MS + 1, 8), response("p", FIRST_MS + 500, 8, "a person")])
def test_a_later_human_answer_still_counts(human: SurveyResponse) -> None:
    """A click after the scan, or what a person writes even during it."""
    scan = [(FIRST_MS, click(FIRST_MS, n)) for n in (0, 5, 10)]
    journey = run([ASKED, *scan, (FIRST_MS + 1, trap(FIRST_MS + 1)), (human.time, human)], OPEN)
    journey.take(wakeup(FIRST_MS + DAY_MS))
    for confirm in journey.all(Confirm):
        journey.take((confirm.at_ms, confirm.response))
    assert (journey.answers[SURVEY].score, journey.answers[SURVEY].counted) == (8, True)
    assert net(journey) == Counter({(human.time // MINUTE_MS, Band.PASSIVE): 1})


def test_the_confirmation_of_a_machine_shows_nobody() -> None:
    """A page that only a scanner looked at confirms no other click, however often it says so."""
    scan = [(FIRST_MS, click(FIRST_MS, n)) for n in (0, 5, 10)]
    later_ms = FIRST_MS + WAIT_MS
    journey = run([ASKED, *scan, (later_ms, click(later_ms, 8))], OPEN)
    for _ in range(2):
        assert journey.take((later_ms + 1, beacon(FIRST_MS, 5))) == [Ignore(Reason.SUPERSEDED)]
    assert not journey.answers


def test_a_trap_takes_nothing_from_a_person() -> None:
    """Yesterday's answer stands when today a scanner looks at the old mail; a score that nobody clicked does too."""
    journey = run([ASKED, (FIRST_MS, response("r", FIRST_MS, 9)), (FIRST_MS, click(FIRST_MS, 9))], OPEN)
    journey.take((FIRST_MS + 1, trap(FIRST_MS + 1)))
    journey.take((FIRST_MS + DAY_MS, trap(FIRST_MS + DAY_MS)))
    assert (journey.answers[SURVEY].score, journey.answers[SURVEY].counted) == (9, True)


def test_two_scores_are_a_change_of_mind() -> None:
    """Two links, and the same ones again: the later score holds in the first one's minute."""
    said = [click(FIRST_MS, 3), click(FIRST_MS + 9_000, 9), click(FIRST_MS + 10_000, 9)]
    visit = visited(said, random.Random(1))
    assert visit.answers[SURVEY].score == 9
    assert net(visit) == Counter({(FIRST_MS // MINUTE_MS, Band.PROMOTER): 1})


@pytest.mark.parametrize(
    ("said", "score"),
    [
        ([head(FIRST_MS), click(FIRST_MS + 1_000, 3)], None),
        ([click(FIRST_MS, 3), head(FIRST_MS + WAIT_MS - 1)], None),
        ([head(FIRST_MS), click(FIRST_MS + WAIT_MS, 3)], 3),
        ([head(FIRST_MS), click(FIRST_MS + 1_000, 3), beacon(FIRST_MS + 1_000, 3)], 3),
        ([head(FIRST_MS), click(FIRST_MS + 20_000, 7), beacon(FIRST_MS + 20_000, 7), head(FIRST_MS + 21_000)], 7),
        ([head(FIRST_MS), click(FIRST_MS + 9_000, 2), response("w", FIRST_MS + 38_000, None, "late again")], 2),
        ([head(FIRST_MS), click(FIRST_MS + 9_000, 2), response("w", FIRST_MS + 39_000, None, "late again")], None),
    ],
)
def test_a_head_voids_only_visits_on_which_no_person_shows(said: list[SurveyResponse], score: int | None) -> None:
    """Safe Links asks with HEAD, then the person comes: a look at the page, or words that the click led to."""
    for seed in range(6):
        chance = random.Random(seed)
        shuffled = chance.sample(said, len(said)) if seed else said
        visit = visited(shuffled, chance)
        last = visit.answers.get(SURVEY)
        assert (last.score if last else None) == score
        assert sum(net(visit).values()) == (score is not None)


@pytest.mark.parametrize(
    ("said", "score"),
    [
        ([click(FIRST_MS, 0), click(FIRST_MS + 2_000, 10)], None),
        ([click(FIRST_MS, 10), click(FIRST_MS, 0)], None),
        ([click(FIRST_MS, 0), click(FIRST_MS + 5_999, 10)], None),
        ([click(FIRST_MS, 0), click(FIRST_MS + 6_000, 10)], 10),
        ([click(FIRST_MS, 9), click(FIRST_MS + 2_000, 9)], 9),
        ([click(FIRST_MS, 3), click(FIRST_MS + 2_000, 9), beacon(FIRST_MS + 2_000, 9)], 9),
        ([click(FIRST_MS, 3), beacon(FIRST_MS, 3), click(FIRST_MS + 2_000, 9)], 3),
        ([click(FIRST_MS, 3), click(FIRST_MS + 2_000, 9), response("w", FIRST_MS + 9_000, None, "so it is")], 9),
    ],
)
def test_two_scores_within_seconds_count_only_for_a_person(said: list[SurveyResponse], score: int | None) -> None:
    """A scanner that opens two links is as much a machine as one that opens three."""
    visit = visited(said, random.Random(2))
    last = visit.answers.get(SURVEY)
    assert (last.score if last else None) == score


def test_a_page_come_back_to_is_no_new_click() -> None:
    """Back or reload opens the link of 3 again after 9 was given on its page; only a person who looks at it says 3."""
    later_ms, again = FIRST_MS + 60_000, click(FIRST_MS + 90_000, 3)
    given = [click(FIRST_MS, 3), beacon(FIRST_MS, 3), response("form", later_ms, 9), again]
    assert visited(given, random.Random(3)).answers[SURVEY].score == 9
    assert visited([*given, beacon(again.time, 3)], random.Random(3)).answers[SURVEY].score == 3
    other = [*given[:3], click(again.time, 6)]
    assert visited(other, random.Random(3)).answers[SURVEY].score == 6, "another score is a change of mind"


def test_expired_clicks_are_kept_and_flagged() -> None:
    """As any other answer after the survey's expiry."""
    journey = run([ASKED, (EXPIRES_MS, click(EXPIRES_MS, 3)), (EXPIRES_MS, beacon(EXPIRES_MS, 3))], OPEN)
    assert (journey.answers[SURVEY].flag, net(journey)) == (Reason.EXPIRED, Counter())


def test_clicks_after_the_edit_window_are_rejected() -> None:
    """As any other correction, once they are confirmed; a trap says nothing and is no fault."""
    closed_ms = FIRST_MS + OPEN.limits.edit_ms + 1
    journey = run([ASKED, (FIRST_MS, response("r", FIRST_MS, 9))], OPEN)
    assert journey.take((closed_ms, click(closed_ms, 3))) == []
    (confirm,) = journey.take(wakeup(closed_ms + WAIT_MS))
    assert isinstance(confirm, Confirm)
    assert [type(effect) for effect in journey.take((confirm.at_ms, confirm.response))] == [Reject]
    assert journey.take((closed_ms, trap(closed_ms + WAIT_MS))) == []
    assert journey.answers[SURVEY].score == 9


def test_a_click_before_its_survey_waits_for_it() -> None:
    """Held as any response, put back when the survey is sent, and then it waits as a click."""
    journey = run([(START_MS - 1, click(START_MS - 1, 9)), ASKED], OPEN)
    assert (journey.journey.invitations[0].given or NO_ANSWER) == NO_ANSWER
    assert len(journey.journey.waiting) == 1
    journey.take(wakeup(START_MS + DAY_MS))
    assert len(journey.all(Confirm)) == 1
