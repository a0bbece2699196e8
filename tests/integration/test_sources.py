"""`nps sources`: samples on the terminal, and foreign topics of a real broker that become events and letters."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.codec import Codec
from schemas.deadletters import unwrap
from schemas.events import Purchase, SurveyResponse
from schemas.topics import DEAD_LETTERS, HISTORY_HEADER, MAPPED_AT_HEADER, ORIGIN_HEADER
from streams.kafka.partitioner import partition_of
from streams.kafka.ports import KafkaRecord
from streams.local.servers import local_broker
from streams.sources.draft import draft_of
from streams.sources.mapper import Mapper
from streams.sources.reading import load, read
from streams.sources.samples import read_samples
from tests.support.commands import Service, done, run
from tests.support.foreign_topics import PARTITIONS, inbound, make_topic, of_topic, write
from tests.support.registry_server import registry_server
from tests.support.retention import keep_for_ever

SAMPLES = Path(__file__).parents[1] / "contract" / "sources"
DRAFTED = sorted(
    path for ending in ("json", "csv", "form") for path in SAMPLES.glob(f"*/*.{ending}")
    if path.parent.name != "hard" and not path.name.endswith((".meta.json", ".expected.json"))
)  # fmt: skip
AT_MS = 1_769_860_800_000
KEY = "0123456789abcdef0123456789abcdef"
SHOP = """name = "shop"
topic = "shop.orders"
otherwise = "ignore"

[[events]]
to = "purchases"
when = { "/status" = "done" }
source = "shop"
id = ["/id", ":done"]
type = "order.delivered"
time = { at = "/at", as = "millis" }
customer_id = "/customer"
order_id = "/id"
[events.attributes]
country = "/country"
"""


@pytest.fixture(scope="module")
def environ() -> Iterator[dict[str, str]]:
    """A broker with our topics."""
    with local_broker() as broker:
        settings = {
            "NPS_BROKERS": broker.address, "NPS_PARTITIONS": str(PARTITIONS), "NPS_SERVER_WAIT_S": "20",
            "NPS_SESSION_TIMEOUT_MS": "6000", "NPS_SOURCES_KEY": KEY,
        }  # fmt: skip
        done("topics", environ=settings)
        keep_for_ever(broker.address)
        yield settings


def order(number: int, **changes: object) -> bytes:
    """A foreign order."""
    fields = {"id": number, "status": "done", "at": AT_MS + number, "customer": f"C-{number % 7}", "country": "BR"}
    return json.dumps({**fields, **changes}).encode()


def file_of(folder: Path, text: str, name: str = "shop.toml") -> str:
    """A mapping file on disk."""
    path = folder / name
    path.write_text(text)
    return str(path)


# samples


def test_a_sample_is_shown_field_by_field() -> None:
    """Topic and fields of each event, or the letter; a record that is ignored says so."""
    folder = SAMPLES / "woocommerce"
    samples = [str(folder / f"{name}.json") for name in ("order_updated_completed", "order_updated_guest")]
    said = done("sources", "test", str(folder / "mapping.toml"), *samples, environ={})
    assert said.splitlines() == [
        "order_updated_completed.json:", "  nps.purchases", "    source         https://shop-b.example.com/",
        "    id             723:completed", "    type           order.delivered",
        "    time           1490126091000 (2017-03-21 19:54:51 UTC)", "    customer_id    26", "    order_id       723",
        "    amount_minor   3900", "    currency       USD",
        '    attributes     {"country": "BR", "category": "34", "paid_by": "bacs"}',
        "order_updated_guest.json:", "  ignored",
    ]  # fmt: skip


def test_a_sample_that_cannot_be_mapped_says_where_and_why() -> None:
    """File, line and field, as its dead letter would."""
    folder = SAMPLES / "hard"
    said = done("sources", "test", str(folder / "mapping.toml"), str(folder / "money_comma.json"), environ={})
    assert said == (
        "money_comma.json:\n  dead letter bad_value: mapping.toml:12: purchases.amount_minor: not a number\n"
        "warning: mapping.toml:15: purchases.attributes.note: nothing at /note in any sample\n"
    )


def test_what_is_expected_is_compared(tmp_path: Path) -> None:
    """As expected: 0.  Different: each field, and 1.  Nothing to compare with: 2, and what it becomes."""
    mapping, sample = str(SAMPLES / "delighted/mapping.toml"), SAMPLES / "delighted/survey_response_updated.json"
    assert done("sources", "test", "--expect", mapping, str(sample), environ={}) == f"{sample.name}: as expected\n"
    copy = tmp_path / "one.json"
    copy.write_bytes(sample.read_bytes())
    ended = run("sources", "test", "--expect", mapping, str(copy))
    assert ended.returncode == 2
    assert ended.stderr.startswith(
        'nps: one.json: no .expected.json beside it; what it becomes now: [{"topic": "nps.resp'
    )
    expected = json.loads(sample.with_name("survey_response_updated.expected.json").read_text())
    expected[0]["record"]["score"] = 6
    (tmp_path / "one.expected.json").write_text(json.dumps(expected))
    ended = run("sources", "test", "--expect", mapping, str(copy))
    assert (ended.returncode, ended.stdout) == (1, "one.json: differs\n  event 1: score: expected 6, found 5\n")


def test_doubts_are_said() -> None:
    """A place that no sample has, and an id that changes when the record comes again."""
    folder = SAMPLES / "freshdesk"
    words = ["sources", "test", str(folder / "mapping.toml"), str(folder / "ticket_resolved.json")]
    said = done(*words, environ={"NPS_SOURCES_KEY": KEY})
    assert "warning: mapping.toml:9: support.id: rests on the record's arrival" in said
    folder = SAMPLES / "debezium"
    said = done("sources", "test", str(folder / "mapping.toml"), str(folder / "orders_update.json"), environ={})
    assert "warning: mapping.toml:19: purchases.attributes.remarks: nothing at /remarks in any sample" in said


def test_pseudonyms_need_their_key(tmp_path: Path) -> None:
    """Without it, or with a short one, nothing runs."""
    folder = SAMPLES / "twilio"
    words = ["sources", "test", str(folder / "mapping.toml"), str(folder / "stop.form")]
    ended = run(*words)
    assert (ended.returncode, ended.stderr) == (2, "nps: mapping.toml: pseudonyms need NPS_SOURCES_KEY\n")
    ended = run(*words, environ={"NPS_SOURCES_KEY": "short"})
    assert (ended.returncode, ended.stderr) == (2, "nps: NPS_SOURCES_KEY must have 16 characters or more\n")


def test_a_fault_of_the_file_is_one_line(tmp_path: Path) -> None:
    """File, line, field and the word that was meant; the program's event types count too."""
    wrong = file_of(tmp_path, SHOP.replace('as = "millis"', 'as = "milis"'))
    ended = run("sources", "test", wrong, str(SAMPLES / "hard/bom.json"))
    assert ended.returncode == 2
    assert ended.stderr.startswith("nps: shop.toml:11: purchases.time.as: 'milis' is none of text, plain")
    assert ended.stderr.endswith("did you mean 'millis'?\n")
    ended = run("sources", "test", str(tmp_path / "none.toml"), str(SAMPLES / "hard/bom.json"))
    assert (ended.returncode, "none.toml: cannot be read (No such file" in ended.stderr) == (2, True)


