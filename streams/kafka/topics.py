"""Creation and verification of the topics of `schemas.topics`; existing ones are never altered or deleted.

`ensure_topics` is for `nps topics` and may be run again, or twice at once; `verify_topics` only reads.  A setting that
a broker does not report is unknown, not different: the local broker reports only the settings that were set.

    BrokerAway    Kafka did not answer within the bound, or refused the credentials
    BadTopics     Kafka refused to create a topic
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigEntry, ConfigResource
from confluent_kafka.admin._metadata import TopicMetadata
from confluent_kafka.cimpl import NewTopic

from schemas.acls import REFUSALS, not_allowed
from schemas.topics import BY_NAME, CONTACTS, DAY_MS, FOR_EVER, INBOUND, TOPICS, WAKEUPS, Topic
from streams.errors import BadTopics, BrokerAway
from streams.kafka.security import mismatch, silence

BOUND_S = 30.0
"""Longest wait for a cluster that does not answer, in seconds."""

_CALL_S = 3.0
_REFUSED = frozenset({KafkaError._AUTHENTICATION, KafkaError._SSL})
_NOT_REPORTED = frozenset({
    KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED, KafkaError.UNKNOWN_TOPIC_OR_PART
})  # fmt: skip
_BOUNDS = frozenset({"max.message.bytes", "retention.ms"})
Configs: TypeAlias = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Report:
    """Topics created, and lines that say how topics differ from the table.

    `differences` break a guarantee of the pipeline; `notes` are for the operator to judge.
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
    """Create the missing topics, then verify all.

    `security` holds librdkafka's settings for TLS and SASL; `partitions` is the count of every topic that fixes none
    itself.  Raises BrokerAway or BadTopics.
    """
    cluster = _Cluster(brokers, security, bound_s)
    known = cluster.topics()
    missing = [topic for topic in TOPICS if topic.name not in known]
    created = cluster.create([_new_topic(topic, partitions, replication) for topic in missing])
    deadline = time.monotonic() + bound_s
    while _unsettled(report := _report(cluster, partitions, created)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return report


def verify_topics(brokers: str, security: Mapping[str, str], partitions: int, bound_s: float = BOUND_S) -> Report:
    """Report how the topics differ from the table; a missing one is a difference.  Raises BrokerAway."""
    return _report(_Cluster(brokers, security, bound_s), partitions, ())


def create_foreign(brokers: str, security: Mapping[str, str], names: Iterable[str], bound_s: float = BOUND_S) -> None:
    """Create topics that are not of the table, of one partition each; those that are there stay as they are.

    Raises BrokerAway or BadTopics.
    """
    cluster = _Cluster(brokers, security, bound_s)
    known = cluster.topics()
    cluster.create([NewTopic(name, 1, 1) for name in names if name not in known])


class Retention:
    """Check that Kafka keeps events with the time that they carry; a topic's settings are asked for once."""

    def __init__(self, brokers: str, security: Mapping[str, str], bound_s: float = BOUND_S) -> None:
        self._cluster = _Cluster(brokers, security, bound_s)
        self._configs: dict[str, Mapping[str, str]] = {}

    def require(self, events: Iterable[tuple[str, int]], now_ms: int) -> None:
        """Check events, each a topic and an instant in ms; raises BrokerAway.

        Raises BadTopics for events older than their topic's retention and a topic that stamps records itself.
        """
        times_ms: dict[str, list[int]] = defaultdict(list)
        for topic, at_ms in events:
            times_ms[topic].append(at_ms)
        configs = self._cluster.configs([name for name in times_ms if name not in self._configs])
        for name, times in times_ms.items():
            config = self._configs.setdefault(name, {**BY_NAME[name].config, **configs.get(name, {})})
            _require_kept(name, config, times, now_ms)


def _require_kept(name: str, config: Mapping[str, str], times: Sequence[int], now_ms: int) -> None:
    if config["message.timestamp.type"] != "CreateTime":
        remedy = _altered(name, "message.timestamp.type=CreateTime")
        raise BadTopics(f"{name} stamps records with the time of their arrival, not of the event: {remedy}")
    retention_ms = int(config["retention.ms"])
    if old := [at_ms for at_ms in times if 0 <= retention_ms < now_ms - at_ms]:
        days = (now_ms - min(old)) // DAY_MS + 1
        raise BadTopics(
            f"{name} keeps {retention_ms // DAY_MS} days: Kafka would delete {len(old)} of these {len(times)} "
            f"events, the oldest of {days} days ago: {_altered(name, f'retention.ms={(days + 1) * DAY_MS}')}"
        )


def in_sync(replication: int) -> int:
    """Replicas that must have a record before it is acknowledged: 2 of 3 or more, so that one may be away, else 1."""
    return 2 if replication > 2 else 1


def _new_topic(topic: Topic, partitions: int, replication: int) -> NewTopic:
    config = {**topic.config, **topic.compaction, "min.insync.replicas": str(in_sync(replication))}
    return NewTopic(topic.name, topic.partitions or partitions, replication, config=config)


def _report(cluster: "_Cluster", partitions: int, created: Sequence[str]) -> Report:
    known = cluster.topics()
    cluster.refuse_hidden([topic.name for topic in TOPICS if topic.name not in known])
    configs = cluster.configs([topic.name for topic in TOPICS if topic.name in known])
    differences = [line for topic in TOPICS for line in _differences(topic, known, configs, partitions)]
    return Report(tuple(created), tuple(differences), (*_notes(known, configs), *_kept_shorter(configs)))


def _unsettled(report: Report) -> bool:
    """True while the broker that answers does not know yet of a topic that another broker has just created."""
    return any(line.startswith(f"{name}: ") for name in report.created for line in report.differences)


def _differences(topic: Topic, known: Mapping[str, TopicMetadata], configs: Configs, partitions: int) -> Iterator[str]:
    """Lines that say how a topic differs from the table."""
    if topic.name not in known:
        yield f"{topic.name}: is missing: run nps topics"
        return
    expected, actual = topic.partitions or partitions, len(known[topic.name].partitions)
    if actual != expected:
        remedy = f"set NPS_PARTITIONS={actual}" if topic.partitions is None else "recreate it"
        yield f"{topic.name}: has {actual} partitions, expected {expected}: their number is for life, {remedy}"
    for name, value in topic.config.items():
        if name == "retention.ms" and topic.compacted:
            continue  # without effect where nothing is deleted by age
        actual_value = configs.get(topic.name, {}).get(name)
        if name in _BOUNDS and actual_value is not None and _is_more(int(actual_value), int(value)):
            continue  # more room does no harm
        if actual_value is not None and actual_value != value:
            yield f"{topic.name}: {name} is {actual_value}, expected {value}: change it with kafka-configs.sh --alter"


def _is_more(actual: int, expected: int) -> bool:
    return expected != FOR_EVER and (actual == FOR_EVER or actual > expected)


def _altered(name: str, setting: str) -> str:
    return f"kafka-configs.sh --alter --entity-type topics --entity-name {name} --add-config {setting}"


def _kept_shorter(configs: Configs) -> Iterator[str]:
    """The line about wakeups that Kafka deletes before the events they belong to: no rebuild can decide those anew."""
    kept_ms = {
        topic.name: int(configs.get(topic.name, {}).get("retention.ms", topic.config["retention.ms"]))
        for topic in INBOUND
        if topic is not CONTACTS
    }
    wakeups_ms = kept_ms.pop(WAKEUPS.name)
    if longer := [name for name, retention_ms in kept_ms.items() if _is_more(retention_ms, wakeups_ms)]:
        longest_ms = FOR_EVER if FOR_EVER in kept_ms.values() else max(kept_ms.values())
        yield (
            f"{WAKEUPS.name} keeps {wakeups_ms // DAY_MS} days, less than {', '.join(longer)}, and nps rebuild needs "
            f"both: {_altered(WAKEUPS.name, f'retention.ms={longest_ms}')}"
        )


def _notes(known: Mapping[str, TopicMetadata], configs: Configs) -> Iterator[str]:
    """Lines about the safety of acknowledged records, one for all topics with the same risk."""
    topics_by_risk: dict[str, list[str]] = {}
    for topic in TOPICS:
        needed = configs.get(topic.name, {}).get("min.insync.replicas")
        if topic.name in known and needed is not None:
            replicas = min((len(partition.replicas) for partition in known[topic.name].partitions.values()), default=0)
            topics_by_risk.setdefault(_risk(replicas, int(needed)), []).append(topic.name)
    for risk, names in topics_by_risk.items():
        if risk:
            yield f"{risk}: {', '.join(names)}"


def _risk(replicas: int, needed: int) -> str:
    """Risk of `replicas` copies of which `needed` must acknowledge a record; empty for no unusual one."""
    counts = f"min.insync.replicas is {needed} with {replicas} replicas"
    if needed > replicas:
        return f"{counts}, nothing can be written"
    if needed == replicas > 1:
        return f"{counts}, one broker away stops writing"
    if needed < in_sync(replicas):
        return f"{counts}, one lost disk may lose acknowledged records"
    return ""


class _Cluster:
    """Calls to the cluster, repeated until `bound_s` is over."""

    def __init__(self, brokers: str, security: Mapping[str, str], bound_s: float) -> None:
        self._brokers = brokers
        self._bound_s = bound_s
        self._security = security
        self._refusal: str | None = None
        settings: dict[str, Any] = {
            "log_level": 0,
            "error_cb": self._on_error,
            "reconnect.backoff.max.ms": 1000,
        }
        self._admin = AdminClient({**security, **settings, "bootstrap.servers": brokers})

    def topics(self) -> dict[str, TopicMetadata]:
        """All topics by name.  Raises BrokerAway."""
        deadline = time.monotonic() + self._bound_s
        while (remaining_s := deadline - time.monotonic()) > 0:
            try:
                return self._admin.list_topics(timeout=min(remaining_s, _CALL_S)).topics
            except KafkaException:
                self._admin.poll(0)
                self._raise_if_refused()
        raise self._away()

    def create(self, wanted: Sequence[NewTopic]) -> list[str]:
        """Create topics; the names created, without those that another process created meanwhile.  Raises BadTopics."""
        created = []
        futures = self._admin.create_topics(list(wanted), operation_timeout=_CALL_S) if wanted else {}
        for name, future in futures.items():
            try:
                future.result(self._bound_s)
                created.append(name)
            except KafkaException as error:
                if _code(error) in REFUSALS:
                    raise not_allowed(_code(error), name, "Create") from error
                if _code(error) != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise BadTopics(f"cannot create {name}: {_text(error)}") from error
        return created

    def refuse_hidden(self, names: Sequence[str]) -> None:
        """Check that topics which are not listed are missing, not hidden from us.  Raises NotAllowed."""
        futures = self._admin.describe_topics(TopicCollection(list(names))) if names else {}
        for name, future in futures.items():
            error = future.exception(self._bound_s)
            if isinstance(error, KafkaException) and _code(error) in REFUSALS:
                raise not_allowed(_code(error), name, "Describe")

    def configs(self, names: Sequence[str]) -> Configs:
        """Settings by topic, as far as the cluster reports them to us.  Raises BrokerAway."""
        resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names]
        futures = self._admin.describe_configs(resources) if resources else {}
        configs: dict[str, dict[str, str]] = {}
        for resource, future in futures.items():
            try:
                entries: Mapping[str, ConfigEntry] = future.result(self._bound_s)
            except KafkaException as error:
                if _code(error) not in _NOT_REPORTED:
                    raise self._away() from error
                continue
            configs[resource.name] = {name: entry.value for name, entry in entries.items() if entry.value is not None}
        return configs

    def _on_error(self, error: KafkaError) -> None:
        if error.code() in _REFUSED or "SSL handshake failed" in error.str() or mismatch(error.str()):
            self._refusal = error.str()

    def _raise_if_refused(self) -> None:
        if self._refusal is not None:
            advice = mismatch(self._refusal) or "check the security settings"
            raise BrokerAway(f"Kafka refused us: {self._refusal}: {advice}")

    def _away(self) -> BrokerAway:
        remedy = silence(self._brokers, self._security) or "start it or set NPS_BROKERS"
        return BrokerAway(f"cannot reach Kafka at {self._brokers} after {self._bound_s:g} s: {remedy}")


def _code(error: KafkaException) -> int:
    return int(error.args[0].code())


def _text(error: KafkaException) -> str:
    return str(error.args[0].str())
