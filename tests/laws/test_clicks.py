"""Laws of clicks: a person's counts once in its own minute and a machine's never, whatever came when and died when."""

import random
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.codec import Codec
from schemas.events import Purchase, SurveyResponse
from schemas.reasons import Reason
from schemas.topics import PURCHASES, RESPONSES, WAKEUPS
from streams.domain.clicks import HEADED, MOST_CLICKS, confirmation
from streams.domain.effects import Confirm, Ignore
from streams.domain.ids import survey_id
from streams.domain.nps import band
from streams.domain.panes import DAY_MS, MINUTE_MS
from streams.domain.state import Click
from streams.kafka.ports import KafkaRecord
from streams.processing.journeys import Journeys
from tests.support.answers import ASKED, FIRST_MS, SURVEY, net
from tests.support.clicks import WAIT_MS, Visit, beacon, click, confirmed, head, trap, visited
from tests.support.crashes import Process, check_answers, totals
from tests.support.histories import OPEN, START_MS, response, run
from tests.support.laws import examples, seeds
from tests.support.recount import Cell, Counts, Vote, panes, stamp

SEEDS = 400
PARTS = 4
SECONDS = (0, 1, 5.999, 6, 10, 20, 29.999, 30, 45, 59.999, 60, 75, 90, 600)
TIMES_MS = st.sampled_from([FIRST_MS + int(seconds * 1_000) for seconds in SECONDS])


@st.composite
def visits(draw: st.DrawFn) -> list[SurveyResponse]:
    """Up to ten clicks, traps, HEADs, beacons, comments, corrections and withdrawals."""
    found: list[SurveyResponse] = []
    for number in range(draw(st.integers(1, 10))):
        at_ms, score = draw(TIMES_MS), draw(st.sampled_from([0, 3, 6, 8, 10]))
        kind = draw(st.sampled_from(["click"] * 5 + ["trap", "head", "beacon", "comment", "score", "both", "void"]))
        found.append(
            {
                "click": click(at_ms, score),
                "trap": trap(at_ms),
                "head": head(at_ms),
                "beacon": beacon(at_ms, score),
                "comment": response(f"r{number}", at_ms, None, f"comment {number}"),
                "score": response(f"r{number}", at_ms, score),
                "both": response(f"r{number}", at_ms, score, f"comment {number}"),
                "void": response(f"r{number}", at_ms, voided=True),
            }[kind]
        )
    return found


def persons(said: Sequence[SurveyResponse]) -> set[tuple[int, int, int]]:
    """Time, rank among equals and score of all that persons gave and did not withdraw, from everything at once."""
    clicks = {(r.time, r.score or 0) for r in said if r.provisional and not r.voided}
    traps_ms = {r.time for r in said if r.provisional and r.voided and r.type != HEADED}
    lost = {one for one in clicks if is_doubtful(one, clicks, said)} - persons_clicks(clicks, said)
    lost |= {(at, n) for at, n in clicks if any(abs(at - trap_ms) < WAIT_MS for trap_ms in traps_ms)}
    for start_ms, _ in clicks:
        burst = {(at, n) for at, n in clicks if start_ms <= at < start_ms + WAIT_MS}
        lost |= burst if len({n for _, n in burst}) > 2 else set()
    answers = [r for r in said if not r.provisional] + [confirmed(said, at, n) for at, n in clicks]
    withdrawn_ms = max((r.time for r in said if r.voided and not r.provisional), default=-1)
    machine = {confirmed(said, at, n).id for at, n in lost}
    return {
        (*stamp(r), r.score)
        for r in answers
        if r.score is not None and not r.voided and r.time > withdrawn_ms and r.id not in machine
    }


def shows(clicks: set[tuple[int, int]], said: Sequence[SurveyResponse]) -> list[tuple[int, int | None]]:
    """Times and scores of the answers that are no click's: not of its very time and score, as a beacon is."""
    given = [(r.time, r.score) for r in said if not r.provisional and not r.voided]
    return [one for one in given if one not in clicks]


