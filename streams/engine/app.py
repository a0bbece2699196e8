"""Faust app reduced to the consumer group, its assignment, agents and the life cycle of services."""

from collections.abc import Awaitable, Callable
from typing import Any

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
            stream_buffer_maxsize=config.buffer_batches,
            stream_wait_empty=False,
            table_standby_replicas=0,
            topic_allow_declare=False,
            topic_disable_leader=True,
            web_enabled=False,
            web_tables_enabled=False,
            autodiscover=False,
        )
        self.transport = BatchTransport(self, context)

    def handle(self, name: str, body: Callable[[Any], Awaitable[None]]) -> None:
        """Add an agent for one topic.  Faust acknowledges nothing: the consumer tracks what is finished."""
        topic = self.topic(
            name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw", acks=False
        )
        self.agent(topic, name=name, concurrency=1)(body)

    def _create_directories(self) -> None:
        """Make no folders: there are no Faust tables."""
