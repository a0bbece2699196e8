"""Laws of links: the order of two topics does not matter, twice is once, nobody else's customer is found."""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pytest

from schemas.codec import Codec
from schemas.deadletters import Death, unwrap
from schemas.events import Erasure, Link, Purchase
from schemas.topics import DEAD_LETTERS, ERASURES, LINKS, PURCHASES, UNLINKED
from sinks.erasure.customers import ErasedCustomers
from sinks.rows import digest
from streams.kafka.memory import MemoryLog
from streams.kafka.ports import KafkaRecord, Output
from streams.sources.links import Links
from streams.sources.mapper import Mapper
from streams.sources.process import SourceWriter
from streams.sources.reading import read
from streams.sources.waiting import WaitingRecord, WaitingRecords
from tests.support.laws import seeds

CODEC = Codec()
HOLD_MS = 1_000
ORDERS = """name = "orders"
topic = "shop.orders"
otherwise = "ignore"
[[links]]
link = "order"
of = ["/shop", ":", "/id"]
customer_id = "/customer"
"""
REFUNDS = """name = "refunds"
topic = "shop.refunds"
[[events]]
to = "purchases"
each = "/refunds"
source = ["shop/", "/shop"]
id = "./id"
type = "order.returned"
time = { at = "/at", as = "millis" }
customer_id = { link = "order", of = ["/shop", ":", "./order"] }
order_id = "./order"
"""
EVENTS = '[[events]]\nto = "purchases"\nsource = "s"\nid = "/id"\ntype = "t"\ntime = "/at"\ncustomer_id = "/c"\n'
ORDERS_FILE = ORDERS + EVENTS + 'order_id = "/id"\nwhen = { "/at" = { exists = true } }\n'
AT_MS = 1_769_860_800_000
Foreign = tuple[str, KafkaRecord]


def order(shop: str, number: int, customer: str | None) -> bytes:
    """An order of a shop; customers may have bought as guests."""
    return json.dumps({"shop": shop, "id": number, "customer": customer}).encode()


def refund(shop: str, *orders: int) -> bytes:
    """A refund of some orders in one record."""
    refunds = [{"id": f"r{number}", "order": number} for number in orders]
    return json.dumps({"shop": shop, "at": AT_MS, "refunds": refunds}).encode()


@dataclass
class Process:
    """Both sources over topics in memory; a batch that crashes leaves some of its outputs, and is mapped again."""

    r: random.Random
    crash_chance: float = 0.0
    log: MemoryLog = field(default_factory=MemoryLog)
    now_ms: int = AT_MS

    def __post_init__(self) -> None:
        texts = (ORDERS_FILE, REFUNDS)
        self.mappers = [Mapper(read(text.encode(), "shop.toml"), customer_of=self.customer_of) for text in texts]
        self.start()

    def customer_of(self, key: str) -> str | None:
        """The customer by the links that are held now."""
        return self.links.customer_of(key)

    def start(self) -> None:
        """Begin, or begin again with what the topics hold."""
        self.links = Links(CODEC, ErasedCustomers(), digest)
        ended = self.links.take(
            [((topic, 0), one) for topic in (ERASURES.name, LINKS.name) for one in self.lying(topic)]
        )
        self.log.send_all(_in_one(ended))
        self.writers = dict(map(self.made, self.mappers))

    def made(self, mapper: Mapper) -> tuple[str, SourceWriter]:
        """A source by its topic, with what waits of it."""
        waiting = WaitingRecords(mapper.mapping.name, HOLD_MS)
        waiting.restore({(mapper.mapping.topic, 0)}, self.lying(UNLINKED.name))
        return mapper.mapping.topic, SourceWriter(mapper, CODEC, self.links, waiting)

    def lying(self, topic: str) -> list[KafkaRecord]:
        """What lies on a topic of ours."""
        return self.log.partitions.get((topic, 0), [])

    def map(self, records: Sequence[Foreign]) -> None:
        """Map a batch until it is durable."""
        while True:
            outputs: list[Output] = []
            for topic, record in records:
                outputs += self.writers[topic].outputs_of(record, 0, self.now_ms)[0]
            for writer in self.writers.values():
                outputs += writer.outputs_of_waiting(self.now_ms)
            if self.r.random() >= self.crash_chance:
                self.log.send_all(_in_one(outputs))
                return
            self.log.send_all(_in_one(outputs[: self.r.randrange(len(outputs) + 1)]))
            self.start()

    def erase(self, customer: str) -> None:
        """Have the customer erased."""
        erasure = Erasure(customer, customer, "crm", "u", AT_MS, AT_MS, "p", 1)
        self.log.send_all([Output(ERASURES.name, CODEC.encode(erasure), customer.encode(), 0)])
        self.log.send_all(_in_one(self.links.take([((ERASURES.name, 0), self.lying(ERASURES.name)[-1])])))

    def events(self) -> list[tuple[str, str, str]]:
        """Source, id and customer of every event that was made."""
        found = [CODEC.decode(Purchase, record.value) for record in self.lying(PURCHASES.name)]
        return [(event.source, event.id, event.customer_id) for event in found]

    def held(self) -> dict[bytes, bytes | None]:
        """What compaction would leave of nps.links and nps.unlinked."""
        lying = [*self.lying(LINKS.name), *self.lying(UNLINKED.name)]
        return {record.key or b"": record.value for record in lying}


