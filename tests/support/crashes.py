"""One partition over topics in memory that dies before any single durable write and comes back with what they hold."""

import asyncio
import random
from collections.abc import Iterator

from schemas.codec import Codec
from schemas.events import Alert, Answer, PaneTally, Purchase, SurveyResponse
from schemas.topics import ALERTS, ANSWERS, JOURNEYS, PANES, PURCHASES, RESPONSES, pane_of
from streams.domain.ids import survey_id
from streams.domain.panes import DAY_MS
from streams.domain.policy import Program
from streams.kafka.ports import KafkaRecord
from streams.processing.partition import PartitionProcessor
from streams.program import parse
from tests.support.crashing import CrashingLog
from tests.support.programs import program
from tests.support.recount import Cell, Counts, Vote, band_of, held, last_word, panes

START_MS = 1_700_000_000_000
PROGRAM = parse(program(remember="60d"), "test.toml")
CODEC = Codec()


def world(r: random.Random) -> dict[str, list[KafkaRecord]]:
    """Purchases and responses with edits, duplicates and withdrawals; some responses before their purchase."""
    inputs: dict[str, list[KafkaRecord]] = {PURCHASES.name: [], RESPONSES.name: []}
    now = START_MS

    def append(topic: str, event: Purchase | SurveyResponse) -> None:
        for _ in range(r.choice((1, 1, 2))):
            records = inputs[topic]
            records.append(KafkaRecord(len(records), now, event.customer_id.encode(), CODEC.encode(event)))

    orders = [(f"o{i}", f"c{r.randrange(6)}") for i in range(12)]
    for order, customer in orders:
        country = r.choice(("BR", "DE"))
        append(
            PURCHASES.name,
            Purchase("shop", order, "order.delivered", now, customer, order, None, None, {"country": country}),
        )
        now += r.randrange(5_000)
    for i in range(60):
        order, customer = r.choice(orders)
        score = r.randrange(11) if r.random() < 0.85 else None
        voided = score is None and r.random() < 0.5
        comment = None if voided or (score is not None and r.random() < 0.7) else f"comment {i}"
        survey = survey_id("shop", order, "r")
        at = now - r.randrange(200_000)
        append(
            RESPONSES.name,
            SurveyResponse("tool", f"r{i}", "answered", at, customer, survey, score, comment, voided, None),
        )
        now += r.randrange(5_000)
    return inputs


def scattered(r: random.Random) -> dict[str, list[KafkaRecord]]:
    """Answers of months with edits, read mostly in order of time; some of them are loaded long after, as history is."""
    orders = [(f"o{i}", f"c{r.randrange(6)}", r.choice(("BR", "DE"))) for i in range(24)]
    bought = [
        Purchase("shop", order, "order.delivered", START_MS, customer, order, None, None, {"country": country})
        for order, customer, country in orders
    ]
    said: list[tuple[int, int, SurveyResponse]] = []
    for order, customer, _ in orders:
        first_ms = START_MS + r.randrange(120) * DAY_MS + r.randrange(DAY_MS)
        block = r.choice((0, 0, r.randrange(4)))
        for number in range(r.choice((1, 1, 2, 3))):
            at_ms = first_ms + number * r.randrange(DAY_MS)
            voided = number > 0 and r.random() < 0.3
            score = None if voided else r.randrange(11)
            survey = survey_id("shop", order, "r")
            event = SurveyResponse(
                "tool", f"{order}.{number}", "said", at_ms, customer, survey, score, None, voided, None
            )
            said.append((block, at_ms + r.randrange(6 * DAY_MS), event))
    said.sort(key=lambda one: one[:2])
    return {
        PURCHASES.name: [
            KafkaRecord(offset, START_MS, one.customer_id.encode(), CODEC.encode(one))
            for offset, one in enumerate(bought)
        ],
        RESPONSES.name: [
            KafkaRecord(offset, read_ms, one.customer_id.encode(), CODEC.encode(one))
            for offset, (_, read_ms, one) in enumerate(said)
        ],
    }


def expected(inputs: dict[str, list[KafkaRecord]]) -> dict[Cell, Counts]:
    """Every answer in the panes that it belongs to."""
    country: dict[str, str] = {}
    for record in inputs[PURCHASES.name]:
        purchase = CODEC.decode(Purchase, record.value)
        country[survey_id("shop", purchase.id, "r")] = purchase.attributes["country"]
    given: dict[str, list[SurveyResponse]] = {}
    for record in inputs[RESPONSES.name]:
        response = CODEC.decode(SurveyResponse, record.value)
        given.setdefault(response.survey_id, []).append(response)
    words = {survey: last_word(responses) for survey, responses in given.items()}
    return panes(Vote(("all", f"country={country[survey]}"), *word) for survey, word in words.items() if word)


