"""When Kafka goes away, sink and notifier say so once, go on once it is back, and end when it stays away."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from confluent_kafka import ConsumerGroupState, KafkaException
from confluent_kafka.admin import AdminClient

from streams.errors import ExitCode
from streams.local.servers import local_clickhouse
from tests.faults.harness.kafka import KafkaCluster
from tests.support.commands import BOUND_S, Service, done, until

pytestmark = pytest.mark.kafka

AWAY_S = 30.0


@pytest.fixture
def kafka_alone(tmp_path: Path) -> Iterator[KafkaCluster]:
    with KafkaCluster(tmp_path) as cluster:
        yield cluster


def test_kafka_away_is_said_once_and_not_borne_for_ever(kafka_alone: KafkaCluster, tmp_path: Path) -> None:
    """Away and back are a line each, not twenty a second; away for longer than NPS_SERVER_WAIT_S ends with 3."""
    environ = {"NPS_BROKERS": kafka_alone.bootstrap, "NPS_PARTITIONS": "1", "NPS_SERVER_WAIT_S": f"{AWAY_S:g}"}
    with ExitStack() as stack:
        clickhouse = stack.enter_context(local_clickhouse(tmp_path / "clickhouse"))
        environ["NPS_CLICKHOUSE_URL"] = f"{clickhouse.address}/nps"
        done("topics", environ=environ)
        done("migrate", environ=environ)
        sinks = [stack.enter_context(Service(name, environ, tmp_path / f"{name}.log")) for name in ("sink", "notify")]
        admin = AdminClient({"bootstrap.servers": kafka_alone.bootstrap, "log_level": 0})
        until(lambda: all(is_stable(admin, group) for group in ("nps-sink", "nps-notifier")), "both are members")
        kafka_alone.kill(1)
        for sink in sinks:
            sink.until(lambda sink=sink: "kafka_away" in sink.said(), "it said that Kafka is away")  # type: ignore[misc]
        kafka_alone.start(1)
        for sink in sinks:
            sink.until(lambda sink=sink: "kafka_back" in sink.said(), "it said that Kafka is back")  # type: ignore[misc]
        kafka_alone.kill(1)
        for sink in sinks:
            assert sink.ended() == ExitCode.BROKER_AWAY, sink.said()
            *lines, last = sink.said().splitlines()
            assert last.startswith("nps: no answer from Kafka for "), sink.said()
            assert [line for line in lines if "kafka_" not in line] == []
            assert len(lines) <= 6, sink.said()


def is_stable(admin: AdminClient, group: str) -> bool:
    """True once the group has its partitions; a new group has no coordinator for a moment."""
    [described] = admin.describe_consumer_groups([group]).values()
    try:
        return bool(described.result(BOUND_S).state == ConsumerGroupState.STABLE)
    except KafkaException:
        return False