def is_doubtful(one: tuple[int, int], clicks: set[tuple[int, int]], said: Sequence[SurveyResponse]) -> bool:
    """True for a click near a HEAD, within seconds of another score, or of a page come back to after another answer."""
    at, score = one
    if any(abs(at - r.time) < WAIT_MS for r in said if r.type == HEADED):
        return True
    if any(n != score and abs(at - other) < 6_000 for other, n in clicks):
        return True
    before = [other for other, n in clicks if n == score and other < at]
    return any(
        min(before) < answered_ms < at
        for answered_ms, n in shows(clicks, said)
        if before and n is not None and n != score
    )


def persons_clicks(clicks: set[tuple[int, int]], said: Sequence[SurveyResponse]) -> set[tuple[int, int]]:
    """The clicks that a beacon tells of, and the last one up to 30 s before each other answer."""
    looked_at = {(r.time, r.score) for r in said if not r.provisional and not r.voided}
    led = [[one for one in clicks if 0 <= at - one[0] < WAIT_MS] for at, _ in shows(clicks, said)]
    return {one for one in clicks if one in looked_at} | {max(each) for each in led if each}


@settings(max_examples=examples(1_500))
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


@settings(max_examples=examples(300))
@given(visits(), st.randoms(use_true_random=False))
def test_repeats_add_nothing(said: list[SurveyResponse], chance: random.Random) -> None:
    """What was taken once is ignored from then on, clicks and confirmations too."""
    visit = visited(said, chance)
    journey = visit.journey
    for again in [*said, *(effect.response for effect in visit.all(Confirm))]:
        effects = visit.take((FIRST_MS + 2 * DAY_MS, again))
        assert all(isinstance(effect, Ignore) for effect in effects)
    assert visit.journey._replace(clock_ms=0) == journey._replace(clock_ms=0)


@given(st.integers(MOST_CLICKS, MOST_CLICKS + 20))
def test_clicks_are_bounded(many: int) -> None:
    """The newest are remembered; one who clicks all day does not fill the journey."""
    moments = [(FIRST_MS + n * WAIT_MS, click(FIRST_MS + n * WAIT_MS, 9)) for n in range(many)]
    journey = run([ASKED, *moments], OPEN)
    (survey,) = journey.journey.invitations
    assert survey.clicks is not None
    assert len(survey.clicks.seen) == MOST_CLICKS
    assert len(journey.journey.waiting) == 1


CODEC = Codec()
FAR_MS = START_MS + DAY_MS


class Woken(Process):
    """The worker of one partition, whose customers are woken once all is read, until nobody waits for anything."""

    async def live(self, journeys: Journeys) -> None:
        """Process all there is, a day later, asking often who is due; then let seconds pass until no click waits."""
        self.world.now_ms, self.world.ticks = FAR_MS, 0.03
        await super().live(journeys)
        while any(self.waits(f"c{number}".encode()) for number in range(6)):
            self.world.now_ms += 1_000
            await self.world.drain(journeys, self.r)
            journeys.tick()
            await self.world.drain(journeys, self.r)

    def waits(self, key: bytes) -> bool:
        """True while a click of this customer waits."""
        return bool(self.processor.journeys.get(key).journey.waiting)


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
        survey, score = survey_id(customer, "shop", order, "r"), r.randrange(11)
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


def recounted(inputs: dict[str, list[KafkaRecord]]) -> dict[Cell, Counts]:
    """Every persons' answer in the panes that it belongs to."""
    responses = [CODEC.decode(SurveyResponse, record.value) for record in inputs[RESPONSES.name]]
    votes = []
    for survey in {each.survey_id for each in responses}:
        if scores := persons([each for each in responses if each.survey_id == survey]):
            votes.append(Vote(("all", "country=BR"), min(scores)[0], max(scores)[2]))
    return panes(votes)


@pytest.mark.parametrize("part", range(PARTS))
def test_killed_before_any_write_clicks_count_once(part: int) -> None:
    """Whatever write a crash falls before, panes and last answers hold the persons' answers and no machine's."""
    crashes, tried = 0, seeds(SEEDS, part, PARTS)
    for seed in tried:
        r = random.Random(seed)
        inputs = scanned(r)
        want = recounted(inputs)
        process = Woken(r, inputs)
        process.run()
        crashes += process.crashes
        assert totals(process) == want, f"seed {seed}: panes differ"
        check_answers(seed, process, want)
    assert crashes > len(tried), "the crashes must happen"
