"""The decoder of our own against the library's."""

from io import BytesIO
from typing import Any, cast

import fastavro
import pytest

from schemas.codec import Codec, Undecodable, versions
from schemas.events import Purchase, SurveyResponse
from schemas.fast.decoder import record_decoder
from tests.support.fastavro_reader import SCHEMAS, library

CODEC = Codec()
PURCHASE = Purchase("shop", "p1", "order.delivered", 1_700_000_000_000, "c1", "o1", 1999, "EUR", {"country": "BR"})


def test_blocks_of_a_map_may_give_their_size() -> None:
    """Entries in several blocks, one with its size in bytes in front, are one map (Avro 1.11, "Maps")."""
    data = CODEC.encode(PURCHASE)
    entry = b"\x0ecountry\x04BR"
    assert data.endswith(b"\x02" + entry + b"\x00")
    blocks = b"\x01" + bytes([2 * len(entry)]) + entry + b"\x02\x08city\x06Rio\x00"
    found = CODEC.decode(Purchase, data[: -len(entry) - 2] + blocks)
    assert found.attributes == {"country": "BR", "city": "Rio"}


OLD = versions(SurveyResponse)[0]
ANSWER = {"source": "t", "id": "r", "type": "a", "time": 5, "customer_id": "c", "survey_id": "s", "score": 9}
ANSWER |= {"comment": None, "voided": False, "channel": "email"}


@pytest.mark.parametrize(
    "fields",
    [
        OLD["fields"],
        OLD["fields"][::-1],
        [*OLD["fields"], {"name": "extra", "type": {"type": "map", "values": "string"}}],
    ],
    ids=["an older version", "another order", "a field more"],
)
def test_a_writer_of_another_shape_is_read_as_avro_resolves_it(fields: list[dict[str, Any]]) -> None:
    """What the writer had not takes its default, what we do not know is passed over, and the order is the writer's."""
    schema = cast(Any, fastavro.parse_schema({**OLD, "fields": fields}))
    out = BytesIO()
    fastavro.schemaless_writer(out, schema, {**ANSWER, "extra": {"a": "b"}})
    decode = record_decoder(SurveyResponse, schema, SCHEMAS[SurveyResponse])
    assert decode is not None
    resolved = library(out.getvalue(), schema, SCHEMAS[SurveyResponse])
    assert decode(out.getvalue(), 0) == SurveyResponse(**resolved)


@pytest.mark.parametrize("kind", ["long", ["int", "null"], {"type": "record", "name": "R", "fields": []}])
def test_what_takes_a_rule_of_its_own_is_left_to_fastavro(kind: Any) -> None:
    """A field of another type than ours, or of one that is not covered, makes no decoder."""
    fields = [{"name": "score", "type": kind} if field["name"] == "score" else field for field in OLD["fields"]]
    schema = cast(Any, fastavro.parse_schema({**OLD, "fields": fields}))
    assert record_decoder(SurveyResponse, schema, SCHEMAS[SurveyResponse]) is None


@pytest.mark.parametrize("size", [1 << 32, 1 << 62])
def test_a_length_beyond_the_end_takes_no_memory(size: int) -> None:
    """Bytes that claim to be endless are refused at once."""
    claim = bytearray()
    n = size << 1
    while n >= 0x80:
        claim.append(n & 0x7F | 0x80)
        n >>= 7
    claim.append(n)
    data = CODEC.encode(PURCHASE)
    for cut in (10, len(data) - 14):  # where the first text's length stands, and the map's
        with pytest.raises(Undecodable):
            CODEC.decode(Purchase, data[:cut] + bytes(claim) + data[cut + 1 :])
