"""`nps sources run` with links over a broker: refunds before their orders, a kill between them, and an erasure."""

import json
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from schemas.codec import Codec
from schemas.deadletters import unwrap
from schemas.events import Erasure, Purchase
from schemas.topics import DEAD_LETTERS, ERASURES, LINKS, UNLINKED
from streams.clock import wall_ms
from streams.kafka.ports import KafkaRecord
from streams.kafka.reader import KafkaReader
from streams.local.servers import local_broker
from tests.support.commands import Service, done
from tests.support.foreign_topics import PARTITIONS, inbound, make_topic, of_topic, write
from tests.support.programs import program

CODEC = Codec()
FILES = {
    "orders": """name = "orders"
topic = "shop.orders"
[[links]]
link = "order"
of = "/id"
customer_id = "/customer"
[[events]]
to = "purchases"
source = "shop"
id = "/id"
type = "order.delivered"
time = { at = "/at", as = "millis" }
customer_id = "/customer"
order_id = "/id"
""",
    "refunds": """name = "refunds"
topic = "shop.refunds"
[[events]]
to = "purchases"
source = "shop"
id = ["/order", ":refund"]
type = "order.returned"
time = { at = "/at", as = "millis" }
customer_id = { link = "order", of = "/order" }
order_id = "/order"
""",
}


@pytest.fixture
def environ(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A broker with our topics and the foreign ones."""
    (tmp_path / "nps.toml").write_text(program(hold="30s"))
    for name, text in FILES.items():
        (tmp_path / f"{name}.toml").write_text(text)
    with local_broker() as broker:
        settings = {
            "NPS_BROKERS": broker.address, "NPS_PARTITIONS": str(PARTITIONS), "NPS_SERVER_WAIT_S": "60",
            "NPS_SESSION_TIMEOUT_MS": "6000", "NPS_PROGRAM": str(tmp_path / "nps.toml"),
        }  # fmt: skip
        done("topics", environ=settings)
        for name in FILES:
            make_topic(broker.address, f"shop.{name}")
        yield settings


def held(environ: dict[str, str], topic: str) -> set[bytes]:
    """Keys under which a compacted topic has a value."""
    with closing(KafkaReader(environ["NPS_BROKERS"], {})) as reader:
        last = {record.key: record.value for _, record in reader.read(reader.partitions_of(topic))}
    return {key or b"" for key, value in last.items() if value is not None}


def customers(environ: dict[str, str]) -> set[tuple[str, str]]:
    """Id and customer of every event."""
    found = of_topic(inbound(environ["NPS_BROKERS"]), "nps.purchases")
    return {(event.id, event.customer_id) for event in (CODEC.decode(Purchase, record.value) for record in found)}


def test_a_history_teaches_its_links(environ: dict[str, str], tmp_path: Path) -> None:
    """Orders loaded, then refunds: one finds its customer, and the other is named."""
    at_ms = wall_ms() - 60_000
    order, refunds = tmp_path / "order.json", tmp_path / "refunds.jsonl"
    order.write_text(json.dumps({"id": 7, "customer": "C-7", "at": at_ms}))
    refunds.write_text("".join(json.dumps({"order": number, "at": at_ms}) + "\n" for number in (7, 8)))
    orders_file, refunds_file = (str(tmp_path / f"{name}.toml") for name in FILES)
    assert done("sources", "load", orders_file, str(order), environ=environ) == "1 events of 1 records loaded\n"
    said = done("sources", "load", "--skip", refunds_file, str(refunds), environ=environ)
    assert said.startswith("refunds.jsonl:2: unknown_customer: refunds.toml:9: purchases.customer_id: no customer is")
    assert said.endswith("\n1 events of 2 records loaded\n")
    assert customers(environ) == {("7", "C-7"), ("7:refund", "C-7")}


def test_a_refund_waits_for_its_order_through_a_kill(environ: dict[str, str], tmp_path: Path) -> None:
    """It is its customer's event once the order came; of one that never comes, or was erased, it is a letter."""
    brokers, log, at_ms = environ["NPS_BROKERS"], tmp_path / "log", wall_ms() - 60_000
    words = ["sources", "run", *(str(tmp_path / f"{name}.toml") for name in FILES)]
    refunds = [KafkaRecord(0, at_ms, b"k", json.dumps({"order": number, "at": at_ms}).encode()) for number in range(3)]
    write(brokers, "shop.refunds", refunds[:2])
    with Service(words, environ, log) as source:
        source.until(lambda: len(held(environ, UNLINKED.name)) == 2, "two refunds wait")
        source.stop(signal.SIGKILL)
    orders = [json.dumps({"id": number, "customer": f"C-{number}", "at": at_ms}).encode() for number in (0, 2)]
    write(brokers, "shop.orders", [KafkaRecord(0, at_ms, None, order) for order in orders])
    with Service(words, environ, log) as source:
        wanted = {("0", "C-0"), ("2", "C-2"), ("0:refund", "C-0")}
        source.until(lambda: customers(environ) == wanted, "one of them found its customer")
        erasure = Erasure("e", "C-2", "crm", "u", wall_ms(), wall_ms(), "p", 1)
        write(brokers, ERASURES.name, [KafkaRecord(0, wall_ms(), b"C-2", CODEC.encode(erasure))])
        source.until(lambda: len(held(environ, LINKS.name)) == 1, "the erased customer's link is gone")
        write(brokers, "shop.refunds", refunds[2:])
        source.until(lambda: len(of_topic(inbound(brokers), DEAD_LETTERS)) == 2, "the others are given up")
        source.until(lambda: not held(environ, UNLINKED.name), "none waits any more")
        assert source.stop() == 0
    letters = of_topic(inbound(brokers), DEAD_LETTERS)
    assert {(letter.key, letter.value) for letter in letters} == {(one.key, one.value) for one in refunds[1:]}
    assert {unwrap(letter.headers)[1].reason for letter in letters} == {"unknown_customer"}
    assert customers(environ) == wanted