class Process:
    """The worker of one partition: dies where it is told to, and comes back with what its topics hold."""

    def __init__(
        self,
        r: random.Random,
        inputs: dict[str, list[KafkaRecord]],
        kind: type[PartitionProcessor] = PartitionProcessor,
        program: Program = PROGRAM,
    ) -> None:
        self.kind = kind
        self.program = program
        self.time_ms: int | None = 0
        self.r = r
        self.inputs = inputs
        self.log = CrashingLog()
        self.committed = dict.fromkeys(inputs, 0)
        self.crashes = 0

    def start(self) -> PartitionProcessor:
        """Tables restored from their topics."""
        processor = self.kind(0, self.program, CODEC, lambda _: 0, lambda: START_MS + 10**11)
        processor.time_ms = self.time_ms
        for (topic, _), record in self.log.read([(PANES.name, 0), (JOURNEYS, 0)]):
            if topic == JOURNEYS:
                processor.journeys.restore(record)
            elif pane := pane_of(record.key or b"") if record.value is None else CODEC.decode(PaneTally, record.value):
                processor.panes.restore(pane, gone=record.value is None)
        processor.restored()
        return processor

    def batches(self) -> Iterator[tuple[str, list[KafkaRecord]]]:
        """Uncommitted records in batches of any size, topics interleaved at random, replays first."""
        position = dict(self.committed)
        responses = self.inputs[RESPONSES.name]
        while any(position[topic] < len(self.inputs[topic]) for topic in position):
            topic = self.r.choice([t for t in position if position[t] < len(self.inputs[t])])
            if position[RESPONSES.name] <= self.replay_to and position[RESPONSES.name] < len(responses):
                topic = RESPONSES.name
            size = self.r.randrange(1, 25)
            batch = self.inputs[topic][position[topic] : position[topic] + size]
            position[topic] += len(batch)
            yield topic, batch

    def run(self) -> None:
        """Until all is processed and committed, through as many crashes as chance makes."""
        while any(self.committed[topic] < len(records) for topic, records in self.inputs.items()):
            processor = self.start()
            self.replay_to = processor.replayed_to
            self.life(processor)

    def life(self, processor: PartitionProcessor) -> None:
        """One process: batches until the end or a crash; commits lag behind at random."""
        done = dict(self.committed)
        for topic, batch in self.batches():
            outputs = processor.decide(topic, batch)
            writes = len(outputs.records) + len(outputs.panes) + len(outputs.expired) + len(outputs.journeys)
            crash = self.r.random() < 0.3 and self.crashes < 40
            self.log.crash_at = self.log.sent + self.r.randrange(writes + 1) if crash else None
            self.r.shuffle(outputs.records)
            outputs.panes = dict(self.r.sample(list(outputs.panes.items()), len(outputs.panes)))
            outputs.journeys = dict(self.r.sample(list(outputs.journeys.items()), len(outputs.journeys)))
            try:
                asyncio.run(processor.make_durable(outputs, self.log, lambda: None))
            except ConnectionError:
                self.crashes += 1
                return
            self.time_ms = processor.time_ms
            done[topic] = batch[-1].offset + 1
            if self.r.random() < 0.6:
                self.committed = dict(done)
            self.feed_requeued()
        self.committed = dict(done)

    def feed_requeued(self) -> None:
        """What was put back on nps.responses is input again."""
        back = self.log.partitions.pop((RESPONSES.name, 0), [])
        records = self.inputs[RESPONSES.name]
        for record in back:
            records.append(record._replace(offset=len(records)))


def totals(process: Process) -> dict[Cell, Counts]:
    """What the newest record of each pane says, as the warehouse keeps it; a version that falls is an error."""
    versions: dict[bytes | None, int] = {}
    written = [record for _, record in process.log.read([(PANES.name, 0)]) if record.value is not None]
    records = [(record.key, CODEC.decode(PaneTally, record.value)) for record in written]
    for key, pane in records:
        assert pane.version >= versions.get(key, -1), "a pane's version fell"
        versions[key] = pane.version
    return held(pane for _, pane in records)


def check_answers(seed: int, process: Process, want: dict[Cell, Counts]) -> None:
    """The answers topic, highest version of each survey, recounts to the same panes; one alert id a revision."""
    answers: dict[str, Answer] = {}
    for _, record in process.log.read([(ANSWERS.name, 0)]):
        answer = CODEC.decode(Answer, record.value)
        if answer.survey_id not in answers or answer.version >= answers[answer.survey_id].version:
            answers[answer.survey_id] = answer
    counted = [answer for answer in answers.values() if answer.counted]
    votes = [Vote(answer.segments, answer.answered_ms, answer.score) for answer in counted if answer.score is not None]
    assert [answer.band for answer in counted] == [band_of(vote.score) for vote in votes]
    assert panes(votes) == want, f"seed {seed}: answers differ from panes"
    ids: dict[str, Alert] = {}
    for _, record in process.log.read([(ALERTS.name, 0)]):
        alert = CODEC.decode(Alert, record.value)
        body = ids.setdefault(alert.alert_id, alert)
        assert body == alert, f"seed {seed}: alert {alert.alert_id} changed between replays"