# drafts


@pytest.mark.parametrize("sample", DRAFTED, ids=lambda path: path.name)
def test_a_draft_of_any_sample_compiles(sample: Path) -> None:
    """A sample of any system gives a mapping file that is read, and that maps without an end."""
    [found] = read_samples(sample)
    mapper = Mapper(read(draft_of(sample.parent.name, found).encode(), "draft.toml"))
    assert mapper.map(found.record)


def test_a_draft_finds_what_is_plain_to_see() -> None:
    """Time with its unit, customer, order and money of an order; the score of an answer."""
    said = done("sources", "new", "shop", str(SAMPLES / "shopify/orders_fulfilled.json"), environ={})
    for line in (
        'to = "purchases"', 'time = "/created_at"', 'customer_id = "/customer/id"',
        'amount_minor = { at = "/total_price", as = "money", currency = "/currency" }',
    ):  # fmt: skip
        assert f"\n{line}" in said
    said = done("sources", "new", "delighted", str(SAMPLES / "delighted/survey_response_updated.json"), environ={})
    for line in (
        'to = "responses"',
        'time = { at = "/event_data/created_at", as = "seconds" }',
        'score = "/event_data/score"',
    ):
        assert f"\n{line}" in said


# running


def test_a_foreign_topic_becomes_events_and_letters(environ: dict[str, str], tmp_path: Path) -> None:
    """Keyed by customer, at the foreign timestamp, each once though the process starts again; the rest are letters."""
    brokers, file = environ["NPS_BROKERS"], file_of(tmp_path, SHOP)
    make_topic(brokers, "shop.orders")
    good = [KafkaRecord(0, AT_MS + 5, b"other key", order(number)) for number in range(20)]
    ignored = [KafkaRecord(0, AT_MS, None, order(number, status="open")) for number in range(5)]
    bad = KafkaRecord(0, AT_MS, b"its key", order(99, customer=None), (("by", b"them"),))
    write(brokers, "shop.orders", [*good, *ignored, bad])
    source = Service(["sources", "run", file], environ, tmp_path / "log")
    try:
        source.until(lambda: len(of_topic(inbound(brokers), "nps.purchases")) == 20, "all are mapped")
        source.until(lambda: len(of_topic(inbound(brokers), DEAD_LETTERS)) == 1, "the bad one is a letter")
        source.until(lambda: lags(environ, file) == [0] * PARTITIONS, "all is committed")
    finally:
        assert source.stop() == 0
    check_events(inbound(brokers)[place] for place in inbound(brokers) if place[0] == "nps.purchases")
    check_letter(of_topic(inbound(brokers), DEAD_LETTERS)[0], bad)
    write(brokers, "shop.orders", [KafkaRecord(0, AT_MS, None, order(20))])
    assert sum(lags(environ, file)) == 1
    source = Service(["sources", "run", file], environ, tmp_path / "log")
    try:
        source.until(lambda: len(of_topic(inbound(brokers), "nps.purchases")) > 20, "it goes on where it was")
    finally:
        assert source.stop() == 0
    assert len(of_topic(inbound(brokers), "nps.purchases")) == 21, "none is mapped twice"


