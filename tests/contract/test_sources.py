"""Payloads of foreign systems become the events that lie beside them: see `tests/contract/sources/PROVENANCE.md`."""

import json
import re
import tomllib
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from schemas.codec import Codec
from schemas.reasons import Reason
from streams.kafka.ports import KafkaRecord
from streams.sources.evaluation import link_key
from streams.sources.mapper import Mapped, Mapper
from streams.sources.reading import load, read
from streams.sources.samples import Sample, differences, read_samples, told
from tests.support.toml_text import toml_text

FOLDER = Path(__file__).parent / "sources"
KEY = b"0123456789abcdef0123456789abcdef"
EXPECTED = sorted(FOLDER.glob("*/*.expected.json"))
WITH_LINK = [path for path in EXPECTED if '"with_link"' in path.read_text()]
LINK_KEYS = ("of", "becomes", "record")
PERSONAL = re.compile(
    r"e?mail|phone|first_?name|last_?name|street|address[12]|(^|_)ip$|password|hash|fingerprint", re.I
)
"""Keys of payloads under which something about a person stands."""


def stem_of(expected: Path) -> str:
    """Name of the sample that this file belongs to."""
    return expected.name.removesuffix(".expected.json")


def sample_of(expected: Path) -> Sample:
    """The sample beside its expectation, or only its meta file where the record has no value."""
    stem = stem_of(expected)
    others = (".expected.json", ".meta.json", ".toml", ".avsc")
    files = [
        path for path in expected.parent.iterdir() if stem in (path.name, path.stem) and not path.name.endswith(others)
    ]
    [sample] = read_samples(files[0] if files else expected.with_name(f"{stem}.meta.json"))
    return sample


def mapper_of(expected: Path) -> Mapper:
    """The mapper of the mapping that a sample is meant for."""
    own = expected.with_name(f"{stem_of(expected)}.toml")
    return compiled(own if own.exists() else expected.with_name("mapping.toml"))


@cache
def compiled(mapping: Path) -> Mapper:
    """The mapper of a file, with a registry of one schema, number 42: the one of the same name beside it."""
    return Mapper(
        load(mapping), key=KEY, texts_of=lambda schema_id: {42: [mapping.with_suffix(".avsc").read_text()]}[schema_id]
    )


def test_there_are_payloads_of_many_systems() -> None:
    """Forty-four of 26 systems, and the hard cases."""
    hard = [path for path in EXPECTED if path.parent.name == "hard"]
    assert (len({path.parent.name for path in EXPECTED}) - 1, len(EXPECTED) - len(hard), len(hard)) == (26, 44, 29)


@pytest.mark.parametrize("expected", EXPECTED, ids=lambda path: f"{path.parent.name}/{path.name.partition('.')[0]}")
def test_each_payload_becomes_what_lies_beside_it(expected: Path) -> None:
    """Events field by field and none besides, or the reason and field of the letter."""
    sample = sample_of(expected)
    mapped = mapper_of(expected).map(sample.record)
    assert differences(mapped, sample.expected) == []


@pytest.mark.parametrize("expected", WITH_LINK, ids=lambda path: path.parent.name)
def test_a_payload_without_a_customer_finds_it_by_a_link(expected: Path) -> None:
    """Waits while the order or case is not known, and becomes what lies beside it once it is."""
    sample, wanted = sample_of(expected), json.loads(expected.read_text())["with_link"]
    own = expected.with_name(f"{stem_of(expected)}.toml")
    raw = tomllib.loads((own if own.exists() else expected.with_name("mapping.toml")).read_text(), parse_float=Decimal)
    for event in raw["events"]:
        event["customer_id"] = {"link": wanted["kind"], "of": event.get("order_id") or event["case_id"]}
    known: dict[str, str] = {}
    mapper = Mapper(read(toml_text(raw).encode(), "linked.toml"), customer_of=known.get)
    letter = mapper.map(sample.record).letter
    assert letter is not None
    ends, customers, records = (one if isinstance(one, list) else [one] for one in map(wanted.get, LINK_KEYS))
    assert set(letter.links) == {link_key(wanted["kind"], end, b"") for end in ends}
    known.update(zip(letter.links, customers, strict=True))
    assert differences(mapper.map(sample.record), records) == []


@pytest.mark.parametrize("expected", EXPECTED, ids=lambda path: f"{path.parent.name}/{path.name.partition('.')[0]}")
def test_what_a_payload_becomes_can_be_written_and_says_nothing_personal(expected: Path) -> None:
    """Avro takes every event; neither an event nor a letter has an address, a name or a secret of the payload."""
    sample = sample_of(expected)
    mapped = mapper_of(expected).map(sample.record)
    codec = Codec()
    for _, event in mapped.events:
        assert codec.decode(type(event), codec.encode(event)) == event
    text = json.dumps(told(mapped), ensure_ascii=False) + letter_text(mapped)
    assert [value for value in personal_values(sample.record.value) if value in text] == []


