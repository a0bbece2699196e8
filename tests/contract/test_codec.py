"""The codec: every record comes back as it was, and whatever else comes is Undecodable with a reason, never a crash."""

import json
import struct
from io import BytesIO
from random import Random
from typing import Any

import fastavro
import pytest

from schemas.codec import CONFLUENT, SINGLE_OBJECT, Codec, RegistryAway, Undecodable, versions
from schemas.events import RECORDS, AlertAction, Purchase, Record, SurveyResponse, Wakeup
from schemas.memory_registry import MemoryRegistry
from tests.support.avro_files import FILES, stem
from tests.support.codecs import CODEC, GOLDEN, REGISTERED, REGISTRY, header_of, reason_of

PURCHASE = Purchase("shop", "p1", "order.delivered", 1_700_000_000_000, "c1", "o1", 1999, "EUR", {"country": "BR"})
ANSWERED = SurveyResponse("tool", "r1", "answered", 1_700_000_000_000, "c1", "s1", 9, "great", False, "email")


def foreign(cls: type[Record], fields: list[dict[str, Any]], values: dict[str, Any]) -> tuple[Codec, bytes]:
    """A record that another team's producer wrote with a schema of its own, and a codec that can look it up."""
    schema = {"type": "record", "name": cls.__name__, "namespace": "nps", "fields": fields}
    registry = MemoryRegistry()
    registry.schemas[7] = json.dumps(schema)
    out = BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), values)
    return Codec(registry), CONFLUENT + struct.pack(">I", 7) + out.getvalue()


def with_type(cls: type[Record], name: str, kind: object) -> list[dict[str, Any]]:
    """The record's own fields, one of them of another type."""
    return [{"name": f["name"], "type": kind if f["name"] == name else f["type"]} for f in versions(cls)[-1]["fields"]]


def test_headers() -> None:
    """Single object: C3 01 and eight bytes of fingerprint; Confluent: 00 and four bytes of id."""
    single, confluent = CODEC.encode(PURCHASE), REGISTERED.encode(PURCHASE)
    assert single[10:] == confluent[5:]
    fingerprint = fastavro.schema.fingerprint(
        fastavro.schema.to_parsing_canonical_form(versions(Purchase)[-1]), "CRC-64-AVRO"
    )
    assert single[:10] == SINGLE_OBJECT + bytes.fromhex(fingerprint)
    assert int.from_bytes(confluent[1:5], "big") in REGISTRY.schemas


@pytest.mark.parametrize("file", FILES)
def test_golden_bytes_decode_for_ever(file: str) -> None:
    """Bytes of every version ever released still read as what was written.  Never change a golden file; add one."""
    name = file.removesuffix(".avsc")
    lines = (GOLDEN / f"{name}.hex").read_text(encoding="utf-8").split()
    wanted = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    (cls,) = [cls for cls in RECORDS if stem(cls) == name.split(".")[0]]
    assert len(lines) == len(wanted) >= 2
    for line, fields in zip(lines, wanted, strict=True):
        record = CODEC.decode(cls, bytes.fromhex(line))
        assert {field: getattr(record, field) for field in fields} == fields


def test_responses_of_version_1_are_not_provisional() -> None:
    """What was written before there were provisional answers counts at once, as it did."""
    for line in (GOLDEN / "survey_response.v1.hex").read_text(encoding="utf-8").split():
        assert CODEC.decode(SurveyResponse, bytes.fromhex(line)).provisional is False


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (None, "no_value"),
        (b"", "undecodable"),
        (b"\x00", "undecodable"),
        (b"\xc3\x01", "undecodable"),
        (b"\xc3\x02" + bytes(20), "undecodable"),
        (b'{"score": 9}', "undecodable"),
        (SINGLE_OBJECT + bytes(8), "unknown_schema"),
        (SINGLE_OBJECT + b"\xff" * 80, "unknown_schema"),
        (CONFLUENT + struct.pack(">I", 1), "unknown_schema"),
        (CODEC.encode(Wakeup("c1", 1)), "wrong_type"),
    ],
)
def test_reasons(data: bytes | None, reason: str) -> None:
    """Each kind of fault has its word, with and without a registry."""
    assert reason_of(lambda: CODEC.decode(SurveyResponse, data)) == reason
    assert reason_of(lambda: Codec(MemoryRegistry()).decode(SurveyResponse, data)) == reason


