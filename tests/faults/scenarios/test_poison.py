"""Records that are no events: each is a dead letter with its bytes; a topic full of them stops the worker instead."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from schemas.codec import Codec
from schemas.deadletters import unwrap
from schemas.events import SurveyResponse
from schemas.topics import DEAD_LETTERS, RESPONSES
from streams.errors import ExitCode
from streams.kafka.ports import KafkaRecord
from tests.faults.harness.deployment import Deployment
from tests.faults.harness.pipeline import Pipeline
from tests.faults.oracle.terms import PROGRAM
from tests.faults.scenarios.scenario import ALONE, conclude, now_ms, visits
from tests.faults.traffic.generator import Sent, generate, produce
from tests.faults.traffic.poison import KINDS

pytestmark = pytest.mark.kafka

SEED = 8
POISON = replace(
    ALONE, visits=500, customers=500, poison_ratio=0.4, faulty_ratio=0.2, stray_ratio=0.1, junk_bytes=1_000_000
)  # fmt: skip
"""Every kind of poison twenty times, a megabyte of junk among them, and answers that are none."""


@pytest.fixture
def nps(tmp_path: Path) -> Iterator[Deployment]:
    with Deployment(tmp_path, PROGRAM) as deployment:
        yield deployment


def test_poison_costs_nobody_else_anything(nps: Deployment) -> None:
    """Scenario 8: every poisoned record is a dead letter byte by byte, and all others lead to what they should."""
    sent = list(generate(SEED, POISON))
    poison = [record for record in sent if any(name == "poison" for name, _ in record.headers)]
    produce(nps.kafka.bootstrap, sent)
    nps.run("worker-1")
    nps.run("sink")
    nps.quiet()
    found = Counter((record.key, record.value, tuple(unwrap(record.headers)[0])) for record in letters(nps))
    wanted = Counter((record.key, record.value, record.headers) for record in poison)
    assert len(poison) == 200
    assert not wanted - found, "a poisoned record is not buried as it was"
    unwrapped = [unwrap(record.headers) for record in letters(nps)]
    places = {(death.topic, death.partition, death.offset) for headers, death in unwrapped if "poison" in dict(headers)}
    assert len(places) == len(poison)
    assert places <= {*nps.query("SELECT origin_topic, origin_partition, origin_offset FROM dead_letters FINAL")}
    injected = Counter(str(dict(record.headers)["poison"], "utf-8") for record in poison)  # type: ignore[arg-type]
    assert len(injected) == len(KINDS)
    conclude(nps, "8 poison among events", SEED, injected, slack_ms=0)


@pytest.mark.parametrize("kind", ["junk", "score 11"])
def test_a_topic_full_of_poison_stops_the_worker(nps: Deployment, kind: str) -> None:
    """Scenario 9: the fuse ends the worker with 5 instead of burying a topic; told to go on, it buries them all."""
    poison = all_junk(8_000) if kind == "junk" else all_eleven(8_000)
    worker = nps.run("worker-1")
    nps.run("sink")
    produce(nps.kafka.bootstrap, visits("before", 20))
    nps.until(lambda: not nps.behind(), "all was read")
    assert worker.stop() == ExitCode.OK
    produce(nps.kafka.bootstrap, [*poison, *visits("after", 20)])
    worker.start()
    assert worker.ended() == ExitCode.FUSE_BLOWN
    last = worker.said().splitlines()[-1]
    assert (
        "1000 bad records in a row: see the dead letters, fix the cause, restart; the last is at nps.responses" in last
    )
    assert len(letters(nps)) <= 1_000, "it drained the topic"
    worker.start()
    assert worker.ended() == ExitCode.FUSE_BLOWN, "a restart alone is no way past it"
    worker.start(NPS_FUSE_IN_A_ROW="100000", NPS_FUSE_RATIO="1")
    nps.quiet()
    assert len(letters(nps)) == len(poison)
    conclude(nps, f"9 nothing but poison: {kind}", SEED, {kind: len(poison)})


def all_junk(count: int) -> list[Sent]:
    """What a producer sends that speaks another language."""
    return [
        Sent(RESPONSES.name, f"junk-{number}".encode(), b'{"score": "nine"}', now_ms() - 500) for number in range(count)
    ]


def all_eleven(count: int) -> list[Sent]:
    """What a survey tool sends that counts from 1 to 11: valid records, no valid answers."""
    codec, at_ms = Codec(), now_ms() - 500
    sent = [record for record in visits("eleven", count, at_ms=at_ms) if record.topic == RESPONSES.name]
    answers = [codec.decode(SurveyResponse, record.value)._replace(score=11) for record in sent]
    return [record._replace(value=codec.encode(answer)) for record, answer in zip(sent, answers, strict=True)]


def letters(nps: Deployment) -> list[KafkaRecord]:
    """All dead letters."""
    return [record for _, record in Pipeline(nps.kafka.bootstrap, 1).read(DEAD_LETTERS)]
