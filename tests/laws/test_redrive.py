"""Laws of dead letters that are put back: the numbers of a run in which they were valid from the start, and once."""

import json
import random
from collections.abc import Mapping
from dataclasses import replace

import pytest

from schemas.codec import Codec
from schemas.events import ContactUpdate, Purchase, SurveyResponse
from schemas.topics import CONTACTS, INBOUND, PURCHASES, RESPONSES
from streams.commands import corrections
from streams.commands.letters import Letter, event_of
from streams.commands.redrive import Actor, Judge, PutBack, Verdict
from streams.domain.ids import survey_id
from streams.kafka.ports import KafkaRecord
from tests.support.crashes import CODEC, PROGRAM, START_MS, Process, check_answers, expected, totals, world
from tests.support.laws import seeds
from tests.support.redriving import fates, judge_of, letters, redriven, waiting

SEEDS = 300
PARTS = 4
NOW_MS = START_MS + 3_600_000
STRICT = replace(PROGRAM, placeholders=frozenset({"c3", "c4"}))
"""Takes two of the customers for nobody, as a program file with a mistake does."""

Records = dict[str, list[KafkaRecord]]


def broken(r: random.Random, inputs: Records) -> Records:
    """Some records under another's key, some with a score that is none; of copies of a record each by itself."""
    return {topic: [_broken(r, topic, record) for record in records] for topic, records in inputs.items()}


def _broken(r: random.Random, topic: str, record: KafkaRecord) -> KafkaRecord:
    chance = r.random()
    if chance < 0.1:
        return record._replace(key=r.choice((b"somebody else", None)))
    if chance < 0.3 and topic == RESPONSES.name:
        response = CODEC.decode(SurveyResponse, record.value)
        if response.score is not None:
            return record._replace(value=CODEC.encode(response._replace(score=response.score + 100)))
    return record


def mended(letter: Letter, judge: Judge) -> tuple[Letter, Verdict]:
    """The letter as a person corrects its line, with the verdict on it."""
    fields = json.loads(corrections.as_line(letter, CODEC))
    if (fields.get("score") or 0) > 10:
        fields["score"] -= 100
    line = corrections.read([json.dumps(fields)], "edited.jsonl")[letter.offset]
    one = corrections.corrected(letter, line, CODEC)
    return one, judge(one)


def redrive(process: Process, judge: Judge, r: random.Random) -> int:
    """Put everything back, scores corrected, through as many crashes as chance makes; how many there were."""
    crashes, log = 0, process.log

    def verdict(letter: Letter) -> Verdict:
        response = event_of(letter, CODEC)
        is_edited = isinstance(response, SurveyResponse) and (response.score or 0) > 10
        return mended(letter, judge)[1] if is_edited else judge(letter)

    while True:
        if crashes < 5:
            log.crash_after(r.randrange(60))
        try:
            redriven(log, CODEC, verdict)
        except ConnectionError:
            crashes += 1
            continue
        finally:
            log.crash_at = None
        return crashes


def inbound(process: Process) -> Mapping[str, int]:
    """How many records lie on each inbound topic."""
    return {topic.name: len(process.log.partitions.get((topic.name, 0), ())) for topic in INBOUND}


@pytest.mark.parametrize("part", range(PARTS))
def test_redriven_is_valid_from_the_start_and_twice_is_once(part: int) -> None:
    """Whatever single write of the worker or of the command a crash falls before, totals equal a recount.

    And a second re-drive puts nothing back.
    """
    crashes, died, tried = 0, 0, seeds(SEEDS, part, PARTS)
    for seed in tried:
        r = random.Random(seed)
        inputs = world(r)
        want = expected(inputs)
        process = Process(r, broken(r, inputs), program=STRICT)
        process.run()
        died += len(letters(process.log))
        process.program = PROGRAM
        judge = judge_of(PROGRAM, CODEC, NOW_MS)
        crashes += redrive(process, judge, r)
        process.crashes = 0
        process.run()
        assert not waiting(process.log, CODEC), f"seed {seed}: something died again"
        assert totals(process) == want, f"seed {seed}: panes differ"
        check_answers(seed, process, want)
        lying = inbound(process)
        assert redriven(process.log, CODEC, judge).acted == 0
        process.run()
        assert inbound(process) == lying
    assert died > 10 * len(tried), "records must die"
    assert crashes > len(tried), "the crashes must happen"