@pytest.mark.parametrize("cls", RECORDS)
def test_a_megabyte_of_junk(cls: type[Record]) -> None:
    """Refused quickly, with and without a good header."""
    junk = Random(1).randbytes(1_000_000)
    for data in (junk, header_of(cls) + junk, SINGLE_OBJECT + junk, CONFLUENT + junk, header_of(cls) + b"\xff" * 10**6):
        assert reason_of(lambda data=data: CODEC.decode(cls, data)) in ("undecodable", "unknown_schema")  # type: ignore[misc]


EVENT = {"id": "1", "customer_id": "é", "score": 9}
PLAIN = json.dumps(EVENT).encode()
JSON = {
    "an object": PLAIN,
    "pretty": json.dumps([EVENT], indent=2).encode(),
    "an empty object": b"{}",
    "after space": b"\r\n\t " + PLAIN,
    "with a byte order mark": b"\xef\xbb\xbf" + PLAIN,
    "UTF-16": json.dumps(EVENT).encode("utf-16"),
    "UTF-16, big-endian": json.dumps(EVENT).encode("utf-16-be"),
    "UTF-32": json.dumps(EVENT).encode("utf-32"),
    "an array": b"[[1, 2]]",
    "JSON in JSON": json.dumps(json.dumps(EVENT)).encode(),
    "cut off": PLAIN[:5],
    "of a JSON Schema serializer": CONFLUENT + struct.pack(">I", 9) + PLAIN,
    "behind our own schema": CODEC.encode(PURCHASE)[:10] + PLAIN,
}


@pytest.mark.parametrize("data", JSON.values(), ids=JSON)
def test_json_is_called_json(data: bytes) -> None:
    """However it is encoded or wrapped, the dead letter says so, and what to do."""
    for registry in (None, MemoryRegistry()):
        with pytest.raises(Undecodable) as raised:
            Codec(registry).decode(Purchase, data)
        assert raised.value.reason in ("undecodable", "unknown_schema")
        assert str(raised.value).endswith(
            "; this looks like JSON: write Avro of schemas/avro, or send JSON lines through `nps produce`"
        )


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"Obj\x01" + bytes(20), bytes(30), b"{hello}", b"<a/>", b"\xff" * 9, CODEC.encode(ANSWERED)]
)
def test_what_is_no_json_is_not_called_so(data: bytes) -> None:
    """Whatever else the bytes are."""
    with pytest.raises(Undecodable) as raised:
        CODEC.decode(Purchase, data)
    assert "JSON" not in str(raised.value)


def test_foreign_schema_with_other_order_and_more_fields() -> None:
    """Fields are matched by name: reordered, with extras, without those that have a default."""
    fields = [field for field in with_type(SurveyResponse, "", None) if field["name"] not in ("channel", "voided")]
    extra = [{"name": "device", "type": "string"}, *reversed(fields), {"name": "build", "type": "long"}]
    values = {**ANSWERED._asdict(), "device": "phone", "build": 7}
    codec, data = foreign(SurveyResponse, extra, values)
    assert codec.decode(SurveyResponse, data) == ANSWERED._replace(channel=None)