def letter_text(mapped: Mapped) -> str:
    """What a letter says."""
    return mapped.letter.detail if mapped.letter else ""


def personal_values(value: bytes | None) -> Iterator[str]:
    """Texts of a JSON payload that stand under a personal key, or look like an e-mail address."""
    try:
        root = json.loads(value or b"null")
    except (ValueError, RecursionError):
        return
    waiting: list[tuple[str, Any]] = [("", root)]
    while waiting:
        key, found = waiting.pop()
        if isinstance(found, dict):
            waiting += found.items()
        elif isinstance(found, list):
            waiting += [(key, part) for part in found]
        elif isinstance(found, str) and len(found) > 3 and (PERSONAL.search(key) or re.fullmatch(r"\S+@\S+", found)):
            yield found


def test_personal_values_would_be_found() -> None:
    """The search itself works."""
    value = (FOLDER / "shopify/orders_fulfilled.json").read_bytes()
    assert len(list(personal_values(value))) > 10


def test_a_hundred_thousand_brackets_are_undecodable() -> None:
    """Depth ends neither the decoder nor the process, in a place that is read and in one that is not."""
    mapper = Mapper(load(FOLDER / "hard/mapping.toml"))
    for key in (b"id", b"other"):
        value = b'{"' + key + b'":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
        letter = mapper.map(KafkaRecord(0, 0, None, value)).letter
        assert letter is not None
        assert letter.reason is Reason.UNDECODABLE


def test_a_delivery_that_is_repeated_later_is_the_same_event() -> None:
    """`updated_at` and the delivery's headers change, source and id do not: journeys see a duplicate."""
    expected = FOLDER / "shopify/orders_fulfilled.expected.json"
    mapper, record = mapper_of(expected), sample_of(expected).record
    later = (record.value or b"").replace(b"2019-06-09T", b"2019-06-10T")
    assert later != record.value
    first, second = (
        mapper.map(record._replace(value=value, offset=at)) for at, value in enumerate([record.value, later])
    )
    [(_, one)], [(_, other)] = first.events, second.events
    assert (one.source, one.id) == (other.source, other.id)  # type: ignore[union-attr]
    assert one.time != other.time  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "expected", [path for path in EXPECTED if path.read_text().startswith("{")], ids=lambda path: path.name
)
def test_a_letter_repeats_nothing_of_its_record(expected: Path) -> None:
    """Its detail names file, line, field and place: it is listed at terminals and kept in the warehouse."""
    sample = sample_of(expected)
    letter = mapper_of(expected).map(sample.record).letter
    assert letter is not None
    mapping = " ".join(path.read_text() for path in expected.parent.glob("*.toml"))
    said = re.findall(r"[\w.@-]{4,}", (sample.record.value or b"").decode(errors="replace"))
    assert [word for word in said if word in letter.detail.split(": ", 1)[1] and word not in mapping] == []


def test_rows_of_mongodb_are_json_in_text() -> None:
    """Debezium's connector for MongoDB writes before and after as text."""
    text = (FOLDER / "debezium/mapping.toml").read_text().replace("/customerid", "/customer/$oid")
    mapper = Mapper(read(text.encode(), "mongo.toml"))
    after = {"id": 7, "status": "SHIPPED", "customer": {"$oid": "5f1d"}}
    change = {
        "op": "u",
        "before": None,
        "after": json.dumps(after),
        "source": {"ts_ms": 1_769_860_800_000, "table": "t"},
    }
    [(_, event)] = mapper.map(KafkaRecord(0, 0, None, json.dumps(change).encode())).events
    assert event.customer_id == "5f1d"
    change["after"] = "{"
    letter = mapper.map(KafkaRecord(0, 0, None, json.dumps(change).encode())).letter
    assert letter is not None
    assert letter.reason is Reason.UNDECODABLE


@pytest.mark.parametrize("key", ['q"q', "back\\slash", "tab\tbed", "é", "a b", "", "~0", "~1", "$ref"])
def test_any_key_can_be_read(key: str) -> None:
    """Whatever JSON takes for a key, at the root and inside an element."""
    text = (FOLDER / "hard/mapping.toml").read_text()
    place = json.dumps(f"/{key}", ensure_ascii=False)
    mapper = Mapper(read(text.replace('customer_id = "/customer"', f"customer_id = {place}").encode(), "keys.toml"))
    value = {"id": 1, "at": "2026-01-02T03:04:05Z", key.replace("~1", "/").replace("~0", "~"): "C-1"}
    [(_, event)] = mapper.map(KafkaRecord(0, 0, None, json.dumps(value).encode())).events
    assert event.customer_id == "C-1"


def test_every_reason_of_a_letter_is_seen_in_some_payload() -> None:
    """The samples exercise what sources can say, but for bounds, which have tests of their own."""
    seen = {json.loads(path.read_text()).get("dead") for path in EXPECTED if path.read_text().lstrip().startswith("{")}
    assert seen == {"missing_field", "bad_value", "no_mapping", "personal_data", "undecodable"}
