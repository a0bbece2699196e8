"""Laws of responses: registers that do not care for order, tallies that equal them, alerts that resolve."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import Alert, Answer, SurveyResponse
from schemas.reasons import Reason
from streams.domain.effects import Effect, Ignore, Reject
from streams.domain.ids import alert_id
from streams.domain.nps import Band, Tally, band
from streams.domain.panes import DAY_MS, HOUR_MS, MINUTE_MS
from tests.support.answers import ASKED, EXPIRES_MS, FIRST_MS, SHORT_LIVED, SURVEY, net, told
from tests.support.histories import (
    OPEN,
    START_MS,
    response,
    run,
)
from tests.support.laws import examples
from tests.support.recount import last_word, stamp

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
        withdrawn_ms = max((r.time for r in said if r.voided), default=-1)
        worded = [r for r in said if r.comment is not None and not r.voided and r.time > withdrawn_ms]
        comment = max(worded, key=stamp).comment if worded else None
        word = last_word(said)
        if word is None:
            return cls(None, comment, None, Reason.VOIDED if any(r.voided for r in said) else Reason.NO_SCORE)
        first_ms, score = word
        return cls(score, comment, first_ms, Reason.EXPIRED if first_ms >= expires_ms else None)

    @property
    def tallies(self) -> Counter[tuple[int, Band]]:
        """What it contributes to minutes and bands."""
        if self.flag is not None or self.score is None or self.first_ms is None:
            return Counter()
        return Counter({(self.first_ms // MINUTE_MS, band(self.score)): 1})


@settings(max_examples=examples(200))
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


@settings(max_examples=examples(120))
@given(responses())
def test_redelivery_adds_nothing(said: list[SurveyResponse]) -> None:
    """Whatever was taken once is ignored from then on: no answer, no count, no alert."""
    journey = told(said)
    for again in said:
        effects = journey.take((FIRST_MS + 3 * DAY_MS, again))
        assert all(isinstance(effect, Ignore) for effect in effects)


@settings(max_examples=examples(150))
@given(responses(), st.sampled_from([OPEN, SHORT_LIVED]))
def test_answers_counts_and_alerts_agree_at_every_step(said: list[SurveyResponse], asks: object) -> None:
    """After each response: revisions rise by one, tallies hold the last answer, and its alert is open or resolved."""
    journey, revision = run([ASKED], SHORT_LIVED if asks is SHORT_LIVED else OPEN), 0
    total, before = Tally(), None
    for number, each in enumerate(said):
        effects = journey.take((FIRST_MS + 2 * DAY_MS + number, each))
        for answer in [effect for effect in effects if isinstance(effect, Answer)]:
            revision += 1
            assert answer.revision == revision
            assert (answer.flag is None) == answer.counted
            check_alert(answer, effects, before)
            before = answer
            total = Tally(*(sum(net(journey)[key] for key in net(journey) if key[1] is each) for each in Band))
            assert total.n == int(answer.counted)
            assert net(journey) == Final(answer.score, None, answer.answered_ms, answer.flag).tallies


def severity_of(answer: Answer | None) -> str:
    """How bad a counted answer is."""
    severe = {0: "critical", 1: "critical", 2: "critical", 3: "error", 4: "error", 5: "warning", 6: "warning"}
    return severe.get(answer.score, "") if answer and answer.counted and answer.score is not None else ""


def content(answer: Answer | None) -> tuple[object, ...]:
    """What an alert tells."""
    return (answer.score, answer.counted, answer.comment) if answer else (None, False, None)


def check_alert(answer: Answer, effects: list[Effect], before: Answer | None) -> None:
    """A counted detractor whose score or comment is new alerts with its own id; the first that is none resolves."""
    alerts = [effect for effect in effects if isinstance(effect, Alert)]
    severity, severity_before = severity_of(answer), severity_of(before)
    assert len(alerts) == int(bool(severity or severity_before) and content(answer) != content(before))
    for alert in alerts:
        assert alert.alert_id == alert_id(SURVEY, answer.revision)
        assert (alert.dedup_key, alert.revision, alert.score) == (SURVEY, answer.revision, answer.score)
        assert (alert.status, alert.severity) == (("open", severity) if severity else ("resolved", severity_before))
        assert alert.comment == answer.comment


@given(st.integers().filter(lambda score: not 0 <= score <= 10))
def test_invalid_score_is_rejected(score: int) -> None:
    """Never clamped, and nothing of it is taken, the comment neither."""
    journey = told([response("a", FIRST_MS, score, "words")])
    assert [reject.reason for reject in journey.all(Reject)] == [Reason.INVALID_SCORE]
    assert not journey.answers


@given(st.integers(0, 20))
def test_held_responses_are_bounded(more: int) -> None:
    """The oldest give way, as dead letters: none is lost, and the journey stays small."""
    moments = [(START_MS, response(f"r{n}", START_MS, 9, survey=f"s{n}")) for n in range(OPEN.customer.held + more)]
    journey = run(moments, OPEN)
    assert [held.survey_id for held in journey.journey.parked] == [m[1].survey_id for m in moments[more:]]
    assert [journey.kept[r.raw or b""] for r in journey.all(Reject)] == moments[:more]