def _in_one(outputs: Sequence[Output]) -> list[Output]:
    return [output._replace(partition=0) for output in outputs]


def history(r: random.Random) -> tuple[list[Foreign], set[tuple[str, str, str]], set[int]]:
    """Records of two shops with the same numbers; the right events; refunds of which a customer is not known."""
    orders, refunds, wanted, unknown = list[bytes](), list[bytes](), set[tuple[str, str, str]](), set[int]()
    for shop in ("a", "b"):
        owners = {number: None if r.random() < 0.2 else f"{shop}-{r.randrange(5)}" for number in range(12)}
        orders += [order(shop, number, customer) for number, customer in owners.items()]
        numbers = r.sample(range(12), 8)
        for few in (numbers[:3], numbers[3:4], numbers[4:]):
            refunds.append(refund(shop, *few))
            wanted |= {(f"shop/{shop}", f"r{number}", str(owners[number])) for number in few if owners[number]}
            if any(owners[number] is None for number in few):
                unknown.add(len(refunds) - 1)
    placed = [
        *(("shop.orders", KafkaRecord(at, AT_MS, None, value)) for at, value in enumerate(orders)),
        *(
            ("shop.refunds", KafkaRecord(at, AT_MS, b"k%d" % at, value, (("h", b"1"),)))
            for at, value in enumerate(refunds)
        ),
    ]
    return placed, wanted, unknown


def batches(r: random.Random, records: Sequence[Foreign]) -> Iterator[list[Foreign]]:
    """The records in any order of the two topics, in batches, some of them twice."""
    rest = list(records)
    r.shuffle(rest)
    while rest:
        count = r.randrange(1, 6)
        yield rest[:count] + ([r.choice(records)] if r.random() < 0.3 else [])
        del rest[:count]


@pytest.mark.parametrize("part", range(2))
def test_neither_order_nor_crashes_nor_copies_show(part: int) -> None:
    """In any order, through crashes between any two writes: each refund an event of its customer, or a letter."""
    for seed in seeds(200, part, 2):
        r = random.Random(seed)
        records, wanted, unknown = history(r)
        process = Process(r, crash_chance=0.3)
        for batch in batches(r, records):
            process.map(batch)
        assert set(process.events()) == wanted, f"seed {seed}"
        process.now_ms += HOLD_MS + 1
        process.map([])
        check_letters(process, records, unknown)
        assert set(process.events()) == wanted, "nothing comes of a letter"


