"""Law of the encoder: its bytes are the library's."""

from io import BytesIO

import fastavro
from hypothesis import given, settings

from schemas.codec import Codec, versions
from schemas.events import Record
from tests.support.laws import examples
from tests.support.records import ANY

CODEC = Codec()


@settings(max_examples=examples(1_000))
@given(ANY)
def test_bytes_are_those_of_fastavro(record: Record) -> None:
    """Every record is encoded byte for byte as fastavro encodes it."""
    out = BytesIO()
    fields = dict(zip(record._fields, record, strict=True))
    fastavro.schemaless_writer(out, fastavro.parse_schema(versions(type(record))[-1]), fields)
    assert CODEC.encode(record)[10:] == out.getvalue()
