"""Configuration of an engine: one frozen value of plain numbers and strings, checked when it is made."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from streams.kafka.security import for_aiokafka

MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Addresses, limits and timeouts of an engine.  Raises ValueError that names the wrong field."""

    brokers: str
    """host:port, several separated by commas."""
    group: str
    """The consumer group: workers of one group share the partitions."""
    client_id: str = "nps"
    """Name of this client in Kafka's logs and quotas."""
    instance_id: str | None = None
    """Name of the process that outlives restarts: Kafka then waits a session before it rebalances."""
    security: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Settings in librdkafka's names: security.protocol, sasl.*, ssl.*."""
    session_timeout_ms: int = 30_000
    """Silence of this worker after which Kafka gives its partitions away."""
    rebalance_timeout_ms: int = 60_000
    """Kafka's longest wait for all workers at a rebalance; a batch in hand may take half of it, see `settle_ms`."""
    fetch_wait_ms: int = 5
    """Longest time for which Kafka holds a fetch without new records: the least latency on some brokers."""
    partition_fetch_bytes: int = MEBIBYTE
    """The most that one fetch takes from one partition; the local broker does not keep to it."""
    commit_interval_ms: int = 1_000
    """Interval between commits of finished batches: a crash reads this much again."""
    broker_wait_ms: int = 60_000
    """Silence of Kafka after which the worker ends."""
    stall_ms: int = 60_000
    """Time for which records may lie in a partition without one of them being applied before the worker ends."""

    def __post_init__(self) -> None:
        for name in ("brokers", "group", "client_id"):
            if not getattr(self, name):
                raise ValueError(f"{name} must not be empty")
        for name in (
            "session_timeout_ms", "rebalance_timeout_ms", "fetch_wait_ms", "partition_fetch_bytes",
            "commit_interval_ms", "broker_wait_ms", "stall_ms",
        ):  # fmt: skip
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0")
        for_aiokafka(self.security)

    @property
    def settle_ms(self) -> int:
        """Longest time a batch in hand may still take once its partition is revoked or the worker is to stop."""
        return self.rebalance_timeout_ms // 2
