"""How long after it is produced an answer is at the live page's readers, and what many readers cost the page."""

import asyncio
import os
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

from schemas.topics import DISPATCHES, PURCHASES, RESPONSES
from streams.domain.ids import survey_id
from streams.kafka.topics import ensure_topics
from streams.local.servers import free_port, local_broker
from streams.local.stack import PARTITIONS, SESSION_MS, nps
from tests.bench.load import Load, out, produce, producer, reader_of
from tests.support.live_page import RESPONDER, TOKENS, VIEWER, visitor

RATE_PER_S = 50
VIEWERS = 50


class PageCost(NamedTuple):
    """Milliseconds from produce to a reader, of each answer; the page's resident MiB and CPU share, by ten seconds."""

    latencies_ms: list[float]
    mib: list[float]
    cpu: list[float]


def live_page(load: Load, program: Path, seconds: int) -> PageCost:
    """Produce RATE_PER_S answers a second before VIEWERS viewers and one responder, who notes when each is there."""
    port = free_port()
    with local_broker() as broker:
        ensure_topics(broker.address, {}, PARTITIONS, 1)
        environ = {
            "NPS_BROKERS": broker.address, "NPS_PARTITIONS": str(PARTITIONS), "NPS_PROGRAM": str(program),
            "NPS_SESSION_TIMEOUT_MS": str(SESSION_MS), "NPS_PAGE_TOKENS": TOKENS, "NPS_PAGE_PORT": str(port),
        }  # fmt: skip
        worker, page = (
            subprocess.Popen(nps(name), env={**os.environ, **environ}, stdout=subprocess.DEVNULL)
            for name in ("worker", "page")
        )
        try:
            return asyncio.run(_observe(load, broker.address, seconds, f"http://127.0.0.1:{port}", page.pid))
        finally:
            for child in (page, worker):
                child.terminate()
                child.wait(30)


async def _observe(load: Load, brokers: str, seconds: int, url: str, pid: int) -> PageCost:
    total = seconds * RATE_PER_S
    await asyncio.to_thread(_ask, load, brokers, total)
    produced: dict[str, float] = {}
    seen: dict[str, float] = {}
    cost = PageCost([], [], [])
    async with visitor(url) as ann, visitor(url) as wall, asyncio.TaskGroup() as group:
        assert (await ann.login(RESPONDER), await wall.login(VIEWER)) == (200, 200)
        out.print(f"live page: {RATE_PER_S} answers a second for {seconds} s before {VIEWERS} viewers")
        readers = [group.create_task(_drain(wall.client.get(f"{url}/stream"))) for _ in range(VIEWERS)]
        readers.append(group.create_task(_weigh(pid, cost)))
        sending = group.create_task(asyncio.to_thread(_answer, load, brokers, total, produced))
        async with ann.stream() as stream:
            while len(seen) < total:
                await stream.until(lambda s: s.told, "anything, as health comes every two seconds")
                now, stream.told = time.perf_counter(), ""
                seen.update(dict.fromkeys(stream.state.get("answers", {}).keys() - seen.keys(), now))
                if sending.done() and now - max(produced.values()) > 10:
                    break  # more than fifty within one look: the oldest of them were never shown
        await sending
        for reader in readers:
            reader.cancel()
    cost.latencies_ms.extend(1000 * (at - produced[key]) for key, at in seen.items() if key in produced)
    return cost


def _ask(load: Load, brokers: str, total: int) -> None:
    start_ms = time.time_ns() // 1_000_000
    produce(brokers, PURCHASES.name, (load.purchase(i, start_ms) for i in range(total)), total, "purchases")
    seen, sent = reader_of(brokers, DISPATCHES.name), 0
    while sent < total:
        sent += sum(message.error() is None for message in seen.consume(1_000, timeout=0.1))
    seen.close()


def _answer(load: Load, brokers: str, total: int, produced: dict[str, float]) -> None:
    client, began = producer(brokers), time.perf_counter()
    for i in range(total):
        time.sleep(max(0.0, began + i / RATE_PER_S - time.perf_counter()))
        key, value, _ = load.answer(i, time.time_ns() // 1_000_000)
        produced[survey_id(f"C{i}", "shop", f"p{i}", "after-delivery")] = time.perf_counter()
        client.produce(RESPONSES.name, value, key)
        client.poll(0)
    client.flush()


async def _drain(request: object) -> None:
    async with request as got:  # type: ignore[attr-defined]  # aiohttp's own context manager
        async for _ in got.content.iter_any():
            pass


async def _weigh(pid: int, cost: PageCost) -> None:
    """Note memory and CPU of a process every ten seconds."""
    ticks, page_bytes = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    before = _cpu_ticks(pid)
    while True:
        await asyncio.sleep(10)
        used = _cpu_ticks(pid)
        cost.cpu.append((used - before) / ticks / 10)
        cost.mib.append(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * page_bytes / 1_048_576)
        before = used


def _cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
