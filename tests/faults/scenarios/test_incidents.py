"""Pages survive kills of `nps incidents` before and after every durable write."""

import asyncio
import signal
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest

from schemas.codec import Codec
from schemas.events import Alert, AlertAction, Notification
from schemas.topics import ALERT_ACTIONS, ALERTS, NOTIFICATIONS, key_of
from streams.clock import wall_ms
from streams.kafka.producer import Producer
from streams.kafka.reader import KafkaReader
from tests.faults.harness.fault_injection import ONCALL
from tests.faults.harness.kafka import KafkaCluster
from tests.support.commands import Service, done

pytestmark = [pytest.mark.kafka, pytest.mark.long]

CODEC = Codec()
PROGRAM = (resources.files("streams") / "nps.toml").read_text(encoding="utf-8")
ROUTES = """
[oncall]
interval = "10h"
repeat = "20h"
[receivers.chat]
kind = "console"
[receivers.pager]
kind = "console"
[[routes]]
name = "rest"
group_by = ["country"]
steps = [{ after = "0s", to = ["chat", "pager"] }]
"""
KILLS = [f"{point}:{nth}:kill" for point in ONCALL for nth in ((1, 2) if "effects" in point else (1,))]
"""Of effects the first are the events that alerts become, the second are pages and cases."""


def alert(country: int, number: int) -> Alert:
    now_ms, key = wall_ms(), f"{country}-{number}"
    return Alert(key, key, "open", "critical", f"c{key}", "delivery", "after-delivery", "o", 1, None, 1, now_ms, now_ms,
                 ["all", f"country={country}"], "p", 1)  # fmt: skip


@pytest.fixture
def brokers(tmp_path: Path) -> Iterator[str]:
    with KafkaCluster(tmp_path) as cluster:
        yield cluster.bootstrap


def write(brokers: str, topic: str, *records: Alert | AlertAction) -> None:
    producer = Producer(brokers)
    for record in records:
        producer.send(topic, CODEC.encode(record), key_of(record))
    asyncio.run(producer.flush())


def pages(brokers: str) -> dict[str, Notification]:
    """Notifications by id; what is written twice under one id is the same."""
    found = dict[str, Notification]()
    reader = KafkaReader(brokers, {})
    for _, record in reader.read([(NOTIFICATIONS.name, 0)]):
        one = CODEC.decode(Notification, record.value)
        assert found.setdefault(one.notification_id, one) == one
    reader.close()
    return found


def said(brokers: str) -> dict[tuple[str, str], list[str]]:
    """Verbs by incident and receiver, in order."""
    verbs = dict[tuple[str, str], list[str]]()
    for one in pages(brokers).values():
        verbs.setdefault((one.incident_id, one.receiver), []).append(one.verb)
    return verbs


def test_no_page_is_lost_or_made_twice_by_kills_at_every_write(brokers: str, tmp_path: Path) -> None:
    """Each country opens once at each receiver and ends once, whatever write was the last of a life."""
    (tmp_path / "nps.toml").write_text(PROGRAM + ROUTES)
    environ = {
        "NPS_BROKERS": brokers, "NPS_PARTITIONS": "2", "NPS_SESSION_TIMEOUT_MS": "6000",
        "NPS_PROGRAM": str(tmp_path / "nps.toml"),
    }  # fmt: skip
    done("topics", environ=environ)
    for country, kill in enumerate(KILLS):
        write(brokers, ALERTS.name, *(alert(country, number) for number in range(3)))
        with Service("incidents", {**environ, "FAILPOINTS": kill}, tmp_path / f"life-{country}.log") as life:
            assert life.ended() == -signal.SIGKILL, life.said()
    expected = 2 * len(KILLS)
    with Service("incidents", environ, tmp_path / "last.log") as last:
        last.until(lambda: len(said(brokers)) == expected, "every country's pages")
        for country in range(len(KILLS)):
            keys = [f"{country}-{number}" for number in range(3)]
            write(brokers, ALERT_ACTIONS.name, *(AlertAction(key, "resolve", "ana", wall_ms(), None) for key in keys))
        last.until(lambda: sum(map(len, said(brokers).values())) >= 2 * expected, "every country's end")
        assert last.stop() == 0
    assert list(said(brokers).values()) == [["open", "resolve"]] * expected