def check_events(partitions: Iterator[list[KafkaRecord]]) -> None:
    """Every event lies under its customer, with where it came from."""
    found = [record for records in partitions for record in records]
    for record in found:
        event = Codec().decode(Purchase, record.value)
        assert (record.key, record.timestamp) == (event.customer_id.encode(), AT_MS + 5)
        assert [name for name, _ in record.headers] == [MAPPED_AT_HEADER, ORIGIN_HEADER]
        topic, partition, offset, _ = (record.headers[1][1] or b"").decode().split()
        assert (topic, int(partition) < PARTITIONS, int(offset) < 30) == ("shop.orders", True, True)
    assert len({Codec().decode(Purchase, record.value).id for record in found}) == 20


def check_letter(letter: KafkaRecord, record: KafkaRecord) -> None:
    """A letter has the bytes, key and headers of the record, where it lay and why."""
    original, death = unwrap(letter.headers)
    assert (letter.key, letter.value, original) == (record.key, record.value, list(record.headers))
    assert (death.reason, death.topic, death.timestamp_ms) == ("missing_field", "shop.orders", AT_MS)
    assert death.detail == "shop.toml:12: purchases.customer_id: nothing at /customer"


def lags(environ: dict[str, str], *files: str) -> list[int]:
    """What `nps sources lag` says of each partition."""
    table = done("sources", "lag", *files, environ=environ)
    rows = [line.split("│") for line in table.splitlines() if ".orders" in line]
    return [int(row[-2]) for row in rows]


def test_events_lie_in_the_partitions_of_their_customers(environ: dict[str, str]) -> None:
    """As any producer of Java would put them."""
    for (topic, number), records in inbound(environ["NPS_BROKERS"]).items():
        if topic == "nps.purchases":
            assert {partition_of(record.key or b"", PARTITIONS) for record in records} <= {number}


def test_too_many_bad_records_blow_the_fuse(environ: dict[str, str], tmp_path: Path) -> None:
    """The process ends with 5 and names the source; the letters are there, and nothing is committed."""
    brokers, file = (
        environ["NPS_BROKERS"],
        file_of(tmp_path, SHOP.replace("shop.orders", "shop.bad").replace('name = "shop"', 'name = "bad"')),
    )
    make_topic(brokers, "shop.bad")
    before = len(of_topic(inbound(brokers), DEAD_LETTERS))
    write(brokers, "shop.bad", [KafkaRecord(0, AT_MS, b"k", b"{" + str(number).encode()) for number in range(9)])
    ended = run("sources", "run", file, environ={**environ, "NPS_FUSE_IN_A_ROW": "5"})
    assert ended.returncode == 5
    assert ended.stderr.splitlines()[-1].startswith("nps: source bad: 5 bad records in a row: see the dead letters")
    assert len(of_topic(inbound(brokers), DEAD_LETTERS)) == before + 5
    assert "none" in done("sources", "lag", file, environ=environ)


def test_what_kafka_lacks_is_named(environ: dict[str, str], tmp_path: Path) -> None:
    """A topic that is not there, and two files of one name."""
    file = file_of(tmp_path, SHOP.replace("shop.orders", "shop.nowhere"))
    ended = run("sources", "run", file, environ=environ)
    assert (ended.returncode, ended.stderr) == (
        2, "nps: shop.toml: Kafka has no topic shop.nowhere: create it, or correct `topic`\n"
    )  # fmt: skip
    ended = run("sources", "run", file, file, environ=environ)
    assert (ended.returncode, ended.stderr) == (2, "nps: shop.toml and shop.toml have the same name, 'shop'\n")


