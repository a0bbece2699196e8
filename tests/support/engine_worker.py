"""One engine as a process of its own: `python engine_worker.py OPTIONS_JSON`.  It writes what happens to a file.

Options: brokers, group, log, topics; and, when wanted, fail_at ([topic, partition, offset]), block_ms, restore_ms,
session_ms, broker_wait_ms, stall_ms, freeze_check (check the lease after each batch), positions ([topic, partition,
offset] that the state knows), deaf ([topic, partition] of which batches are taken and never applied).
"""

import asyncio
import json
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from streams.engine.config import EngineConfig
from streams.engine.engine import Engine
from streams.engine.guard import guard, stop_at_once
from streams.kafka.ports import Batch, TopicPartition


class Worker:
    """Takes each partition's batches one after the other, and notes each call as one JSON line."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        self.topics: list[str] = options["topics"]
        self.in_step: tuple[str, ...] = ()
        self.log = open(options["log"], "a", buffering=1)  # noqa: SIM115
        self.locks: defaultdict[TopicPartition, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.tasks: set[asyncio.Task[None]] = set()
        self.begun: set[asyncio.Task[None]] = set()
        config = EngineConfig(
            options["brokers"],
            options["group"],
            session_timeout_ms=options.get("session_ms", 6_000),
            rebalance_timeout_ms=60_000,
            broker_wait_ms=options.get("broker_wait_ms", 300_000),
            stall_ms=options.get("stall_ms", 300_000),
        )
        self.engine = Engine(config, self)

    def note(self, event: str, **details: object) -> None:
        self.log.write(json.dumps({"event": event, "at_ns": time.monotonic_ns(), **details}) + "\n")

    def wants(self, topic: str, partition: int) -> bool:
        return True

    def receive(self, batch: Batch) -> None:
        if [batch.topic, batch.partition] == self.options.get("deaf"):
            return
        task = asyncio.create_task(self.in_turn(batch))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def resume(self) -> None:
        """Nothing is held up."""

    async def in_turn(self, batch: Batch) -> None:
        async with self.locks[batch.topic, batch.partition]:
            task = asyncio.current_task()
            assert task is not None
            self.begun.add(task)
            task.add_done_callback(self.begun.discard)
            with guard(str(batch), stop_at_once):
                await self.handle(batch)
            self.engine.applied(batch.topic, batch.partition, batch.last_offset + 1)

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

    async def assigned(self, partitions: frozenset[int]) -> Mapping[TopicPartition, int]:
        await asyncio.sleep(self.options.get("restore_ms", 0) / 1000)
        first, *_ = self.options["topics"]
        committed = {partition: self.engine.committed(first, partition) for partition in partitions}
        self.note("assigned", partitions=sorted(partitions), committed=committed)
        known = self.options.get("positions", [])
        return {(topic, number): offset for topic, number, offset in known if number in partitions}

    async def finish(self) -> None:
        for task in self.tasks - self.begun:
            task.cancel()
        if self.begun:
            await asyncio.wait(set(self.begun))

    async def revoked(self) -> None:
        self.note("revoked")


if __name__ == "__main__":
    sys.exit(Worker(json.loads(sys.argv[1])).engine.run())