class FatesFirst(Actor):
    """The same with each fate written before its record is back."""

    async def _write(self) -> None:
        """Swap the two stages."""
        batch, self._batch = self._batch, []
        assert self._log is not None
        self._log.send_all([self._action(letter, verdict) for letter, verdict in batch])
        self._log.send_all([one for _, verdict in batch if isinstance(verdict, PutBack) for one in verdict.outputs])


def test_the_order_matters() -> None:
    """With fates written first the same crashes do lose letters: the law above can fail."""
    lost = 0
    for seed in range(20):
        r = random.Random(seed)
        process = Process(r, {RESPONSES.name: [_nobody(n) for n in range(20)]}, program=STRICT)
        process.run()
        log, judge = process.log, judge_of(PROGRAM, CODEC, NOW_MS)
        log.crash_after(r.randrange(40))
        with pytest.raises(ConnectionError):
            redriven(log, CODEC, judge, kind=FatesFirst)
        log.crash_at = None
        redriven(log, CODEC, judge, kind=FatesFirst)
        lost += inbound(process)[RESPONSES.name] < 40
    assert lost > 10


@pytest.mark.parametrize("seed", range(10))
def test_a_letter_that_dies_again_is_the_same_letter(seed: int) -> None:
    """Each time one death older, never two of them waiting, and each death has one fate but for a crash's second."""
    r = random.Random(seed)
    process = Process(r, {RESPONSES.name: [_nobody(n) for n in range(5)]}, program=STRICT)
    process.run()
    names = {letter.identity.letter_id for letter in waiting(process.log, CODEC)}
    for round_ in range(4):
        alive = waiting(process.log, CODEC)
        assert {letter.identity.letter_id for letter in alive} == names
        assert {letter.identity.number for letter in alive} == {round_}
        redrive(process, judge_of(PROGRAM, CODEC, NOW_MS), r)
        assert not waiting(process.log, CODEC)
        process.crashes = 0
        process.run()
    done = fates(process.log, CODEC)
    assert {(letter_id, death) for letter_id, death, _ in done} == {(name, n) for name in names for n in range(4)}


def _nobody(number: int) -> KafkaRecord:
    """An answer of a customer whom the worker takes for nobody, and the command does not."""
    said = SurveyResponse("tool", f"r{number}", "answered", START_MS, "c3", f"s{number}", 9, None, False, None)
    return KafkaRecord(number, START_MS, b"c3", CODEC.encode(said), (("trace", b"1"),))


@pytest.mark.parametrize("seed", range(10))
def test_no_budget_is_exceeded_and_a_dry_run_writes_nothing(seed: int) -> None:
    """So many at most, the rest the next time; and a dry run says what the next run does."""
    r = random.Random(seed)
    process = Process(r, {RESPONSES.name: [_nobody(n) for n in range(20)]}, program=STRICT)
    process.run()
    judge, budget = judge_of(PROGRAM, Codec(), NOW_MS), r.randrange(1, 9)
    left = 20
    while left:
        before = {part: len(records) for part, records in process.log.partitions.items()}
        planned = redriven(process.log, CODEC, judge, budget, dry_run=True)
        assert {part: len(records) for part, records in process.log.partitions.items()} == before
        figures = redriven(process.log, CODEC, judge, budget)
        assert (figures.acted, figures.letters) == (planned.acted, planned.letters)
        assert figures.acted == min(budget, left)
        assert figures.is_cut == (left > budget)
        left -= figures.acted
    assert redriven(process.log, CODEC, judge, budget).acted == 0


