"""The answering half: registers that do not care for order, tallies that equal it, alerts that resolve."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import Alert, Answer, SurveyResponse
from schemas.reasons import Reason
from streams.domain.effects import Count, Effect, Ignore, Reject, Requeue
from streams.domain.ids import alert_id, fingerprint, survey_id
from streams.domain.nps import Band, Tally, band
from streams.domain.panes import DAY_MS, HOUR_MS, MINUTE_MS
from streams.domain.responses import MOST_PARKED
from tests.support.histories import (
    CUSTOMER,
    OPEN,
    START_MS,
    Moment,
    Run,
    program,
    purchase,
    response,
    rule,
    run,
    wakeup,
)

SURVEY = survey_id("shop", "p", "r")
SEGMENTS = ("all", "country=BR")
ASKED: Moment = (START_MS, purchase("p", "order.delivered", START_MS))
EXPIRES_MS = START_MS + 30 * DAY_MS
FIRST_MS = START_MS + 5 * MINUTE_MS
SHORT_LIVED = program(rules=[rule("r", "s", "order.delivered", expires_ms=HOUR_MS)], quarantine_ms=0)
TIMES_MS = st.sampled_from([FIRST_MS + minutes * MINUTE_MS for minutes in (0, 1, 2, 40, 90, 600, 1_500)])


@st.composite
def responses(draw: st.DrawFn) -> list[SurveyResponse]:
    """Up to twelve parts, corrections and withdrawals of one answer, inside its edit window."""
    found = []
    for number in range(draw(st.integers(1, 12))):
        score = draw(st.one_of(st.none(), st.integers(0, 10)))
        voided = draw(st.integers(0, 5)) == 0
        comment = draw(st.sampled_from([None, "fine", f"comment {number}"]))
        if score is None and not voided:
            comment = comment or "only words"
        found.append(response(f"r{number}", draw(TIMES_MS), score, comment, voided))
    return found


@dataclass(frozen=True)
class Final:
    """What a customer finally said, worked out from all responses at once."""

    score: int | None
    comment: str | None
    first_ms: int | None
    flag: str | None

    @classmethod
    def of(cls, said: Sequence[SurveyResponse], expires_ms: int) -> "Final":
        voided_ms = max((r.time for r in said if r.voided), default=-1)
        scored = [r for r in said if r.score is not None and not r.voided and r.time > voided_ms]
        worded = [r for r in said if r.comment is not None and not r.voided]
        newest = max(scored, key=stamp, default=None)
        first_ms = min((r.time for r in scored), default=None)
        flag: str | None = Reason.VOIDED if voided_ms >= 0 else Reason.NO_SCORE
        if first_ms is not None:
            flag = Reason.EXPIRED if first_ms >= expires_ms else None
        comment = max(worded, key=stamp).comment if worded else None
        return cls(newest.score if newest else None, comment, first_ms, flag)

    @property
    def tallies(self) -> Counter[tuple[int, Band]]:
        """What it contributes to minutes and bands."""
        if self.flag is not None or self.score is None or self.first_ms is None:
            return Counter()
        return Counter({(self.first_ms // MINUTE_MS, band(self.score)): 1})


def stamp(said: SurveyResponse) -> tuple[int, int]:
    """Which of two is newer."""
    return said.time, fingerprint(said.source, said.id)


def told(said: Sequence[SurveyResponse], asks: object = OPEN) -> Run:
    """The journey of a customer who was asked and then heard in this order."""
    journey = run([ASKED], SHORT_LIVED if asks is SHORT_LIVED else OPEN)
    for number, each in enumerate(said):
        journey.take((FIRST_MS + 2 * DAY_MS + number, each))
    return journey


def net(journey: Run) -> Counter[tuple[int, Band]]:
    """The sum of all counts; at no time below zero in any minute and band."""
    total: Counter[tuple[int, Band]] = Counter()
    for _, effect in journey.effects:
        if isinstance(effect, Count):
            assert effect.segments == SEGMENTS
            total[effect.at_ms // MINUTE_MS, effect.band] += effect.sign
            assert total[effect.at_ms // MINUTE_MS, effect.band] in (0, 1)
    return +total


@settings(max_examples=200)
@given(responses(), st.sampled_from([OPEN, SHORT_LIVED]), st.randoms(use_true_random=False))
def test_any_order_and_thrice_gives_the_same_answer(said: list[SurveyResponse], asks: object, random: Random) -> None:
    """In whatever order parts, corrections and withdrawals come, and however often: one final answer, counted once."""
    final = Final.of(said, START_MS + HOUR_MS if asks is SHORT_LIVED else EXPIRES_MS)
    for times in (1, 3):
        shuffled = said * times
        random.shuffle(shuffled)
        journey = told(shuffled, asks)
        last = journey.answers.get(SURVEY)
        assert last is not None
        assert (last.score, last.comment, last.flag) == (final.score, final.comment, final.flag)
        assert last.counted == (final.flag is None)
        assert last.band == (band(final.score) if final.score is not None else None)
        assert final.first_ms is None or last.answered_ms == final.first_ms
        assert net(journey) == final.tallies


@settings(max_examples=120)
@given(responses())
def test_redelivery_adds_nothing(said: list[SurveyResponse]) -> None:
    """Whatever was taken once is ignored from then on: no answer, no count, no alert."""
    journey = told(said)
    for again in said:
        effects = journey.take((FIRST_MS + 3 * DAY_MS, again))
        assert all(isinstance(effect, Ignore) for effect in effects)


@settings(max_examples=150)
@given(responses(), st.sampled_from([OPEN, SHORT_LIVED]))
def test_answers_counts_and_alerts_agree_at_every_step(said: list[SurveyResponse], asks: object) -> None:
    """After each response: revisions rise by one, tallies hold the last answer, and its alert is open or resolved."""
    journey, open_severity, revision = run([ASKED], SHORT_LIVED if asks is SHORT_LIVED else OPEN), "", 0
    total = Tally()
    for number, each in enumerate(said):
        effects = journey.take((FIRST_MS + 2 * DAY_MS + number, each))
        for answer in [effect for effect in effects if isinstance(effect, Answer)]:
            revision += 1
            assert answer.revision == revision
            assert (answer.flag is None) == answer.counted
            open_severity = check_alert(answer, effects, open_severity)
            total = Tally(*(sum(net(journey)[key] for key in net(journey) if key[1] is each) for each in Band))
            assert total.n == int(answer.counted)
            assert net(journey) == Final(answer.score, None, answer.answered_ms, answer.flag).tallies


def check_alert(answer: Answer, effects: list[Effect], severity_before: str) -> str:
    """Every revision of a counted detractor alerts with its own id; the first that is none resolves; no others."""
    alerts = [effect for effect in effects if isinstance(effect, Alert)]
    severe = {0: "critical", 1: "critical", 2: "critical", 3: "error", 4: "error", 5: "warning", 6: "warning"}
    severity = severe.get(answer.score, "") if answer.counted and answer.score is not None else ""
    assert len(alerts) == int(bool(severity or severity_before))
    for alert in alerts:
        assert alert.alert_id == alert_id(SURVEY, answer.revision)
        assert (alert.dedup_key, alert.revision, alert.score) == (SURVEY, answer.revision, answer.score)
        assert (alert.status, alert.severity) == (("open", severity) if severity else ("resolved", severity_before))
        assert alert.comment == answer.comment
    return severity


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
    """At first score + edit a correction still counts; a millisecond later it is a dead letter and changes nothing."""
    end_ms = FIRST_MS + OPEN.limits.edit_ms
    journey = run([ASKED, (FIRST_MS, response("a", FIRST_MS, 3)), (end_ms, response("b", end_ms, 7))], OPEN)
    before = journey.journey
    assert [type(e) for e in journey.take((end_ms, response("c", end_ms + 1, 9)))] == [Reject]
    assert journey.all(Reject)[0].reason is Reason.EDIT_CLOSED
    assert journey.journey == before
    assert journey.answers[SURVEY].score == 7


def test_the_edit_window_does_not_care_for_order() -> None:
    """A correction outside the window of an earlier score never holds, also when it came first."""
    beyond_ms = FIRST_MS + OPEN.limits.edit_ms + 1
    first, beyond = (FIRST_MS, response("a", FIRST_MS, 3)), (beyond_ms, response("b", beyond_ms, 10))
    for history in ([ASKED, first, beyond], [ASKED, beyond, first]):
        journey = run(history, OPEN)
        assert journey.answers[SURVEY].score == 3
        assert net(journey) == Counter({(FIRST_MS // MINUTE_MS, Band.DETRACTOR): 1})


@given(st.integers().filter(lambda score: not 0 <= score <= 10))
def test_invalid_score_is_rejected(score: int) -> None:
    """Never clamped, and nothing of it is taken, the comment neither."""
    journey = told([response("a", FIRST_MS, score, "words")])
    assert [reject.reason for reject in journey.all(Reject)] == [Reason.INVALID_SCORE]
    assert not journey.answers


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


@given(st.integers(0, 20))
def test_held_responses_are_bounded(more: int) -> None:
    """The oldest give way, as dead letters: none is lost, and the journey stays small."""
    moments = [(START_MS, response(f"r{n}", START_MS, 9, survey=f"s{n}")) for n in range(MOST_PARKED + more)]
    journey = run(moments, OPEN)
    assert [held.survey_id for held in journey.journey.parked] == [m[1].survey_id for m in moments[more:]]
    assert [journey.kept[r.raw or b""] for r in journey.all(Reject)] == moments[:more]


def test_another_customers_survey_is_unknown() -> None:
    """A survey belongs to the journey it was sent on."""
    stranger = run([], OPEN)
    stranger.take((FIRST_MS, response("a", FIRST_MS, 9)))
    assert stranger.answers == {}
    assert ASKED[1].customer_id == CUSTOMER
