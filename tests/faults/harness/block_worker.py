"""Our engine on what `stock_worker` gets: `python block_worker.py OPTIONS_JSON`.  The same options, the same notes."""

import asyncio
import json
import sys
from typing import Any

from streams.engine.config import EngineConfig
from streams.engine.engine import Engine
from streams.kafka.ports import Batch


class Worker:
    """A handler that does with each record what the stock app's agent does."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options
        self._log = open(options["log"], "a", buffering=1)  # noqa: SIM115  # for as long as we run
        config = EngineConfig(
            options["brokers"],
            options["group"],
            session_timeout_ms=4_000,
            commit_interval_ms=int(1_000 * options.get("commit_s", 0.2)),
        )
        handlers = {options["topic"]: self._handle}
        self.engine = Engine(config, handlers, assigned=self._partitions, revoked=self._partitions)

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

    async def _partitions(self, partitions: frozenset[int]) -> None:
        """No state to restore or to forget."""

    def _note(self, event: str, value: str) -> None:
        self._log.write(json.dumps({"event": event, "value": value}) + "\n")


if __name__ == "__main__":
    sys.exit(Worker(json.loads(sys.argv[1])).engine.run())
