"""`nps incidents` on a broker: a detractor's page, what people do about it, and a second life that knows the first."""

import asyncio
import json
from pathlib import Path

import pytest

from schemas.codec import Codec
from schemas.events import Alert, AlertAction, Case, Notification, OncallEvent
from schemas.oncall import Action, Facts, decode, encode
from schemas.topics import ALERT_ACTIONS, ALERTS, CASES, INCIDENTS, NOTIFICATIONS, ONCALL, key_of
from streams.clock import wall_ms
from streams.kafka.ports import KafkaRecord
from streams.kafka.producer import Producer
from streams.kafka.reader import KafkaReader
from streams.local.servers import LocalServer
from tests.support.commands import Service, done

CODEC = Codec()


class Broker:
    """Topics of a broker, to write to and read from."""

    def __init__(self, address: str) -> None:
        self.environ = {"NPS_BROKERS": address, "NPS_PARTITIONS": "2", "NPS_SESSION_TIMEOUT_MS": "3000"}
        self._address = address
        done("topics", environ=self.environ)

    def write(self, topic: str, record: Alert | AlertAction | OncallEvent, value: bytes | None = None) -> None:
        """Write a record, or other bytes under its key."""
        producer = Producer(self._address)
        producer.send(topic, value or CODEC.encode(record), key_of(record))
        asyncio.run(producer.flush())

    def notifications(self) -> list[Notification]:
        """All notifications, in order."""
        return [CODEC.decode(Notification, value) for value in self._values(NOTIFICATIONS.name)]

    def cases(self) -> list[Case]:
        """All cases, in order."""
        return [CODEC.decode(Case, value) for value in self._values(CASES.name)]

    def incidents(self) -> set[bytes | None]:
        """Keys of the incidents."""
        return {record.key for record in self._records(INCIDENTS.name)}

    def _values(self, topic: str) -> list[bytes | None]:
        return [record.value for record in self._records(topic)]

    def _records(self, topic: str) -> list[KafkaRecord]:
        reader = KafkaReader(self._address, {})
        try:
            return [record for _, record in reader.read([(topic, 0)])]
        finally:
            reader.close()


def alert(number: int, score: int = 2, revision: int = 1) -> Alert:
    now_ms, key = wall_ms(), f"survey-{number}"
    status = "open" if score <= 6 else "resolved"
    return Alert(f"{key}:{revision}", key, status, "critical", f"c{number}", "delivery", "after-delivery", "o1", score,
                 "secret words", revision, now_ms, now_ms, ["all", "country=BR"], "p", number)  # fmt: skip


@pytest.fixture
def topics(broker: LocalServer) -> Broker:
    return Broker(broker.address)


def test_a_detractor_is_paged_acknowledged_and_resolved_over_two_lives(topics: Broker, tmp_path: Path) -> None:
    """A page without the customer, an acknowledgement by dedup key, and the end, told by a process started anew."""

    def verbs() -> list[str]:
        return [one.verb for one in topics.notifications()]

    with Service("incidents", topics.environ, tmp_path / "first.log") as first:
        topics.write(ONCALL.name, OncallEvent("e", "due", 1, "x", "{}"))
        topics.write(ONCALL.name, OncallEvent("e", "due", 1, "x", "{}"), b"no Avro")
        topics.write(ALERTS.name, alert(1))
        first.until(lambda: verbs() == ["open"], "a page")
        topics.write(ALERT_ACTIONS.name, AlertAction("survey-1", "acknowledge", "ana", wall_ms(), None))
        first.until(lambda: verbs() == ["open", "acknowledge"], "an acknowledgement")
        assert first.stop() == 0
    with Service("incidents", topics.environ, tmp_path / "second.log") as second:
        topics.write(ALERTS.name, alert(1, score=9, revision=2))
        second.until(lambda: verbs() == ["open", "acknowledge", "resolve"], "the end")
        event = Action(incident_id="", verb="note", actor="bob", note="?", dedup_key="survey-1")
        topics.write(ONCALL.name, OncallEvent("n", "action", 1, "survey-1", encode(event)))
        assert second.stop() == 0
    said = topics.notifications()
    assert [one.seq for one in said] == [1, 2, 3]
    assert {one.receiver for one in said} == {"console"}
    facts = decode(Facts, said[1].facts)
    assert (facts.count, facts.state, facts.acknowledged_by) == (1, "acknowledged", "ana")
    assert "secret" not in json.dumps([one.facts for one in said])
    assert '"c1"' not in json.dumps([one.facts for one in said])
    assert [case.state for case in topics.cases()] == ["open", "open", "resolved"]
    assert topics.cases()[-1].reason == "score_rose"
    assert len(topics.incidents()) == 1
