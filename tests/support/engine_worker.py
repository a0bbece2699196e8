"""One engine as a process of its own: `python engine_worker.py OPTIONS_JSON`.  It writes what happens to a file.

Options: brokers, group, log, topics; and, when wanted, fail_at ([topic, partition, offset]), block_ms,
restore_ms, session_ms, broker_wait_ms, freeze_check (check the lease after each batch).
"""

import asyncio
import json
import sys
import time
from typing import Any

from streams.engine.config import EngineConfig
from streams.engine.engine import Engine
from streams.kafka.ports import Batch


class Worker:
    """Handlers that note each call as one JSON line."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        self.log = open(options["log"], "a", buffering=1)  # noqa: SIM115
        self.engine = Engine(
            EngineConfig(
                options["brokers"],
                options["group"],
                session_timeout_ms=options.get("session_ms", 6_000),
                rebalance_timeout_ms=60_000,
                broker_wait_ms=options.get("broker_wait_ms", 300_000),
            ),
            dict.fromkeys(options["topics"], self.handle),
            assigned=self.assigned,
            revoked=self.revoked,
        )

    def note(self, event: str, **details: object) -> None:
        self.log.write(json.dumps({"event": event, "at_ns": time.monotonic_ns(), **details}) + "\n")

    async def handle(self, batch: Batch) -> None:
        at_ns = time.monotonic_ns()
        offsets = [record.offset for record in batch.records]
        fail_at = self.options.get("fail_at")
        if fail_at and [batch.topic, batch.partition] == fail_at[:2] and fail_at[2] in offsets:
            raise RuntimeError("failed as asked")
        if block_ms := self.options.get("block_ms"):
            self.note("begin", topic=batch.topic, partition=batch.partition, offsets=offsets)
            await asyncio.sleep(block_ms / 1000)
        if self.options.get("freeze_check"):
            self.engine.lease.check()
        sent_ns = int(batch.records[-1].value or 0) if self.options.get("timed") else 0
        self.note("block", topic=batch.topic, partition=batch.partition, offsets=offsets, lag_ns=at_ns - sent_ns)

    async def assigned(self, partitions: frozenset[int]) -> None:
        await asyncio.sleep(self.options.get("restore_ms", 0) / 1000)
        first, *_ = self.options["topics"]
        committed = {partition: self.engine.committed(first, partition) for partition in partitions}
        self.note("assigned", partitions=sorted(partitions), committed=committed)

    async def revoked(self, partitions: frozenset[int]) -> None:
        self.note("revoked", partitions=sorted(partitions))


if __name__ == "__main__":
    sys.exit(Worker(json.loads(sys.argv[1])).engine.run())
