"""How an engine talks to Kafka: one frozen value of plain numbers and strings, checked when it is made."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from streams.kafka.security import for_aiokafka

MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Where Kafka is and how patient we are.  ValueError names the field that is wrong."""

    brokers: str
    """host:port, several separated by commas."""
    group: str
    """The consumer group: workers of one group share the partitions."""
    client_id: str = "nps"
    """How Kafka's logs and quotas name us."""
    instance_id: str | None = None
    """A name per process that outlives restarts: Kafka then waits for it a session long before it rebalances."""
    security: Mapping[str, str] = field(default_factory=dict, repr=False)
    """librdkafka's names: security.protocol, sasl.*, ssl.*."""
    session_timeout_ms: int = 30_000
    """After this silence Kafka gives our partitions away."""
    rebalance_timeout_ms: int = 60_000
    """How long Kafka waits for all workers at a rebalance; half of it is what a batch in hand may still take."""
    fetch_wait_ms: int = 5
    """How long Kafka may hold a fetch when there is nothing new: the floor of our latency on some brokers."""
    partition_fetch_bytes: int = MEBIBYTE
    """The most that one fetch takes from one partition; the local broker does not keep to it."""
    batch_records: int = 2_500
    """The most records in a batch: what must be finished before a partition can be given up."""
    commit_interval_ms: int = 1_000
    """How often finished batches are committed: what a crash may read again."""
    buffer_batches: int = 8
    """Fetched batches that may wait per topic."""
    broker_wait_ms: int = 60_000
    """Without any answer from Kafka for this long, the worker ends."""

    def __post_init__(self) -> None:
        for name in ("brokers", "group", "client_id"):
            if not getattr(self, name):
                raise ValueError(f"{name} must not be empty")
        for name in (
            "session_timeout_ms", "rebalance_timeout_ms", "fetch_wait_ms", "partition_fetch_bytes", "batch_records",
            "commit_interval_ms", "broker_wait_ms",
        ):  # fmt: skip
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0")
        if self.buffer_batches < 2:
            raise ValueError("buffer_batches must be 2 or more")
        for_aiokafka(self.security)

    @property
    def settle_ms(self) -> int:
        """How long a batch in hand may still take once its partition is revoked or the worker is asked to stop."""
        return self.rebalance_timeout_ms // 2
