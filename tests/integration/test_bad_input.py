"""What cannot be used becomes a dead letter that holds all of it; its good neighbours count; too much stops the worker.

The real worker and sink, on the local broker and the local ClickHouse.  Each bad record lies between two good answers
of the same customer, so in one partition and mostly in one batch.
"""

import random
import re
import struct
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import fastavro
import pytest
from clickhouse_connect import get_client
from confluent_kafka import Message, Producer
from fastavro.schema import fingerprint, to_parsing_canonical_form

from schemas.codec import Codec, Undecodable
from schemas.deadletters import Death, Header, unwrap
from schemas.events import ContactUpdate, Inbound, PaneTally, Purchase, SupportCase, SurveyResponse
from schemas.topics import ANSWERS, CONTACTS, DEAD_LETTERS, INBOUND_RECORDS, PANES, PURCHASES, RESPONSES, SUPPORT
from streams.domain.ids import survey_id
from streams.kafka.ports import KafkaRecord
from streams.kafka.reader import KafkaReader
from streams.local.servers import local_broker, local_clickhouse
from tests.faults.traffic.crash_input import PROGRAM
from tests.support.commands import Service, done, until
from tests.support.recount import held

PARTITIONS = 2
HOUR_MS = 3_600_000
HEADERS: list[Header] = [("trace", b"00-ab-cd-01"), ("trace", b"again"), ("empty", b"")]
CODEC = Codec()
FOREIGN = {
    "type": "record", "name": "SurveyResponse", "namespace": "nps",
    "fields": [{"name": "customer_id", "type": "string"}, {"name": "score", "type": "string"}],
}  # fmt: skip


class Case(NamedTuple):
    """A bad record of one customer, and what must be said of it."""

    topic: str
    value: bytes | None
    reason: str
    detail: str
    key: bytes | None = None
    """The customer's key where there is no other."""


