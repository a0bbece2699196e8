"""After an erasure and the retention nothing that we write names the person: all topics and tables are searched."""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from schemas.codec import Codec
from schemas.events import ContactUpdate, Inbound, Purchase, SupportCase, SurveyResponse
from schemas.topics import ANSWERS, CONTACTS, DEAD, JOURNEYS, PURCHASES, RESPONSES, SUPPORT, TOPICS
from streams.domain.ids import survey_id
from streams.kafka.reader import KafkaReader
from tests.faults.harness.deployment import Deployment
from tests.faults.harness.kafka import KafkaCluster
from tests.faults.scenarios.scenario import now_ms, visits
from tests.faults.traffic.generator import Sent, produce
from tests.support.programs import program
from tests.support.retention import set_config

pytestmark = pytest.mark.kafka

CODEC = Codec()
NAME = "mustermann-4711"
"""In every id, address and word of hers."""

ASK = program(
    {"name": "at-once", "on": ["order.collected"], "delay": "0s"},
    {"name": "later", "on": ["case.closed"], "delay": "1h"},
    hold="2s",
)
EAGER = {
    "log.retention.check.interval.ms": "500",
    "log.cleaner.backoff.ms": "500",
    "log.segment.delete.delay.ms": "100",
}
SHORT = {"segment.ms": "500", "min.cleanable.dirty.ratio": "0.0", "delete.retention.ms": "0"}
INPUTS = {PURCHASES.name, SUPPORT.name, CONTACTS.name}
"""Topics that others write: what lies there is theirs to remove."""

OURS = [topic for topic in TOPICS if topic.name not in INPUTS]
EMPTIED_S = 120.0


def life(at_ms: int) -> Iterator[Sent]:
    """All that can be known of one person, also what is nobody's."""

    def said(id_: str, score: int | None, comment: str | None, survey: str = "", provisional: bool = False) -> Inbound:
        survey = survey or survey_id(NAME, "shop", f"{NAME}-order", "at-once")
        return SurveyResponse(
            "tool", f"{NAME}-{id_}", "survey.answered", at_ms, NAME, survey, score, comment, False, "email", provisional
        )

    country = {"country": "BR", "buyer": NAME}
    events: list[tuple[str, Inbound]] = [
        (CONTACTS.name, ContactUpdate("crm", f"{NAME}-1", "contact", at_ms, NAME, False, None, "de", {
            "email": f"{NAME}@example.com", "phone": f"+49 {NAME}"
        })),
        (PURCHASES.name, Purchase("shop", f"{NAME}-order", "order.collected", at_ms, NAME, NAME, 1, "EUR", country)),
        (SUPPORT.name, SupportCase("desk", f"{NAME}-case", "case.closed", at_ms, NAME, NAME, country)),
        (RESPONSES.name, said("click", 1, None, provisional=True)),
        (RESPONSES.name, said("bad", 2, f"signed, {NAME}")),
        (RESPONSES.name, said("worse", 1, f"still, {NAME}")),
        (RESPONSES.name, said("held", 3, NAME, survey="00000000-0000-5000-8000-000000000000")),
    ]  # fmt: skip
    for topic, event in events:
        yield Sent(topic, NAME.encode(), CODEC.encode(event), at_ms)
    yield Sent(RESPONSES.name, b"somebody else", CODEC.encode(said("wrong key", 3, NAME)), at_ms)
    yield Sent(RESPONSES.name, NAME.encode(), f"not avro, by {NAME}".encode(), at_ms)


def erasure(at_ms: int) -> Sent:
    """She asks to be forgotten."""
    event = ContactUpdate("crm", f"{NAME}-2", "erased", at_ms, NAME, None, None, None, {}, erased=True)
    return Sent(CONTACTS.name, NAME.encode(), CODEC.encode(event), at_ms)


def naming(nps: Deployment) -> set[str]:
    """The topics of ours with a record that has the name anywhere in its bytes."""
    found, name = set(), NAME.encode()
    with closing(KafkaReader(nps.kafka.bootstrap, {})) as reader:
        parts = [part for topic in OURS for part in reader.partitions_of(topic.name)]
        for (topic_name, _), record in reader.read(parts):
            headers = b"".join(text or b"" for _, text in record.headers)
            if name in (record.key or b"") + (record.value or b"") + headers:
                found.add(topic_name)
    return found


def naming_rows(nps: Deployment) -> dict[str, int]:
    """Rows of every table and view with the name in any column, also as the hex of its bytes."""
    tables = [str(row[0]) for row in nps.query("SELECT name FROM system.tables WHERE database = 'nps'")]
    forms = " OR ".join(f"positionCaseInsensitive(line, '{form}') > 0" for form in (NAME, NAME.encode().hex()))
    found = {}
    for table in tables:
        source = f"{table}(since = '1970-01-01', until = '2100-01-01')" if table.endswith("_between") else table
        count = nps.query(
            f"SELECT count() FROM (SELECT formatRow('JSONEachRow', *) AS line FROM {source}) WHERE {forms}"
        )
        if count[0][0]:
            found[table] = int(str(count[0][0]))
    return found


def test_after_erasure_and_retention_nothing_names_the_person(tmp_path: Path) -> None:
    """Before it, her name is in each of our topics that is about customers, and in the tables."""
    path = tmp_path / "nps.toml"
    path.write_text(ASK)
    with KafkaCluster(tmp_path, properties=EAGER) as kafka, Deployment(tmp_path, path, kafka=kafka) as nps:
        members = [nps.run(name) for name in ("worker-1", "sink", "notify-1")]
        produce(kafka.bootstrap, life(now_ms()))
        nps.until(lambda: len(naming(nps)) >= 8, "all that is written of her is there", 120)
        before = naming(nps)
        assert {JOURNEYS, ANSWERS.name, DEAD.name, RESPONSES.name} <= before
        nps.until(lambda: {"answers", "decisions", "alerts", "dead_letters"} <= naming_rows(nps).keys(), "rows", 120)

        produce(kafka.bootstrap, [erasure(now_ms())])
        nps.until(lambda: not naming_rows(nps), "no table names her", EMPTIED_S)
        for name, value in SHORT.items():
            set_config(kafka.bootstrap, name, value, [topic.name for topic in OURS])
        for topic in OURS:
            if topic.retention_ms is not None:
                set_config(kafka.bootstrap, "retention.ms", "1000", [topic.name])

        def gone() -> bool:
            produce(kafka.bootstrap, visits(f"others-{time.monotonic_ns()}", 8))  # segments roll with new records
            return not naming(nps)

        nps.until(gone, "no topic names her", EMPTIED_S)
        assert not naming_rows(nps)
        assert not [line for member in members for line in member.said().splitlines() if NAME in line], "their logs"
