"""Provisional answers: a click waits and then counts in its own minute; a machine's never does, whatever came when."""

import random
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.codec import Codec
from schemas.events import Alert, Answer, Purchase, SurveyResponse, Wakeup
from schemas.reasons import Reason
from schemas.topics import PURCHASES, RESPONSES, WAKEUPS
from streams.domain.clicks import MOST_CLICKS, confirmation
from streams.domain.effects import Confirm, Count, Effect, Ignore, Reject
from streams.domain.ids import fingerprint, survey_id
from streams.domain.journey import wake_ms
from streams.domain.nps import Band, band
from streams.domain.panes import DAY_MS, MINUTE_MS, panes
from streams.domain.responses import NOTHING
from streams.domain.segments import capture
from streams.domain.state import Click
from streams.kafka.ports import KafkaRecord
from tests.laws.test_replay import PROGRAM, Process, check_answers, totals
from tests.support.histories import CUSTOMER, OPEN, START_MS, Moment, Run, purchase, response, run, wakeup
from tests.unit.test_responses import ASKED, EXPIRES_MS, FIRST_MS, SEGMENTS, SURVEY, net

WAIT_MS = OPEN.limits.confirm_ms
SECONDS = (0, 1, 10, 20, 29.999, 30, 45, 59.999, 60, 75, 90, 600)
TIMES_MS = st.sampled_from([FIRST_MS + int(seconds * 1_000) for seconds in SECONDS])


def click(time_ms: int, score: int) -> SurveyResponse:
    """Somebody, or something, opened the link of a score."""
    return response(f"click {time_ms} {score}", time_ms, score)._replace(provisional=True)


def trap(time_ms: int) -> SurveyResponse:
    """Something opened the link that nobody can see, or asked with HEAD."""
    return response(f"trap {time_ms}", time_ms, voided=True)._replace(provisional=True)


def beacon(time_ms: int, score: int) -> SurveyResponse:
    """The page of that click was looked at."""
    return confirmation(SURVEY, CUSTOMER, Click(time_ms, score))


def confirmed(said: Sequence[SurveyResponse], time_ms: int, score: int) -> SurveyResponse:
    """What a click on a link of the survey that was answered becomes."""
    return confirmation(said[0].survey_id, said[0].customer_id, Click(time_ms, score))


@st.composite
def visits(draw: st.DrawFn) -> list[SurveyResponse]:
    """Up to ten clicks, traps, beacons, comments, corrections and withdrawals."""
    found: list[SurveyResponse] = []
    for number in range(draw(st.integers(1, 10))):
        at_ms, score = draw(TIMES_MS), draw(st.sampled_from([0, 3, 6, 8, 10]))
        kind = draw(st.sampled_from(["click"] * 5 + ["trap", "beacon", "comment", "score", "both", "void"]))
        found.append(
            {
                "click": click(at_ms, score),
                "trap": trap(at_ms),
                "beacon": beacon(at_ms, score),
                "comment": response(f"r{number}", at_ms, None, f"comment {number}"),
                "score": response(f"r{number}", at_ms, score),
                "both": response(f"r{number}", at_ms, score, f"comment {number}"),
                "void": response(f"r{number}", at_ms, voided=True),
            }[kind]
        )
    return found