class Sent(NamedTuple):
    """Where a record lies."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int


def bought(customer: str, order: str, at_ms: int) -> Purchase:
    return Purchase("shop", order, "order.delivered", at_ms, customer, order, None, None, {"country": "BR"})


def answer(customer: str, order: str, at_ms: int, score: int | None = 9, comment: str | None = None) -> SurveyResponse:
    survey = survey_id(customer, "shop", order, "at-once")
    return SurveyResponse("tool", f"{order}-r", "answered", at_ms, customer, survey, score, comment, False, None)


def foreign() -> bytes:
    """A record that another system's schema wrote: it calls itself ours, and its score is text."""
    schema = fastavro.parse_schema(FOREIGN)
    out = BytesIO()
    out.write(b"\xc3\x01" + bytes.fromhex(fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO")))
    fastavro.schemaless_writer(out, schema, {"customer_id": "foreign", "score": "9"})
    return out.getvalue()


def cases(now_ms: int) -> dict[str, Case]:
    """Every kind of bad record by name, which is also the customer."""

    def response(name: str, **changes: object) -> bytes:
        return CODEC.encode(answer(name, f"{name}-0", now_ms)._replace(**changes))  # type: ignore[arg-type]

    def on_responses(name: str, value: bytes | None, reason: str, detail: str, key: bytes | None = None) -> None:
        found[name] = Case(RESPONSES.name, value, reason, detail, key)

    found: dict[str, Case] = {}
    on_responses("truncated", response("truncated")[:-7], "undecodable", "not a valid nps.SurveyResponse: it ends")
    on_responses(
        "trailing", response("trailing") + b"\0", "undecodable", "not a valid nps.SurveyResponse: 1 bytes left over"
    )
    on_responses("empty", b"", "undecodable", "no Avro header in 0 bytes starting empty")
    on_responses(
        "json", b'{"score": "9"}', "undecodable", "no Avro header in 14 bytes starting 7b227363; this looks like JSON"
    )
    on_responses("blank", response("blank", id=""), "invalid_event", "id is empty")
    on_responses("junk", random.Random(1).randbytes(1_000_000), "too_large", "10000[0-9]{2} bytes with key and headers")
    on_responses("novel", response("novel", comment="a" * 65_536), "too_large", "65[0-9]{3} bytes with key and headers")
    on_responses("schema", b"\xc3\x01" + b"\7" * 30, "unknown_schema", "no released schema has the fingerprint 0707")
    on_responses("registry", b"\0" + struct.pack(">I", 42) + b"xy", "unknown_schema", "schema id 42, but no registry")
    on_responses("foreign", foreign(), "unknown_schema", "no released schema has the fingerprint ")
    purchase = CODEC.encode(bought("other", "o", now_ms))
    on_responses("other", purchase, "wrong_type", "expected nps.SurveyResponse, found nps.Purchase")
    on_responses("eleven", response("eleven", score=11), "invalid_score", "score 11 is not 0 to 10")
    on_responses("minus", response("minus", score=-1), "invalid_score", "score -1 is not 0 to 10")
    on_responses("nothing", response("nothing", score=None), "empty_response", "neither score nor comment nor ")
    on_responses("null", None, "no_value", "the record has no value")
    on_responses("key", response("key"), "wrong_key", "the record's key is not its customer_id", b"somebody else")
    on_responses(
        "late", response("late", time=now_ms - 200 * HOUR_MS), "too_late", r"happened 7200\d\d s before it was"
    )
    on_responses(
        "early", response("early", time=now_ms + HOUR_MS), "too_early", r"claims to happen 3[56]\d\d s after it was"
    )
    on_responses("unsent", response("unsent", survey_id="never"), "unknown_survey", "survey never was not sent to this")
    stranger = CODEC.encode(answer("Nobody", "none", now_ms))
    on_responses("stranger", stranger, "unknown_survey", "survey [0-9a-f-]{36} was not sent to this", b"Nobody")
    case = CODEC.encode(SupportCase("desk", "k", "case.solved", now_ms, "support", "K1", {}))
    contact = CODEC.encode(ContactUpdate("crm", "u", "opted", now_ms, "contact", True, None, None, {}))
    found["purchase"] = Case(PURCHASES.name, purchase[:20], "undecodable", "not a valid nps.Purchase: ")
    found["support"] = Case(SUPPORT.name, case[:-1], "undecodable", "not a valid nps.SupportCase: ")
    found["contact"] = Case(CONTACTS.name, contact, "wrong_key", "the record's key is not its customer_id", b"")
    return found


NAMES = list(cases(0))


class Pipeline:
    """A worker and a sink at work, and a producer that says where its records lie."""

    def __init__(self, brokers: str, clickhouse: str, folder: Path) -> None:
        (folder / "nps.toml").write_text(PROGRAM.replace('hold = "1h"', 'hold = "2s"'))
        self.environ = {
            "NPS_BROKERS": brokers,
            "NPS_CLICKHOUSE_URL": f"{clickhouse}/nps",
            "NPS_PARTITIONS": str(PARTITIONS),
            "NPS_PROGRAM": str(folder / "nps.toml"),
            "NPS_SESSION_TIMEOUT_MS": "6000",
            "NPS_SINK_AGE_MS": "200",
        }
        self.folder = folder
        self._producer = Producer(
            {
                "bootstrap.servers": brokers,
                "partitioner": "murmur2_random",
                "message.max.bytes": 2_000_000,
                "log_level": 0,
            }
        )
        self._acknowledged: list[Message] = []

    def start(self, command: str, **more: str) -> Service:
        """Start a service."""
        return Service(command, {**self.environ, **more}, self.folder / f"{command}.log")

    def put(self, topic: str, value: bytes | None, key: bytes | None, headers: list[Header] | None = None) -> None:
        """Hand over a record, for `sent`."""
        given: list[tuple[str, str | bytes | None]] = [*(headers or [])]
        self._producer.produce(
            topic, value, key, headers=given, on_delivery=lambda error, sent: self._acknowledged.append(sent)
        )

    def event(self, topic: str, event: Inbound) -> None:
        """Hand over an event under its customer."""
        self.put(topic, CODEC.encode(event), event.customer_id.encode())

    def sent(self) -> list[Sent]:
        """Where the records handed over since the last time lie, in their order within each partition."""
        assert self._producer.flush(30) == 0
        messages, self._acknowledged = self._acknowledged, []
        assert not [message.error() for message in messages if message.error()]
        return [
            Sent(m.topic() or "", m.partition() or 0, m.offset() or 0, m.timestamp()[1])
            for m in sorted(messages, key=lambda m: m.latency() or 0)
        ]

    def read(self, topic: str, partitions: int = PARTITIONS) -> list[KafkaRecord]:
        """Everything on a topic."""
        with closing(KafkaReader(self.environ["NPS_BROKERS"], {})) as reader:
            return [record for _, record in reader.read([(topic, number) for number in range(partitions)])]

    def counted(self) -> int:
        """Answers in the daily panes of everybody."""
        values = [record.value for record in self.read(PANES.name) if record.value is not None]
        panes = held(CODEC.decode(PaneTally, value) for value in values)
        return sum(sum(found) for cell, found in panes.items() if cell[:2] == ("all", "day"))

    def letters(self) -> dict[tuple[str, int, int], tuple[KafkaRecord, list[Header], Death]]:
        """The dead letters by where their record lay; none twice."""
        found = {}
        for record in self.read(DEAD_LETTERS, 1):
            original, death = unwrap(record.headers)
            place = (death.topic, death.partition, death.offset)
            assert place not in found
            found[place] = (record, original, death)
        return found


class Story(NamedTuple):
    """All that was written and all that came of it."""

    pipeline: Pipeline
    cases: dict[str, Case]
    where: dict[str, Sent]
    letters: dict[tuple[str, int, int], tuple[KafkaRecord, list[Header], Death]]


@contextmanager
def new_pipeline(folder: Path) -> Iterator[Pipeline]:
    with local_broker() as broker, local_clickhouse(folder / "clickhouse") as clickhouse:
        pipeline = Pipeline(broker.address, clickhouse.address, folder)
        done("topics", environ=pipeline.environ)
        done("migrate", environ=pipeline.environ)
        yield pipeline


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Two surveys for each case's customer, and its bad record between the answers."""
    now_ms = time.time_ns() // 1_000_000
    wanted = cases(now_ms)
    with (
        new_pipeline(tmp_path_factory.mktemp("bad")) as pipeline,
        pipeline.start("worker") as worker,
        pipeline.start("sink") as sink,
    ):
        for name in wanted:
            for order in (f"{name}-1", f"{name}-2"):
                pipeline.event(PURCHASES.name, bought(name, order, now_ms))
        pipeline.sent()
        worker.until(lambda: len(pipeline.read("nps.dispatches")) == 2 * len(wanted), "all were asked")
        where = {}
        for name, case in wanted.items():
            pipeline.event(RESPONSES.name, answer(name, f"{name}-1", now_ms))
            pipeline.sent()
            pipeline.put(case.topic, case.value, name.encode() if case.key is None else case.key, HEADERS)
            [where[name]] = pipeline.sent()
            pipeline.event(RESPONSES.name, answer(name, f"{name}-2", now_ms))
        pipeline.sent()
        worker.until(lambda: len(pipeline.letters()) >= len(wanted), "all dead letters were there")
        worker.until(lambda: pipeline.counted() >= 2 * len(wanted), "all good answers were counted")
        assert sink.is_running()
        yield Story(pipeline, wanted, where, pipeline.letters())
        assert (worker.stop(), sink.stop()) == (0, 0), worker.said() + sink.said()


@pytest.mark.parametrize("name", NAMES)
def test_a_bad_record_becomes_a_dead_letter_that_holds_all_of_it(story: Story, name: str) -> None:
    """Original value, key, headers, topic, partition, offset and timestamp, and why, in a word and in a sentence."""
    case, where = story.cases[name], story.where[name]
    record, headers, death = story.letters[where.topic, where.partition, where.offset]
    assert record.value == case.value
    assert record.key == (name.encode() if case.key is None else case.key)
    assert headers == HEADERS
    assert (death.topic, death.partition, death.offset) == where[:3]
    assert death.timestamp_ms == where.timestamp_ms
    assert death.reason == case.reason
    assert re.match(case.detail, death.detail), death.detail


def test_there_are_no_other_dead_letters(story: Story) -> None:
    """One for each bad record, none for a good one."""
    assert len(story.letters) == len(story.cases)
    assert {place[:3] for place in story.where.values()} == set(story.letters)


def test_good_neighbours_count(story: Story) -> None:
    """Both answers of each customer are counted, once, in stream and ClickHouse."""
    assert story.pipeline.counted() == 2 * len(story.cases)
    client = clickhouse(story)
    query = "SELECT count(), uniqExact(survey_id), sum(score) FROM answers FINAL WHERE counted"
    wanted = 2 * len(story.cases)
    until(lambda: client.query(query).result_rows == [(wanted, wanted, 9 * wanted)], "ClickHouse has them too")


def test_clickhouse_knows_the_dead_letters(story: Story) -> None:
    """Reason and origin are there for whoever asks; value and headers of what can be read, for erasures find them."""
    client = clickhouse(story)
    until(lambda: client.query("SELECT count() FROM dead_letters FINAL").result_rows[0][0] >= len(NAMES), "all loaded")
    rows = client.query(
        "SELECT origin_topic, origin_partition, origin_offset, reason, length(value), headers.1 FROM dead_letters FINAL"
    ).result_rows
    found = {tuple(row[:3]): tuple(row[3:]) for row in rows}
    for name, case in story.cases.items():
        is_readable = readable(case)
        names = [name for name, _ in HEADERS] if is_readable else []
        wanted = (case.reason, len(case.value) if is_readable and case.value is not None else None, names)
        assert found[story.where[name][:3]] == wanted


def readable(case: Case) -> bool:
    """True when the record is one of its topic's type, whatever else is wrong with it."""
    try:
        return CODEC.decode(INBOUND_RECORDS[case.topic], case.value) is not None
    except Undecodable:
        return False


def test_the_sink_buries_what_is_no_row(story: Story) -> None:
    """Junk on an output topic becomes a dead letter of the sink; rows go on."""
    story.pipeline.put(ANSWERS.name, b"junk", b"k", HEADERS)
    [where] = story.pipeline.sent()
    until(lambda: where[:3] in story.pipeline.letters(), "the sink buried it")
    record, headers, death = story.pipeline.letters()[where[:3]]
    assert (record.value, record.key, headers, death.reason) == (b"junk", b"k", HEADERS, "undecodable")


@pytest.mark.kafka
def test_the_largest_record_that_kafka_takes_is_buried_whole(tmp_path: Path) -> None:
    """On real Kafka, too: what fits an inbound topic fits the dead letters, with all that is added to it."""
    from tests.faults.harness.kafka import KafkaCluster

    largest = random.Random(1).randbytes(1_048_588 - 100)
    with KafkaCluster(tmp_path) as kafka:
        pipeline = Pipeline(kafka.bootstrap, "http://127.0.0.1:1", tmp_path)
        done("topics", environ=pipeline.environ)
        pipeline.put(RESPONSES.name, largest, b"C1")
        [where] = pipeline.sent()
        with pipeline.start("worker", NPS_SESSION_TIMEOUT_MS="6000") as worker:
            worker.until(lambda: where[:3] in pipeline.letters(), "it was buried")
            assert worker.stop() == 0
        record, _, death = pipeline.letters()[where[:3]]
        assert (record.value == largest, death.reason) == (True, "too_large")


def test_all_poison_stops_the_worker(tmp_path: Path) -> None:
    """The fuse ends the worker with 5 and one clear line, before anything is buried; set higher, it goes on."""
    now_ms = time.time_ns() // 1_000_000
    with new_pipeline(tmp_path) as pipeline:
        for number in range(40):
            pipeline.put(RESPONSES.name, b"poison", f"C{number}".encode())
        pipeline.event(PURCHASES.name, bought("good", "o", now_ms))
        pipeline.event(RESPONSES.name, answer("good", "o", now_ms))
        pipeline.sent()
        with pipeline.start("worker", NPS_FUSE_IN_A_ROW="5") as worker:
            assert worker.ended() == 5
            [line] = [line for line in worker.said().splitlines() if "CRITICAL" in line]
            assert worker.said().splitlines()[-1] == line
            assert re.search(
                r"worker stopped: partition \d: 5 bad records in a row: .*; the last is at nps\.responses "
                r"partition \d offset \d+: undecodable$",
                line,
            ), line
            assert b"poison"[:4].hex() not in worker.said(), "no part of a record in the log"
        assert pipeline.read(DEAD_LETTERS, 1) == []
        with pipeline.start("worker", NPS_FUSE_IN_A_ROW="100") as worker:
            worker.until(lambda: len(pipeline.letters()) == 40 and pipeline.counted() == 1, "the rest counted")
            assert worker.stop() == 0


def clickhouse(story: Story):  # type: ignore[no-untyped-def]  # the client's own type is not exported
    host, port = re.match(r"http://(.*):(\d+)/nps", story.pipeline.environ["NPS_CLICKHOUSE_URL"]).groups()  # type: ignore[union-attr]
    return get_client(host=host, port=int(port), database="nps")
