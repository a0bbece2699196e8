"""A worker and its schema registry: strangers' ids are dead letters, an outage is waited for and then ends with 3."""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path

import fastavro
import pytest
from confluent_kafka import Producer

from schemas.codec import CONFLUENT, versions
from schemas.deadletters import unwrap
from schemas.events import Purchase
from schemas.topics import DEAD_LETTERS, DECISIONS, PURCHASES
from streams.kafka.ports import KafkaRecord
from streams.kafka.reader import KafkaReader
from streams.local.servers import local_broker
from tests.support.commands import Service, done, until
from tests.support.registry_server import RegistryServer, Reply, registry_server

PARTITIONS = 2
WAIT_S = 6
SESSION_S = 6
IDS = [999_999, 2**31 + 5, 2**32 - 1]
HANGS = Reply(200, b"{}", after_s=3_600)


@pytest.fixture
def registry() -> Iterator[RegistryServer]:
    with registry_server("worker:p%40ss") as server:
        yield server


@pytest.fixture
def environ(registry: RegistryServer) -> Iterator[dict[str, str]]:
    """A broker with the topics, and the registry."""
    with local_broker() as broker:
        found = {
            "NPS_BROKERS": broker.address, "NPS_PARTITIONS": str(PARTITIONS), "NPS_REGISTRY_URL": registry.url,
            "NPS_SERVER_WAIT_S": str(WAIT_S), "NPS_SESSION_TIMEOUT_MS": str(SESSION_S * 1_000),
        }  # fmt: skip
        done("topics", environ=found)
        yield found


def produced(environ: dict[str, str], *values: bytes) -> None:
    producer = Producer({"bootstrap.servers": environ["NPS_BROKERS"]})
    for value in values:
        producer.produce(PURCHASES.name, value, b"c1", partition=0)
    assert producer.flush(30) == 0


def purchase(registry: RegistryServer, name: str) -> bytes:
    """A purchase of another team's schema, which has a field more, called `name`."""
    fields = [*versions(Purchase)[-1]["fields"], {"name": name, "type": "string"}]
    schema = {"type": "record", "name": "Purchase", "namespace": "nps", "fields": fields}
    schema_id = registry.register(f"of {name}", {"schema": json.dumps(schema)})
    event = Purchase("shop", name, "order.delivered", time.time_ns() // 1_000_000, "c1", name, None, None, {})
    body = BytesIO()
    fastavro.schemaless_writer(body, fastavro.parse_schema(schema), {**event._asdict(), name: "more"})
    return CONFLUENT + schema_id.to_bytes(4, "big") + body.getvalue()


def read(environ: dict[str, str], topic: str, partitions: int) -> list[KafkaRecord]:
    with closing(KafkaReader(environ["NPS_BROKERS"], {})) as reader:
        return [record for _, record in reader.read([(topic, number) for number in range(partitions)])]


def test_a_worker_and_its_registry(environ: dict[str, str], registry: RegistryServer, tmp_path: Path) -> None:
    """Ids without a schema cost their records alone; a short silence costs no session; a long one ends with 3."""

    def decided(count: int) -> None:
        until(lambda: len(read(environ, DECISIONS.name, PARTITIONS)) == count, f"{count} decisions")

    with Service("worker", environ, tmp_path / "log") as worker:
        produced(environ, *(CONFLUENT + schema_id.to_bytes(4, "big") + b"abc" for schema_id in IDS))
        produced(environ, purchase(registry, "first"))
        decided(1)
        reasons = [unwrap(record.headers)[1].reason for record in read(environ, DEAD_LETTERS, 1)]
        assert reasons == ["unknown_schema"] * len(IDS)
        registry.fault = Reply(429)
        produced(environ, purchase(registry, "second"))
        until(lambda: "registry_away" in worker.said(), "it waits")
        time.sleep(WAIT_S / 3)
        registry.fault = None
        decided(2)
        registry.fault = HANGS
        produced(environ, purchase(registry, "third"))
        assert worker.ended() == 3
    said = worker.said()
    assert said.count("registry_away") == 2
    assert said.count("registry_back") == 1
    assert "p@ss" not in said
    assert "p%40ss" not in said
    registry.fault = None
    with Service("worker", environ, tmp_path / "log") as worker:
        decided(3)
        assert worker.stop() == 0