class Visit(Run):
    """A journey whose confirmations come back as input, each once or twice, at once or later."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__(OPEN)
        self.chance = chance
        self.back: list[Moment] = []
        self.take(ASKED)

    def take(self, moment: Moment) -> list[Effect]:
        """One step; what it puts back waits to be read."""
        effects = super().take(moment)
        confirmed = [(effect.at_ms, effect.response) for effect in effects if isinstance(effect, Confirm)]
        self.back += confirmed * self.chance.choice((1, 2))
        return effects

    def read_back(self, every: bool) -> None:
        """Read what was put back: all, or perhaps some."""
        self.chance.shuffle(self.back)
        while self.back and (every or self.chance.random() < 0.5):
            self.take(self.back.pop())


def visited(said: Sequence[SurveyResponse], chance: random.Random) -> Visit:
    """All of it in this order, seconds or minutes apart, woken now and then and in the end."""
    visit, now_ms = Visit(chance), FIRST_MS + DAY_MS
    for each in said:
        now_ms += chance.choice((1, 1_000, 40_000))
        visit.take((now_ms, each))
        if chance.random() < 0.3:
            visit.take(wakeup(now_ms + chance.choice((0, WAIT_MS))))
        visit.read_back(every=False)
    visit.take(wakeup(now_ms + 3 * WAIT_MS))
    visit.read_back(every=True)
    return visit


def persons(said: Sequence[SurveyResponse]) -> set[tuple[int, int, int]]:
    """Time, fingerprint and score of all that persons gave and did not withdraw, worked out from everything at once."""
    clicks = {(r.time, r.score or 0) for r in said if r.provisional and not r.voided}
    traps_ms = {r.time for r in said if r.provisional and r.voided}
    lost = {(at, n) for at, n in clicks if any(abs(at - trap_ms) < WAIT_MS for trap_ms in traps_ms)}
    for start_ms, _ in clicks:
        burst = {(at, n) for at, n in clicks if start_ms <= at < start_ms + WAIT_MS}
        lost |= burst if len({n for _, n in burst}) > 2 else set()
    answers = [r for r in said if not r.provisional] + [confirmed(said, at, n) for at, n in clicks]
    withdrawn_ms = max((r.time for r in said if r.voided and not r.provisional), default=-1)
    machine = {confirmed(said, at, n).id for at, n in lost}
    return {
        (r.time, fingerprint(r.source, r.id), r.score)
        for r in answers
        if r.score is not None and not r.voided and r.time > withdrawn_ms and r.id not in machine
    }


@settings(max_examples=1_500, deadline=None)
@example([click(FIRST_MS, 0), click(FIRST_MS, 3), click(FIRST_MS, 6), beacon(FIRST_MS, 0)], random.Random(0))
@example([click(FIRST_MS, 0), trap(FIRST_MS + 29_999), response("r", FIRST_MS + 1, 8, "me")], random.Random(0))
@given(visits(), st.randoms(use_true_random=False))
def test_any_order_and_any_waking_gives_the_same(said: list[SurveyResponse], chance: random.Random) -> None:
    """Whatever the order, the repeats, the wakeups and the way back: the persons' answer, once, in its minute."""
    scores = persons(said)
    counted = Counter({(min(scores)[0] // MINUTE_MS, band(max(scores)[2])): 1}) if scores else Counter()
    for times in (1, 3):
        shuffled = list(said) * times
        chance.shuffle(shuffled)
        visit = visited(shuffled, chance)
        assert net(visit) == counted
        check_answer(visit, scores, said)
        assert not visit.journey.waiting


def check_answer(visit: Visit, scores: set[tuple[int, int, int]], said: Sequence[SurveyResponse]) -> None:
    """The last answer is the newest score, its alert is open when it is bad, and there is none when nobody answered."""
    last = visit.answers.get(SURVEY)
    worded = any(r.comment is not None for r in said)
    if last is None:
        assert not scores
        assert not worded
        return
    assert last.score == (max(scores)[2] if scores else None)
    assert last.counted == bool(scores)
    if not scores:
        bots = any(r.provisional for r in said) or any(r.voided for r in said)
        assert last.flag == Reason.VOIDED if bots and not worded else last.flag in (Reason.VOIDED, Reason.NO_SCORE)
    bad = bool(scores) and max(scores)[2] <= 6
    assert bool(visit.alerts and visit.alerts[-1].status == "open") == bad


@settings(max_examples=300)
@given(visits(), st.randoms(use_true_random=False))
def test_repeats_add_nothing(said: list[SurveyResponse], chance: random.Random) -> None:
    """What was taken once is ignored from then on, clicks and confirmations too."""
    visit = visited(said, chance)
    journey = visit.journey
    for again in [*said, *(effect.response for effect in visit.all(Confirm))]:
        effects = visit.take((FIRST_MS + 2 * DAY_MS, again))
        assert all(isinstance(effect, Ignore) for effect in effects)
    assert visit.journey._replace(clock_ms=0) == journey._replace(clock_ms=0)


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
    assert wake_ms(journey.journey, OPEN) == FIRST_MS + WAIT_MS
    assert journey.take(wakeup(FIRST_MS + WAIT_MS - 1)) == []
    assert journey.take(wakeup(FIRST_MS + WAIT_MS)) == [Confirm(beacon(FIRST_MS, 3), FIRST_MS + WAIT_MS)]
    assert journey.take(wakeup(FIRST_MS + DAY_MS)) == []
    effects = journey.take((FIRST_MS + WAIT_MS, beacon(FIRST_MS, 3)))
    assert effects[0] == Count(SEGMENTS, FIRST_MS, Band.DETRACTOR, 1)
    assert [type(effect) for effect in effects[1:]] == [Answer, Alert]


def test_any_topic_moves_the_clock() -> None:
    """A purchase after the wait confirms as a wakeup does; it counts nothing itself."""
    journey = run([ASKED, (FIRST_MS, click(FIRST_MS, 9))], OPEN)
    effects = journey.take((FIRST_MS + DAY_MS, purchase("other", "order.placed", FIRST_MS + DAY_MS)))
    assert only(effects, Confirm) == [Confirm(beacon(FIRST_MS, 9), FIRST_MS + WAIT_MS)]
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
    """Every score, the trap and a HEAD: no answer, no count, no alert, however long one waits."""
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


def test_expired_clicks_are_kept_and_flagged() -> None:
    """As any other answer after the survey's expiry."""
    journey = run([ASKED, (EXPIRES_MS, click(EXPIRES_MS, 3)), (EXPIRES_MS, beacon(EXPIRES_MS, 3))], OPEN)
    assert (journey.answers[SURVEY].flag, net(journey)) == (Reason.EXPIRED, Counter())


def test_clicks_after_the_edit_window_are_rejected() -> None:
    """As any other correction; a trap says nothing and is no fault."""
    closed_ms = FIRST_MS + OPEN.limits.edit_ms + 1
    journey = run([ASKED, (FIRST_MS, response("r", FIRST_MS, 9))], OPEN)
    assert [type(effect) for effect in journey.take((closed_ms, click(closed_ms, 3)))] == [Reject]
    assert journey.take((closed_ms, trap(closed_ms))) == []


@given(st.integers(MOST_CLICKS, MOST_CLICKS + 20))
def test_clicks_are_bounded(many: int) -> None:
    """The newest are remembered; one who clicks all day does not fill the journey."""
    moments = [(FIRST_MS + n * WAIT_MS, click(FIRST_MS + n * WAIT_MS, 9)) for n in range(many)]
    journey = run([ASKED, *moments], OPEN)
    (survey,) = journey.journey.invitations
    assert survey.clicks is not None
    assert len(survey.clicks.seen) == MOST_CLICKS
    assert len(journey.journey.waiting) == 1


def test_a_click_before_its_survey_waits_for_it() -> None:
    """Held as any response, put back when the survey is sent, and then it waits as a click."""
    journey = run([(START_MS - 1, click(START_MS - 1, 9)), ASKED], OPEN)
    assert (journey.journey.invitations[0].given or NOTHING) == NOTHING
    assert len(journey.journey.waiting) == 1
    journey.take(wakeup(START_MS + DAY_MS))
    assert len(journey.all(Confirm)) == 1


CODEC = Codec()
FAR_MS = START_MS + DAY_MS


class Woken(Process):
    """The worker of one partition, whose customers are woken once all is read, until nobody waits for anything."""

    def run(self) -> None:
        """Until nothing is due, through as many crashes as chance makes."""
        super().run()
        while due := [key for key in self.start().due(FAR_MS, 1_000) if self.waits(key)]:
            wakeups = self.inputs[WAKEUPS.name]
            for key in due:
                value = CODEC.encode(Wakeup(key.decode(), FAR_MS))
                wakeups.append(KafkaRecord(len(wakeups), FAR_MS + len(wakeups), key, value))
            super().run()

    def waits(self, key: bytes) -> bool:
        """True while a click of this customer waits."""
        return bool(self.start().journeys.get(key).journey.waiting)


def scanned(r: random.Random) -> dict[str, list[KafkaRecord]]:
    """Purchases of six customers; clicks of persons and scanners, beacons, comments and traps, some twice."""
    inputs: dict[str, list[KafkaRecord]] = {PURCHASES.name: [], RESPONSES.name: [], WAKEUPS.name: []}
    orders = [(f"o{i}", f"c{r.randrange(6)}") for i in range(8)]
    now_ms = START_MS
    for order, customer in orders:
        event = Purchase("shop", order, "order.delivered", now_ms, customer, order, None, None, {"country": "BR"})
        add(inputs[PURCHASES.name], event, now_ms)
    for i in range(50):
        order, customer = r.choice(orders)
        survey, score = survey_id("shop", order, "r"), r.randrange(11)
        at_ms = now_ms - r.randrange(20_000)
        one = SurveyResponse("tool", f"r{i}", "clicked", at_ms, customer, survey, score, None, False, None, True)
        made = r.choice([
            [one], [one], [one, confirmation(survey, customer, Click(at_ms, score))], [one, one],
            [one._replace(id=f"c{i}", provisional=False, comment="words", score=r.choice([None, score]))],
            [one._replace(id=f"t{i}", voided=True, score=None)] if r.random() < 0.4 else [one],
        ])  # fmt: skip
        for said in r.sample(made, len(made)):
            add(inputs[RESPONSES.name], said, now_ms)
            now_ms += r.choice((100, 15_000, 120_000))
    return inputs


def add(records: list[KafkaRecord], event: Purchase | SurveyResponse, now_ms: int) -> None:
    """One record more."""
    records.append(KafkaRecord(len(records), now_ms, event.customer_id.encode(), CODEC.encode(event)))


def recounted(inputs: dict[str, list[KafkaRecord]]) -> Counter[tuple[str, str, int, Band]]:
    """Every persons' answer in the panes that it belongs to."""
    tallies: Counter[tuple[str, str, int, Band]] = Counter()
    segments = capture({"country": "BR"}, PROGRAM)[1]
    responses = [CODEC.decode(SurveyResponse, record.value) for record in inputs[RESPONSES.name]]
    for survey in {each.survey_id for each in responses}:
        if scores := persons([each for each in responses if each.survey_id == survey]):
            for pane in panes(segments, min(scores)[0]):
                tallies[(*pane, band(max(scores)[2]))] += 1
    return tallies


@pytest.mark.parametrize("chunk", range(4))
def test_killed_before_any_write_clicks_count_once(chunk: int) -> None:
    """Whatever write a crash falls before, panes and last answers hold the persons' answers and no machine's."""
    crashes = 0
    for seed in range(chunk * 100, chunk * 100 + 100):
        r = random.Random(seed)
        inputs = scanned(r)
        want = recounted(inputs)
        process = Woken(r, inputs)
        process.run()
        crashes += process.crashes
        assert totals(process) == want, f"seed {seed}: panes differ"
        check_answers(seed, process, want)
    assert crashes > 100, "the crashes must happen"
