"""Topics are made once, verified always, and never changed behind anybody's back."""

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from schemas.topics import DAY_MS, TOPICS
from streams.errors import BadTopics, BrokerAway
from streams.kafka.topics import Report, ensure_topics, verify_topics
from streams.local.servers import HOST, LocalServer, free_port
from tests.faults.harness.kafka import KafkaCluster
from tests.support.commands import BOUND_S

NAMES = tuple(topic.name for topic in TOPICS)


@pytest.fixture(params=["local", pytest.param("kafka", marks=pytest.mark.kafka)])
def brokers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty cluster: the local broker, then a real Kafka."""
    if request.param == "local":
        server: LocalServer = request.getfixturevalue("broker")
        yield server.address
    else:
        with KafkaCluster(tmp_path) as cluster:
            yield cluster.bootstrap


def test_all_topics_are_made_once(brokers: str) -> None:
    """The first run makes every topic as the table says; the second makes none and finds nothing wrong."""
    first = ensure_topics(brokers, {}, partitions=6, replication=1)
    assert (sorted(first.created), first.differences, first.notes) == (sorted(NAMES), (), ())
    found = AdminClient({"bootstrap.servers": brokers}).list_topics(timeout=BOUND_S).topics
    assert {name: len(found[name].partitions) for name in NAMES} == {t.name: t.partitions or 6 for t in TOPICS}
    second = ensure_topics(brokers, {}, partitions=6, replication=1)
    assert (second.created, second.differences) == ((), ())
    assert verify_topics(brokers, {}, partitions=6).ok


def test_missing_topics_are_differences_when_only_reading(brokers: str) -> None:
    """Verifying makes nothing: each missing topic is a line that names the command."""
    report = verify_topics(brokers, {}, partitions=6)
    assert report.differences == tuple(f"{name}: is missing: run nps topics" for name in NAMES)
    assert not set(NAMES) & AdminClient({"bootstrap.servers": brokers}).list_topics(timeout=BOUND_S).topics.keys()


def test_what_differs_is_said_and_left_alone(brokers: str) -> None:
    """Wrong partitions, policy or retention are a line each, with the remedy, and stay as they were."""
    _make(brokers, "nps.responses", 4, {"cleanup.policy": "delete", "retention.ms": str(400 * DAY_MS)})
    _make(brokers, "nps.panes", 6, {"cleanup.policy": "delete", "retention.ms": str(DAY_MS)})
    _make(brokers, "nps.decisions", 6, {"cleanup.policy": "delete", "retention.ms": str(DAY_MS)})
    report = ensure_topics(brokers, {}, partitions=6, replication=1)
    assert set(report.created) == set(NAMES) - {"nps.responses", "nps.panes", "nps.decisions"}
    assert report.differences == (
        "nps.responses: has 4 partitions, expected 6: their number is for life, set NPS_PARTITIONS=4",
        f"nps.decisions: retention.ms is {DAY_MS}, expected {30 * DAY_MS}: change it with kafka-configs.sh --alter",
        "nps.panes: cleanup.policy is delete, expected compact: change it with kafka-configs.sh --alter",
    )
    assert verify_topics(brokers, {}, partitions=6).differences == report.differences


def test_a_compacted_topic_may_have_any_retention(brokers: str) -> None:
    """Age deletes nothing from a compacted topic, so its retention is no difference."""
    _make(brokers, "nps.panes", 6, {"cleanup.policy": "compact", "retention.ms": str(DAY_MS)})
    assert ensure_topics(brokers, {}, partitions=6, replication=1).ok


def test_a_longer_retention_is_no_difference(brokers: str) -> None:
    """Whoever loads a longer history keeps more; only less than the table breaks a promise."""
    _make(brokers, "nps.purchases", 6, {"cleanup.policy": "delete", "retention.ms": str(2_000 * DAY_MS)})
    _make(brokers, "nps.support", 6, {"cleanup.policy": "delete", "retention.ms": "-1"})
    _make(brokers, "nps.contacts", 6, {"cleanup.policy": "delete", "retention.ms": str(2_000 * DAY_MS)})
    _make(brokers, "nps.responses", 6, {"message.timestamp.type": "LogAppendTime", "retention.ms": "-1"})
    report = ensure_topics(brokers, {}, partitions=6, replication=1)
    assert report.differences == (
        f"nps.contacts: retention.ms is {2_000 * DAY_MS}, expected -1: change it with kafka-configs.sh --alter",
        "nps.responses: message.timestamp.type is LogAppendTime, expected CreateTime: change it with "
        "kafka-configs.sh --alter",
    )
    assert report.notes == (
        "nps.wakeups keeps 400 days, less than nps.purchases, nps.support, nps.responses, and nps rebuild needs both: "
        "kafka-configs.sh --alter --entity-type topics --entity-name nps.wakeups --add-config retention.ms=-1",
    )


def test_settings_a_broker_does_not_tell_are_not_differences(broker: LocalServer) -> None:
    """The local broker tells nothing of a topic made without settings; that is unknown, not different."""
    for topic in TOPICS:
        _make(broker.address, topic.name, topic.partitions or 3, {})
    assert verify_topics(broker.address, {}, partitions=3).ok


@pytest.mark.kafka
def test_defaults_of_a_real_broker_are_compared(kafka: KafkaCluster) -> None:
    """A real broker tells its defaults too: seven days are not four hundred."""
    _make(kafka.bootstrap, "nps.purchases", 3, {})
    differences = verify_topics(kafka.bootstrap, {}, partitions=3).differences
    assert f"retention.ms is {7 * DAY_MS}, expected {400 * DAY_MS}" in differences[0]


@pytest.mark.kafka
def test_three_replicas_need_two_in_sync(tmp_path: Path) -> None:
    """On three brokers the topics are made safe; one made by others with less is noted, not changed."""
    with KafkaCluster(tmp_path, brokers=3) as cluster:
        _make(cluster.bootstrap, "nps.alerts", 3, {"min.insync.replicas": "1", "retention.ms": str(30 * DAY_MS)}, 3)
        _make(cluster.bootstrap, "nps.answers", 3, {"min.insync.replicas": "3", "retention.ms": str(30 * DAY_MS)}, 3)
        report = ensure_topics(cluster.bootstrap, {}, partitions=3, replication=3)
    assert report.ok
    assert report.notes == (
        "min.insync.replicas is 3 with 3 replicas, one broker away stops writing: nps.answers",
        "min.insync.replicas is 1 with 3 replicas, one lost disk may lose acknowledged records: nps.alerts",
    )


@pytest.mark.kafka
def test_more_replicas_than_brokers_are_refused(tmp_path: Path) -> None:
    """A cluster that cannot hold the replicas says so in one line that names the topic."""
    with KafkaCluster(tmp_path) as cluster, pytest.raises(BadTopics, match=r"^cannot create nps\.\S+: .*replication"):
        ensure_topics(cluster.bootstrap, {}, partitions=3, replication=3)


@pytest.mark.parametrize("ask", [partial(ensure_topics, replication=1), verify_topics], ids=["ensure", "verify"])
def test_an_absent_broker_is_one_line_after_the_bound(
    ask: Callable[..., Report], capfd: pytest.CaptureFixture[str]
) -> None:
    """With nobody there the wait is bounded, the error says where and what to do, and nothing else is printed."""
    address = f"{HOST}:{free_port()}"
    before = time.monotonic()
    with pytest.raises(BrokerAway) as raised:
        ask(address, {}, partitions=3, bound_s=1)
    assert 0.9 < time.monotonic() - before < BOUND_S
    assert str(raised.value) == f"cannot reach Kafka at {address} after 1 s: start it or set NPS_BROKERS"
    assert capfd.readouterr() == ("", "")


SASL = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": "u", "sasl.password": "p"}


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("security", "remedy"),
    [
        (SASL, "check the security settings"),
        ({"security.protocol": "SSL"}, "this port speaks no TLS: set NPS_KAFKA_.*"),
    ],
    ids=["sasl", "tls"],
)
def test_a_refusal_does_not_wait_for_the_bound(kafka: KafkaCluster, security: Mapping[str, str], remedy: str) -> None:
    """Waiting cures no wrong protocol: the error comes before the bound and points at the security settings."""
    before = time.monotonic()
    with pytest.raises(BrokerAway, match=rf"^Kafka refused us: .*: {remedy}$"):
        verify_topics(kafka.bootstrap, security, partitions=3, bound_s=2 * BOUND_S)
    assert time.monotonic() - before < BOUND_S


def _make(brokers: str, name: str, partitions: int, config: Mapping[str, str], replicas: int = 1) -> None:
    topic = NewTopic(name, partitions, replicas, config=dict(config))
    admin = AdminClient({"bootstrap.servers": brokers})  # held: a client that is dropped forgets what it was asked
    admin.create_topics([topic])[name].result(BOUND_S)
