"""Our engine on what `stock_worker` gets: `python block_worker.py OPTIONS_JSON`.  The same options, the same notes."""

import asyncio
import json
import sys
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from streams.engine.config import EngineConfig
from streams.engine.engine import Engine
from streams.engine.guard import guard, stop_at_once
from streams.kafka.ports import Batch, TopicPartition


class Worker:
    """Does with each record what the stock app's agent does, batch after batch."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options
        self._log = open(options["log"], "a", buffering=1)  # noqa: SIM115  # for as long as we run
        self._one_at_a_time: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._tasks: set[asyncio.Task[None]] = set()
        config = EngineConfig(
            options["brokers"],
            options["group"],
            session_timeout_ms=4_000,
            commit_interval_ms=int(1_000 * options.get("commit_s", 0.2)),
        )
        self.topics, self.in_step = [options["topic"]], ()
        self.engine = Engine(config, self)

    async def assigned(self, partitions: frozenset[int]) -> Mapping[TopicPartition, int]:
        """No state to restore."""
        return {}

    def wants(self, topic: str, partition: int) -> bool:
        """As much as there is."""
        return True

    def receive(self, batch: Batch) -> None:
        """Take a batch."""
        task = asyncio.create_task(self._take(batch))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def resume(self) -> None:
        """Nothing is held up."""

    async def finish(self) -> None:
        """Finish what was taken."""
        if self._tasks:
            await asyncio.wait(set(self._tasks))

    async def revoked(self) -> None:
        """No state to forget."""

    async def _take(self, batch: Batch) -> None:
        async with self._one_at_a_time[batch.partition]:
            with guard(str(batch), stop_at_once):
                await self._handle(batch)
            self.engine.applied(batch.topic, batch.partition, batch.last_offset + 1)

    async def _handle(self, batch: Batch) -> None:
        for record in batch.records:
            value = (record.value or b"").decode()
            self._note("begun", value)
            if self._options.get("fail_on") in (value, "all"):
                raise RuntimeError("failed as asked")
            if self._options.get("hold_on") == value:
                await asyncio.Event().wait()
        for record in batch.records:
            self._note("done", (record.value or b"").decode())

    def _note(self, event: str, value: str) -> None:
        self._log.write(json.dumps({"event": event, "value": value}) + "\n")


if __name__ == "__main__":
    sys.exit(Worker(json.loads(sys.argv[1])).engine.run())
