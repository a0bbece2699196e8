"""How far the groups of a pipeline are behind: worker, sink and notifier, as Kafka itself tells."""

from collections.abc import Collection, Mapping

from confluent_kafka import ConsumerGroupState, IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

from schemas.topics import ALERTS, BY_NAME, INBOUND
from sinks.rows import TABLES
from tests.faults.harness.patience import Group, Offsets, patiently
from tests.support.commands import BOUND_S

READS = {
    "worker": tuple(topic.name for topic in INBOUND),
    "sink": tuple(TABLES),
    "notifier": (ALERTS.name,),
}
"""What each kind of member reads and commits."""

_LATEST = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # the library declares no types for it
_AT_WORK = (ConsumerGroupState.STABLE,)
_SETTLED = (ConsumerGroupState.STABLE, ConsumerGroupState.EMPTY, ConsumerGroupState.DEAD)


class Lag:
    """The groups <prefix>-worker, -sink and -notifier."""

    def __init__(self, brokers: str, partitions: int, prefix: str = "nps") -> None:
        self._partitions = partitions
        self._prefix = prefix
        self._brokers = brokers
        self._admin = self._new_admin()
        self._groups = {role: Group(brokers, f"{prefix}-{role}") for role in READS}

    def close(self) -> None:
        """Give the connections back."""
        for group in self._groups.values():
            group.close()

    def behind(self, roles: Collection[str] = tuple(READS)) -> dict[str, int]:
        """Records not committed yet, by role; only roles that are behind."""
        committed = {role: self.committed(role) for role in roles}  # before the ends: nothing can slip between them
        ends = self.ends({topic for role in roles for topic in READS[role]})
        lags = {
            role: sum(ends[partition] - max(offset, 0) for partition, offset in offsets.items())
            for role, offsets in committed.items()
        }
        return {role: lag for role, lag in lags.items() if lag}

    def settled(self, running: Collection[str]) -> bool:
        """True while no group is in the middle of a rebalance, and those of these roles have members at work."""
        wanted = {f"{self._prefix}-{role}": _AT_WORK if role in running else _SETTLED for role in READS}

        def ask() -> bool:
            asked = self._admin.describe_consumer_groups(list(wanted))
            return all(group.result(BOUND_S).state in wanted[name] for name, group in asked.items())

        return patiently(ask)

    def assigned(self, role: str) -> dict[str, list[int]]:
        """The partitions of each member of a group, by the id that Kafka gave it; none while it rebalances."""
        name = f"{self._prefix}-{role}"
        told = patiently(lambda: self._admin.describe_consumer_groups([name])[name].result(BOUND_S))
        return {
            member.member_id: [part.partition for part in member.assignment.topic_partitions] for member in told.members
        }

    def inbound_ends(self) -> Offsets:
        """The offset after the last record of each inbound partition."""
        return self.ends(set(READS["worker"]))

    def all_ends(self) -> Offsets:
        """The offset after the last record of each partition that anybody reads."""
        return self.ends({topic for topics in READS.values() for topic in topics})

    def committed(self, role: str) -> Offsets:
        """The next offset to process of each partition that this role reads; negative where it never committed."""
        return self._groups[role].committed(self._parts(set(READS[role])))

    def ends(self, topics: set[str]) -> Offsets:
        """The offset after the last record of each partition of these topics."""
        wanted = {TopicPartition(*partition): _LATEST for partition in self._parts(topics)}

        def ask() -> Offsets:
            asked = self._admin.list_offsets(wanted, isolation_level=IsolationLevel.READ_UNCOMMITTED)
            try:
                return {(part.topic, part.partition): told.result(BOUND_S).offset for part, told in asked.items()}
            except KafkaException:
                # It keeps the leaders that it once knew, and after a broker's restart asks them in vain for ever.
                self._admin = self._new_admin()
                raise

        return patiently(ask)

    def _new_admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self._brokers, "log_level": 0})

    def _parts(self, topics: set[str]) -> list[tuple[str, int]]:
        counts: Mapping[str, int] = {name: BY_NAME[name].partitions or self._partitions for name in topics}
        return [(name, number) for name in sorted(topics) for number in range(counts[name])]