def test_a_trigger_that_was_put_back_asks_once() -> None:
    """A purchase that died leads to one survey, however often it is put back."""
    bought = Purchase("shop", "o1", "order.delivered", START_MS, "c3", "o1", None, None, {})
    record = KafkaRecord(0, START_MS, b"c3", CODEC.encode(bought))
    r = random.Random(1)
    process = Process(r, {"nps.purchases": [record]}, program=STRICT)
    process.run()
    process.program = PROGRAM
    judge = judge_of(PROGRAM, CODEC, NOW_MS)
    for _ in range(3):
        verdict = judge(waiting(process.log, CODEC)[0])
        assert isinstance(verdict, PutBack)
        process.log.send_all(verdict.outputs)  # a crash before the fate, again and again
    redrive(process, judge, r)
    process.crashes = 0
    process.run()
    assert inbound(process)["nps.purchases"] > 4
    assert len(process.log.partitions["nps.dispatches", 0]) == 1


def contacts(r: random.Random) -> Records:
    """Customers who buy and answer in order, and then object, agree again, or are erased."""
    inputs: Records = {PURCHASES.name: [], RESPONSES.name: [], CONTACTS.name: []}
    for number in range(6):
        name, at_ms = f"c{number}", START_MS + number * 60_000
        bought = Purchase("shop", name, "order.delivered", at_ms, name, name, None, None, {"country": "BR"})
        survey = survey_id(name, "shop", name, "r")
        said = [
            SurveyResponse("tool", f"{name}.{n}", "said", at_ms + n, name, survey, r.randrange(11), None, False, None)
            for n in range(1, r.randrange(2, 4))
        ]
        told = [_told(r, name, n, at_ms + 1_000 * n) for n in range(1, r.randrange(2, 5))]
        for topic, events in ((PURCHASES.name, [bought]), (RESPONSES.name, said), (CONTACTS.name, told)):
            for event in events:
                value, records = CODEC.encode(event), inputs[topic]
                records.append(KafkaRecord(len(records), event.time, name.encode(), value))
    return inputs


def _told(r: random.Random, name: str, number: int, at_ms: int) -> ContactUpdate:
    is_erased = r.random() < 0.3
    opted_out = None if is_erased else r.choice((True, False, None))
    consents = {} if is_erased else {"feedback/email": r.choice(("granted", "withdrawn"))}
    return ContactUpdate("crm", f"{name}.{number}", "told", at_ms, name, opted_out, None, None, {}, consents,
                         erased=is_erased)  # fmt: skip


def known_of(process: Process) -> Mapping[bytes, tuple[object, ...]]:
    """The customers' objections and statements in the state of a process, and whether they were erased."""
    restored = process.restored()
    journeys = {key: restored.journeys.get(key).journey for key in (f"c{n}".encode() for n in range(6))}
    return {key: (one.opted_out, one.opted_ms, one.contact) for key, one in journeys.items()}


@pytest.mark.parametrize("part", range(PARTS))
def test_contacts_and_erasures_that_were_put_back_hold_as_from_the_start(part: int) -> None:
    """What customers said of being asked, and that they were erased, is known in the end; and all numbers are equal."""
    died, tried = 0, seeds(SEEDS, part, PARTS)
    for seed in tried:
        r = random.Random(seed)
        inputs = contacts(r)
        valid = Process(r, inputs)
        valid.run()
        lost = [one._replace(key=b"x") if r.random() < 0.5 else one for one in inputs[CONTACTS.name]]
        process = Process(r, {**inputs, CONTACTS.name: lost})
        process.run()
        died += len(letters(process.log))
        redrive(process, judge_of(PROGRAM, CODEC, NOW_MS), r)
        process.crashes = 0
        process.run()
        assert not waiting(process.log, CODEC)
        assert totals(process) == totals(valid) != {}, f"seed {seed}: panes differ"
        assert known_of(process) == known_of(valid), f"seed {seed}: statements differ"
    assert died > len(tried), "records must die"