def check_letters(process: Process, records: Sequence[Foreign], unknown: set[int]) -> None:
    """A letter for each record of which a customer is not known, as it was; nothing waits any more."""
    refunds = [record for topic, record in records if topic == "shop.refunds"]
    letters = [(record, *unwrap(record.headers)) for record in process.lying(DEAD_LETTERS)]
    assert {death.offset for _, _, death in letters} == unknown
    for letter, headers, death in letters:
        assert (death.reason, death.topic, death.timestamp_ms) == ("unknown_customer", "shop.refunds", AT_MS)
        was = refunds[death.offset]
        assert (letter.key, letter.value, tuple(headers)) == (was.key, was.value, was.headers)
    assert not [key for key, value in process.held().items() if value is not None and b"|" in key]


def test_the_first_customer_of_an_order_stands() -> None:
    """A refund that comes again finds the customer that it found before, whatever was said of the order since."""
    process = Process(random.Random(1))
    process.map([("shop.orders", KafkaRecord(0, AT_MS, None, order("a", 1, "first")))])
    process.map([("shop.refunds", KafkaRecord(0, AT_MS, None, refund("a", 1)))])
    process.map([("shop.orders", KafkaRecord(1, AT_MS, None, order("a", 1, "second")))])
    process.start()
    process.map([("shop.refunds", KafkaRecord(1, AT_MS, None, refund("a", 1)))])
    assert set(process.events()) == {("shop/a", "r1", "first")}


@pytest.mark.parametrize("is_restarted", [True, False])
def test_an_erasure_ends_the_links_of_its_customer(is_restarted: bool) -> None:
    """They are gone from the topic, are not taught anew by what lay there before, and others' stay."""
    process = Process(random.Random(1))
    orders = [order("a", 1, "gone"), order("a", 2, "stays"), order("a", 3, "gone")]
    taught = [("shop.orders", KafkaRecord(at, AT_MS, None, value)) for at, value in enumerate(orders)]
    process.map(taught)
    process.erase("gone")
    if is_restarted:
        process.start()
    process.map(taught)
    left = [CODEC.decode(Link, value) for value in process.held().values() if value is not None]
    assert [(link.customer_id, link.source, link.time) for link in left] == [("stays", "orders", AT_MS)]
    process.map([("shop.refunds", KafkaRecord(0, AT_MS, None, refund("a", 1)))])
    assert process.events() == []
    later = KafkaRecord(9, AT_MS + 1, None, order("a", 1, "gone"))
    process.map([("shop.orders", later)])
    assert process.events() == [("shop/a", "r1", "gone")], "who comes back is somebody again"


def test_links_are_bounded() -> None:
    """Beyond the bound the oldest are let go, on the topic too."""
    links, log = Links(CODEC, ErasedCustomers(), digest, most_links=10), MemoryLog()
    mapper = Mapper(read(ORDERS_FILE.encode(), "shop.toml"))
    for number in range(25):
        mapped = mapper.map(KafkaRecord(number, AT_MS, None, order("a", number, f"c{number}")))
        log.send_all(_in_one(links.teach(mapped.links, "orders", AT_MS)))
    assert len(links) == 10
    left = {record.key: record.value for record in log.partitions[LINKS.name, 0]}
    customers = [CODEC.decode(Link, value).customer_id for value in left.values() if value is not None]
    assert customers == [f"c{number}" for number in range(15, 25)]


@pytest.mark.parametrize(("most_records", "most_bytes"), [(5, 1 << 20), (100, 500)])
def test_what_waits_is_bounded(most_records: int, most_bytes: int) -> None:
    """In number and in bytes: the oldest of those that are too many are given up."""
    waiting = WaitingRecords("refunds", HOLD_MS, most_records, most_bytes)
    for number in range(20):
        record = KafkaRecord(number, AT_MS, None, bytes(100))
        death = Death("unknown_customer", "", "shop.refunds", 0, number, AT_MS)
        waiting.add(WaitingRecord((f"{number}",), AT_MS, death, record))
        for one in waiting.given_up(AT_MS):
            waiting.end(one.place)
    assert len(waiting) == 5
    assert [one.record.offset for one in waiting.given_up(AT_MS + HOLD_MS + 1)] == [15, 16, 17, 18, 19]