def test_avro_of_a_registry_is_read(environ: dict[str, str], tmp_path: Path) -> None:
    """A change event of Debezium in Avro, by the schema that the registry has under its id."""
    brokers, folder = environ["NPS_BROKERS"], SAMPLES / "debezium"
    make_topic(brokers, "helpdesk.public.tickets")
    with registry_server() as registry:
        schema = {"schema": (folder / "tickets_update.avsc").read_text(), "schemaType": "AVRO"}
        number = registry.register("tickets-value", schema)  # type: ignore[arg-type]
        value = b"\0" + number.to_bytes(4, "big") + (folder / "tickets_update.avro").read_bytes()[5:]
        write(brokers, "helpdesk.public.tickets", [KafkaRecord(0, AT_MS, b"k", value)])
        told = {**environ, "NPS_REGISTRY_URL": registry.url}
        source = Service(["sources", "run", str(folder / "tickets_update.toml")], told, tmp_path / "log")
        try:
            source.until(lambda: len(of_topic(inbound(brokers), "nps.support")) == 1, "it is mapped")
        finally:
            assert source.stop() == 0


# histories


def test_a_history_is_loaded_under_its_own_times(environ: dict[str, str], tmp_path: Path) -> None:
    """JSON lines: each event at its own time and marked as history; with a bad line nothing is sent, or --skip."""
    brokers, file = environ["NPS_BROKERS"], file_of(tmp_path, SHOP)
    data = tmp_path / "orders.jsonl"
    data.write_bytes(b"\n".join([order(100), order(101, customer=""), order(102), order(103, status="open")]) + b"\n")
    before = len(of_topic(inbound(brokers), "nps.purchases"))
    ended = run("sources", "load", file, str(data), environ=environ)
    assert ended.returncode == 2
    assert ended.stdout == "orders.jsonl:2: missing_field: shop.toml:12: purchases.customer_id: nothing at /customer\n"
    assert ended.stderr.endswith("1 of 4 records cannot be mapped; nothing was sent; --skip leaves them out\n")
    assert len(of_topic(inbound(brokers), "nps.purchases")) == before
    said = done("sources", "load", "--skip", file, str(data), environ=environ)
    assert said.splitlines()[-1] == "2 events of 4 records loaded"
    found = of_topic(inbound(brokers), "nps.purchases")
    loaded = [record for record in found if [name for name, _ in record.headers] == [HISTORY_HEADER]]
    assert {record.timestamp for record in loaded} == {AT_MS + 100, AT_MS + 102}


def test_a_history_of_csv_is_loaded_row_by_row(environ: dict[str, str]) -> None:
    """Line breaks inside a quotation belong to the row."""
    brokers, folder = environ["NPS_BROKERS"], SAMPLES / "google_forms"
    said = done("sources", "load", str(folder / "mapping.toml"), str(folder / "responses.csv"), environ=environ)
    assert said == "2 events of 2 records loaded\n"
    events = [Codec().decode(SurveyResponse, record.value) for record in of_topic(inbound(brokers), "nps.responses")]
    assert {event.comment for event in events} == {'Fast, and\nfriendly "as always"', "no score"}
    assert load(folder / "mapping.toml").format == "csv"


# crashes


def test_a_source_that_is_killed_loses_nothing(environ: dict[str, str], tmp_path: Path) -> None:
    """Two files in one process, killed on the way and started again: each record's event is there under its one id."""
    brokers, names, count = environ["NPS_BROKERS"], ("east", "west"), 10_000
    files = [file_of(tmp_path, SHOP.replace('"shop', f'"{name}'), f"{name}.toml") for name in names]
    for name in names:
        make_topic(brokers, f"{name}.orders")
        write(brokers, f"{name}.orders", [KafkaRecord(0, AT_MS, None, order(number)) for number in range(count)])
    source = Service(["sources", "run", *files], environ, tmp_path / "log")
    source.until(lambda: bool(ids_of(brokers)), "some are mapped")
    source.stop(signal.SIGKILL)
    source = Service(["sources", "run", *files], environ, tmp_path / "log")
    wanted = {(name, f"{number}:done") for name in names for number in range(count)}
    try:
        source.until(lambda: ids_of(brokers) == wanted, "all are mapped, and nothing else")
        source.until(lambda: lags(environ, *files) == [0] * 2 * PARTITIONS, "all is committed")
    finally:
        assert source.stop() == 0


def ids_of(brokers: str) -> set[tuple[str, str]]:
    """Source and id of each purchase of the two shops."""
    codec = Codec()
    events = [codec.decode(Purchase, record.value) for record in of_topic(inbound(brokers), "nps.purchases")]
    return {(event.source, event.id) for event in events if event.source in ("east", "west")}
