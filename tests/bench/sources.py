"""How fast sources are: an order of 6.6 KB mapped alone, beside JMESPath on the same record, end to end, and posted.

Mapping alone is decoding, mapping and encoding, in records a second of a core's own time, so that a busy machine tells
the same.  JMESPath only finds the same values, by its compiled expressions: it converts and encodes nothing.  Webhooks
are posted at a fixed pace whatever the answers take, each timed from the moment at which it was due.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import os
import re
import signal
import statistics
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import aiohttp
import jmespath
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from rich.table import Table

from schemas.codec import Codec
from streams.kafka.ports import KafkaRecord
from streams.kafka.topics import create_foreign, ensure_topics
from streams.local.servers import free_port, local_broker
from streams.local.stack import PARTITIONS, nps
from streams.sources.mapper import Mapper
from streams.sources.reading import load
from streams.sources.samples import read_samples
from tests.bench.load import producer

SAMPLES = Path(__file__).parents[1] / "contract" / "sources" / "shopify"
RECORDS = 20_000
END_TO_END_RECORDS = 40_000
RUNS = 5
WEBHOOKS_PER_S = 200
WEBHOOK_S = 20
SECRET = "a secret for the bench"
EXPRESSIONS = (
    "id", "updated_at", "customer.id", "total_price", "currency", "shipping_address.country_code", "source_name",
    "max_by(line_items, &to_number(price)).sku",
)  # fmt: skip
"""What the mapping of an order that was fulfilled reads."""


def run() -> Table:
    """Measure, and make a table of it."""
    order = order_of_sample()
    table = Table(
        "figure", "measured", "bar", title=f"an order of {len(order.value or b'') / 1000:.1f} KB", title_justify="left"
    )
    mapped, found = rate_of(mapping_of(order)), rate_of(jmespath_of(order))
    table.add_row("decoded, mapped and encoded", f"{mapped:,.0f}/s of a core", "30,000/s")
    table.add_row("JMESPath, found only", f"{found:,.0f}/s of a core", "")
    table.add_row("ratio", f"{mapped / found:.1f}", "")
    table.add_row("nps sources run, end to end", f"{end_to_end(order):,.0f}/s", "15,000/s")
    cuts = statistics.quantiles(webhooks_ms(order), n=100)
    figure = f"{cuts[49]:.0f} / {cuts[94]:.0f} / {cuts[98]:.0f} ms"
    table.add_row(f"webhook at {WEBHOOKS_PER_S}/s, p50 / p95 / p99", figure, "p95 50 ms")
    return table


def order_of_sample() -> KafkaRecord:
    """A fulfilled order as a shop sends it."""
    [sample] = read_samples(SAMPLES / "orders_fulfilled.json")
    return sample.record._replace(value=json.dumps(json.loads(sample.record.value or b"")).encode())


def mapping_of(order: KafkaRecord) -> Callable[[], object]:
    """The whole of what is done for a record, but for Kafka."""
    mapper, codec = Mapper(load(SAMPLES / "mapping.toml")), Codec()
    return lambda: [codec.encode(event) for _, event in mapper.map(order).events]


def jmespath_of(order: KafkaRecord) -> Callable[[], object]:
    """The same values by JMESPath."""
    compiled, value = [jmespath.compile(expression) for expression in EXPRESSIONS], order.value or b""

    def find() -> list[object]:
        root = json.loads(value)
        return [expression.search(root) for expression in compiled]

    return find


def rate_of(work: Callable[[], object]) -> float:
    """Calls a second of a core's time, the median of RUNS."""
    rates = []
    for _ in range(RUNS):
        started = time.process_time()
        for _ in range(RECORDS // RUNS):
            work()
        rates.append(RECORDS // RUNS / (time.process_time() - started))
    return statistics.median(rates)


def end_to_end(order: KafkaRecord) -> float:
    """Records a second of one `nps sources run` through a backlog, from its first batch to its last."""
    with local_broker() as broker, tempfile.TemporaryDirectory() as folder:
        ensure_topics(broker.address, {}, PARTITIONS, 1)
        admin = AdminClient({"bootstrap.servers": broker.address})
        for made in admin.create_topics([NewTopic("shop.orders", PARTITIONS, 1)]).values():
            made.result(30)
        client = producer(broker.address)
        for number in range(END_TO_END_RECORDS):
            value = (order.value or b"").replace(b"820982911946154508", str(10**17 + number).encode())
            client.produce(
                "shop.orders", value, str(number).encode(), headers=list(order.headers), timestamp=order.timestamp
            )
            client.poll(0)
        client.flush()
        port, log = free_port(), Path(folder) / "log"
        environ = {"NPS_BROKERS": broker.address, "NPS_PARTITIONS": str(PARTITIONS), "NPS_METRICS_PORT": str(port)}
        words = nps("sources", "run", str(SAMPLES / "mapping.toml"))
        with log.open("ab") as output:
            process = subprocess.Popen(words, env={**os.environ, **environ}, stdout=output, stderr=output)
        try:
            return measured(process, port, log)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def webhooks_ms(order: KafkaRecord) -> list[float]:
    """Milliseconds until each of many webhooks was answered, from when it was due."""
    with local_broker() as broker, tempfile.TemporaryDirectory() as folder:
        ensure_topics(broker.address, {}, PARTITIONS, 1)
        create_foreign(broker.address, {}, ["shop.orders"])
        mapping, port = Path(folder) / "shopify.toml", free_port()
        text = (SAMPLES / "mapping.toml").read_text(encoding="utf-8")
        mapping.write_text(f'{text}\n[webhook]\nverify = "shopify"\nsecret = "SECRET"\n', encoding="utf-8")
        environ = {
            "NPS_BROKERS": broker.address, "NPS_PARTITIONS": str(PARTITIONS), "NPS_COLLECTOR_SOURCES": str(mapping),
            "NPS_COLLECTOR_PORT": str(port), "NPS_LINK_KEYS": "k1:0123456789abcdef", "SECRET": SECRET,
        }  # fmt: skip
        with (Path(folder) / "log").open("ab") as output:
            process = subprocess.Popen(nps("collector"), env={**os.environ, **environ}, stdout=output, stderr=output)
        try:
            return asyncio.run(posted(f"http://127.0.0.1:{port}/sources/shopify", order))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


async def posted(url: str, order: KafkaRecord) -> list[float]:
    """Post the order again and again, each time with a signature."""
    body = order.value or b""
    signature = base64.b64encode(hmac.new(SECRET.encode(), body, hashlib.sha256).digest()).decode()
    headers = {name: (value or b"").decode() for name, value in order.headers}
    headers |= {"X-Shopify-Hmac-Sha256": signature, "Content-Type": "application/json"}
    async with aiohttp.ClientSession(headers=headers) as client:

        async def post(due_s: float) -> float:
            await asyncio.sleep(due_s - time.perf_counter())
            async with client.post(url, data=body) as answer:
                answer.raise_for_status()
            return (time.perf_counter() - due_s) * 1_000

        await until_listening(client, url)
        start_s = time.perf_counter() + 0.5
        times = (start_s + number / WEBHOOKS_PER_S for number in range(WEBHOOKS_PER_S * WEBHOOK_S))
        return await asyncio.gather(*map(post, times))


async def until_listening(client: aiohttp.ClientSession, url: str) -> None:
    """Wait until the source is greeted.  Raises ClientError after 60 s."""
    for left in reversed(range(600)):
        try:
            async with client.get(url) as answer:
                answer.raise_for_status()
                return
        except aiohttp.ClientError:
            if not left:
                raise
            await asyncio.sleep(0.1)


def measured(process: "subprocess.Popen[bytes]", port: int, log: Path) -> float:
    """Records a second, from the first that were durable to the last."""
    first = last = (0, 0.0)
    while last[0] < END_TO_END_RECORDS:
        if process.poll() is not None:
            raise RuntimeError(f"the source ended: {log.read_text().splitlines()[-1]}")
        time.sleep(0.1)
        last = (mapped_by(port), time.perf_counter())
        if first[0] == 0:
            first = last
    return (last[0] - first[0]) / (last[1] - first[1])


def mapped_by(port: int) -> int:
    """Records that were made durable so far."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            found = re.search(r'^nps_source_records_total\{outcome="mapped",.*\} (\S+)', answer.read().decode(), re.M)
    except OSError:
        return 0
    return int(float(found[1])) if found else 0