@pytest.mark.parametrize(
    ("cls", "name", "kind", "value"),
    [
        (SurveyResponse, "score", "string", "9"),
        (SurveyResponse, "score", "double", 7.5),
        (SurveyResponse, "score", "long", 2**40),
        (SurveyResponse, "customer_id", ["null", "string"], None),
        (SurveyResponse, "customer_id", "int", 5),
        (SurveyResponse, "voided", "int", 1),
        (SurveyResponse, "time", "string", "2024-01-01"),
        (Purchase, "attributes", {"type": "map", "values": "int"}, {"a": 1}),
    ],
)
def test_foreign_types_that_do_not_fit(cls: type[Record], name: str, kind: object, value: object) -> None:
    """A text "9" is no score, nor is 7.5; nothing is converted that Avro does not promise to convert."""
    sample = ANSWERED if cls is SurveyResponse else PURCHASE
    codec, data = foreign(cls, with_type(cls, name, kind), {**sample._asdict(), name: value})
    assert reason_of(lambda: codec.decode(cls, data)) == "undecodable"


def test_foreign_types_that_fit() -> None:
    """What Avro promises to convert is converted: a nullable customer id that is there, an int for a time."""
    fields = with_type(SurveyResponse, "customer_id", ["null", "string"])
    codec, data = foreign(SurveyResponse, fields, ANSWERED._asdict())
    assert codec.decode(SurveyResponse, data) == ANSWERED
    codec, data = foreign(SurveyResponse, with_type(SurveyResponse, "time", "int"), {**ANSWERED._asdict(), "time": 5})
    assert codec.decode(SurveyResponse, data) == ANSWERED._replace(time=5)


def test_foreign_schema_without_a_required_field() -> None:
    """A field without default that the writer does not have."""
    fields = [field for field in with_type(SurveyResponse, "", None) if field["name"] != "customer_id"]
    codec, data = foreign(SurveyResponse, fields, ANSWERED._asdict())
    assert reason_of(lambda: codec.decode(SurveyResponse, data)) == "undecodable"


@pytest.mark.parametrize(
    "text",
    ['"string"', '["null", "string"]', "{", "", "[]", "5", '{"type": "record"}', '{"type": "enum", "name": "x"}',
     '{"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}', 'syntax = "proto3";'],
)  # fmt: skip
def test_what_a_registry_may_hold_besides(text: str) -> None:
    """JSON Schema, Protobuf, a bare type: not one of our records, and no crash."""
    registry = MemoryRegistry()
    registry.schemas[9] = text
    reason = reason_of(lambda: Codec(registry).decode(Purchase, CONFLUENT + struct.pack(">I", 9) + b"abc"))
    assert reason in ("unknown_schema", "wrong_type", "undecodable")


def test_a_registry_that_is_away_is_no_fault_of_the_bytes() -> None:
    """The record may be good: not a dead letter."""
    registry = MemoryRegistry()
    codec = Codec(registry)
    registry.away = True
    with pytest.raises(RegistryAway):
        codec.decode(Purchase, CONFLUENT + struct.pack(">I", 1) + CODEC.encode(PURCHASE)[10:])


def test_a_schema_is_looked_up_once() -> None:
    """After the first record of a schema the registry is not needed for it."""
    registry = MemoryRegistry()
    data = Codec(registry).encode(PURCHASE)
    reader = Codec(registry)
    assert reader.decode(Purchase, data) == PURCHASE
    registry.away = True
    assert reader.decode(Purchase, data) == PURCHASE


@pytest.mark.parametrize(
    "wrong",
    [
        PURCHASE._replace(customer_id=None),  # type: ignore[arg-type]  # wrong on purpose, and below
        PURCHASE._replace(time="now"),  # type: ignore[arg-type]
        PURCHASE._replace(attributes={"a": 1}),  # type: ignore[dict-item]
        AlertAction("d", "dance", "me", 1, None),
        ANSWERED._replace(score=2**40),
        AlertAction("d", "acknowledge", "me", 2**70, None),
    ],
)
def test_encode_refuses_what_breaks_the_contract(wrong: Record) -> None:
    """A record whose fields do not fit is never written: ValueError."""
    with pytest.raises(ValueError, match=r"\w"):
        CODEC.encode(wrong)
