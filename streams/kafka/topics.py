"""Makes the topics of `schemas.topics` and says where existing ones differ; never alters or deletes any.

`ensure_topics` is for `nps topics` and may be run again, or twice at once; `verify_topics` only reads.  What a broker
does not tell of its settings is unknown, not different: the local broker tells only what was set.

    BrokerAway    nobody answered within the bound, or not to us
    BadTopics     the cluster will not have a topic as we want it
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigEntry, ConfigResource
from confluent_kafka.admin._metadata import TopicMetadata
from confluent_kafka.cimpl import NewTopic

from schemas.topics import TOPICS, Topic
from streams.errors import BadTopics, BrokerAway

BOUND_S = 30.0
"""How long to wait for a cluster that does not answer, in seconds."""

CALL_S = 3.0
REFUSALS = frozenset({KafkaError._AUTHENTICATION, KafkaError._SSL})
UNTOLD = frozenset({
    KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED, KafkaError.UNKNOWN_TOPIC_OR_PART
})  # fmt: skip
Configs: TypeAlias = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Report:
    """What was made and what is not as it should be, a line each.

    `differences` break a promise of the pipeline; `notes` are for the operator to judge.
    """

    created: tuple[str, ...]
    differences: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """True when the pipeline can rely on the topics."""
        return not self.differences


def ensure_topics(
    brokers: str, security: Mapping[str, str], partitions: int, replication: int, bound_s: float = BOUND_S
) -> Report:
    """Make the missing topics, then verify all.

    `security` holds librdkafka's settings for TLS and SASL; `partitions` is the operator's count, the same for every
    topic that leaves it open.  Raises BrokerAway or BadTopics.
    """
    kafka = _Kafka(brokers, security, bound_s)
    known = kafka.topics()
    missing = [topic for topic in TOPICS if topic.name not in known]
    created = kafka.create([_new(topic, partitions, replication) for topic in missing])
    deadline = time.monotonic() + bound_s
    while _unsettled(report := _report(kafka, partitions, created)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return report


def verify_topics(brokers: str, security: Mapping[str, str], partitions: int, bound_s: float = BOUND_S) -> Report:
    """Say how the topics differ from what they should be; a missing one is a difference.  Raises BrokerAway."""
    return _report(_Kafka(brokers, security, bound_s), partitions, ())


def in_sync(replication: int) -> int:
    """How many replicas must have a record before it is acknowledged: two where one of three may be away."""
    return 2 if replication > 2 else 1


def _new(topic: Topic, partitions: int, replication: int) -> NewTopic:
    config = {**topic.config, "min.insync.replicas": str(in_sync(replication))}
    return NewTopic(topic.name, topic.partitions or partitions, replication, config=config)


def _report(kafka: "_Kafka", partitions: int, created: Sequence[str]) -> Report:
    known = kafka.topics()
    configs = kafka.configs([topic.name for topic in TOPICS if topic.name in known])
    differences = [line for topic in TOPICS for line in _differences(topic, known, configs, partitions)]
    return Report(tuple(created), tuple(differences), tuple(_notes(known, configs)))


def _unsettled(report: Report) -> bool:
    """True while the broker that was asked has yet to hear of what another one made a moment ago."""
    return any(line.startswith(f"{name}: ") for name in report.created for line in report.differences)


def _differences(topic: Topic, known: Mapping[str, TopicMetadata], configs: Configs, partitions: int) -> Iterator[str]:
    """What is wrong with one topic."""
    if topic.name not in known:
        yield f"{topic.name}: is missing: run nps topics"
        return
    expected, found = topic.partitions or partitions, len(known[topic.name].partitions)
    if found != expected:
        remedy = f"set NPS_PARTITIONS={found}" if topic.partitions is None else "recreate it"
        yield f"{topic.name}: has {found} partitions, expected {expected}: their number is for life, {remedy}"
    for name, value in topic.config.items():
        if name == "retention.ms" and topic.compacted:
            continue  # without effect where nothing is deleted by age
        is_now = configs.get(topic.name, {}).get(name)
        if name == "max.message.bytes" and is_now is not None and int(is_now) > int(value):
            continue  # more room does no harm
        if is_now is not None and is_now != value:
            yield f"{topic.name}: {name} is {is_now}, expected {value}: change it with kafka-configs.sh --alter"


def _notes(known: Mapping[str, TopicMetadata], configs: Configs) -> Iterator[str]:
    """How safe acknowledged records are, one line for all topics that are alike."""
    alike: dict[str, list[str]] = {}
    for topic in TOPICS:
        needed = configs.get(topic.name, {}).get("min.insync.replicas")
        if topic.name in known and needed is not None:
            replicas = min((len(partition.replicas) for partition in known[topic.name].partitions.values()), default=0)
            alike.setdefault(_risk(replicas, int(needed)), []).append(topic.name)
    for risk, names in alike.items():
        if risk:
            yield f"{risk}: {', '.join(names)}"


def _risk(replicas: int, needed: int) -> str:
    """What may go wrong with so many replicas and so many of them needed; empty when nothing unusual."""
    counts = f"min.insync.replicas is {needed} with {replicas} replicas"
    if needed > replicas:
        return f"{counts}, nothing can be written"
    if needed == replicas > 1:
        return f"{counts}, one broker away stops writing"
    if needed < in_sync(replicas):
        return f"{counts}, one lost disk may lose acknowledged records"
    return ""


class _Kafka:
    """The cluster, asked with patience but not for ever."""

    def __init__(self, brokers: str, security: Mapping[str, str], bound_s: float) -> None:
        self._brokers = brokers
        self._bound_s = bound_s
        self._refusal: str | None = None
        quiet: dict[str, Any] = {"log_level": 0, "error_cb": self._remember, "reconnect.backoff.max.ms": 1000}
        self._admin = AdminClient({**security, **quiet, "bootstrap.servers": brokers})

    def topics(self) -> dict[str, TopicMetadata]:
        """All topics by name.  Raises BrokerAway."""
        deadline = time.monotonic() + self._bound_s
        while (left := deadline - time.monotonic()) > 0:
            try:
                return self._admin.list_topics(timeout=min(left, CALL_S)).topics
            except KafkaException:
                self._admin.poll(0)
                self._give_up_when_refused()
        raise self._away()

    def create(self, wanted: Sequence[NewTopic]) -> list[str]:
        """Make topics and return those made; one that somebody else made meanwhile is theirs."""
        created = []
        asked = self._admin.create_topics(list(wanted), operation_timeout=CALL_S) if wanted else {}
        for name, done in asked.items():
            try:
                done.result(self._bound_s)
                created.append(name)
            except KafkaException as error:
                if _code(error) != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise BadTopics(f"cannot create {name}: {_said(error)}") from error
        return created

    def configs(self, names: Sequence[str]) -> Configs:
        """What the cluster tells of the topics' settings; nothing where it does not or may not."""
        resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names]
        asked = self._admin.describe_configs(resources) if resources else {}
        told: dict[str, dict[str, str]] = {}
        for resource, done in asked.items():
            try:
                entries: Mapping[str, ConfigEntry] = done.result(self._bound_s)
            except KafkaException as error:
                if _code(error) not in UNTOLD:
                    raise self._away() from error
                continue
            told[resource.name] = {name: entry.value for name, entry in entries.items() if entry.value is not None}
        return told

    def _remember(self, error: KafkaError) -> None:
        if error.code() in REFUSALS or "SSL handshake failed" in error.str():
            self._refusal = error.str()

    def _give_up_when_refused(self) -> None:
        if self._refusal is not None:
            raise BrokerAway(f"Kafka refused us: {self._refusal}: check the security settings")

    def _away(self) -> BrokerAway:
        return BrokerAway(
            f"cannot reach Kafka at {self._brokers} after {self._bound_s:g} s: start it or set NPS_BROKERS"
        )


def _code(error: KafkaException) -> int:
    return int(error.args[0].code())


def _said(error: KafkaException) -> str:
    return str(error.args[0].str())
