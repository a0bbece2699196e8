"""A plain Faust app, as Faust's own pages teach it: `python stock_worker.py OPTIONS_JSON`.  `block_worker` is our pair.

It notes what it does with each record as JSON lines.  Options: brokers, group, topic, log, datadir; and, when wanted,
fail_on (a value, or "all"), hold_on (a value never done with), hands (concurrency), table (count by key),
commit_s, declare (whether it may make topics).
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterable
from typing import Any

import faust

SESSION_S = 4.0


def build(options: dict[str, Any]) -> faust.App:
    """The app; everything that no option names is Faust's default, but for a session short enough for a test."""
    app = faust.App(
        options["group"],
        broker=f"kafka://{options['brokers']}",
        broker_session_timeout=SESSION_S,
        broker_heartbeat_interval=SESSION_S / 4,
        broker_commit_interval=options.get("commit_s", 0.2),
        topic_allow_declare=options.get("declare", True),
        topic_partitions=2,
        datadir=options["datadir"],
        web_enabled=False,
    )
    topic = app.topic(options["topic"], key_type=str, value_type=bytes, value_serializer="raw")
    counts = app.Table("counts", default=int) if options.get("table") else None
    log = open(options["log"], "a", buffering=1)  # noqa: SIM115  # for as long as we run

    def note(event: str, value: str, **details: object) -> None:
        log.write(json.dumps({"event": event, "value": value, **details}) + "\n")

    async def handle(stream: AsyncIterable[faust.Event]) -> None:
        async for event in stream.events():  # type: ignore[attr-defined]  # what Faust really gives
            value = event.value.decode()
            note("begun", value)
            if options.get("fail_on") in (value, "all"):
                raise RuntimeError("failed as asked")
            if options.get("hold_on") == value:
                await asyncio.Event().wait()
            count = None
            if counts is not None:
                counts[event.key] += 1
                count = counts[event.key]
            note("done", value, count=count)

    app.agent(topic, name="handle", concurrency=options.get("hands", 1))(handle)
    return app


if __name__ == "__main__":
    faust.Worker(build(json.loads(sys.argv[1])), loglevel="INFO").execute_from_commandline()
