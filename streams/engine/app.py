"""Faust app reduced to the consumer group, its assignment, the fetch service and the life cycle of services."""

import faust
from faust.app.base import BootStrategy

from streams.engine.client import EngineContext
from streams.engine.consumer import BatchTransport


class _Boot(BootStrategy):
    """Services that Faust starts: without its producer and its web server."""

    enable_kafka_producer = False
    enable_web = False


class App(faust.App):
    """Faust app of one worker."""

    BootStrategy = _Boot

    def __init__(self, context: EngineContext) -> None:
        config = context.config
        super().__init__(
            config.group,
            broker=f"kafka://{config.brokers.split(',')[0]}",
            broker_commit_interval=config.commit_interval_ms / 1000,
            broker_session_timeout=config.session_timeout_ms / 1000,
            broker_rebalance_timeout=config.rebalance_timeout_ms / 1000,
            broker_request_timeout=max(config.session_timeout_ms, config.rebalance_timeout_ms) / 1000 + 5,
            stream_wait_empty=False,
            table_standby_replicas=0,
            topic_allow_declare=False,
            topic_disable_leader=True,
            web_enabled=False,
            web_tables_enabled=False,
            autodiscover=False,
        )
        self.transport = BatchTransport(self, context)

    def read(self, name: str) -> None:
        """Subscribe to a topic.  Its records go from the consumer to the worker; no agent acknowledges them."""
        self.topics.add(self.topic(name, key_type=bytes, value_type=bytes, acks=False))

    def _create_directories(self) -> None:
        """Make no folders: there are no Faust tables."""
