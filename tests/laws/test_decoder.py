"""Laws of the decoder: it reads what the library reads, and refuses what the library refuses."""

from io import BytesIO
from random import Random
from typing import Any

import fastavro
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import Record
from schemas.fast.decoder import record_decoder
from tests.support.fastavro_reader import SCHEMAS, library
from tests.support.laws import examples
from tests.support.records import ANY


def written(record: Record, schema: Any) -> bytes:
    """What fastavro makes of a record."""
    out = BytesIO()
    fastavro.schemaless_writer(out, schema, dict(zip(record._fields, record, strict=True)))
    return out.getvalue()


@settings(max_examples=examples(1_000))
@given(ANY)
def test_what_fastavro_wrote_is_read_as_it_was(record: Record) -> None:
    """Every record comes back from the bytes that fastavro made of it."""
    schema = SCHEMAS[type(record)]
    decode = record_decoder(type(record), schema, schema)
    assert decode is not None
    assert decode(written(record, schema), 0) == record


@settings(max_examples=examples(2_000))
@given(ANY, st.randoms(use_true_random=False))
def test_of_broken_bytes_nothing_is_read_that_fastavro_would_not(record: Record, r: Random) -> None:
    """Bytes that were changed, cut or added to are refused, or give what fastavro reads in them."""
    schema = SCHEMAS[type(record)]
    decode = record_decoder(type(record), schema, schema)
    data = bytearray(written(record, schema))
    for _ in range(r.randint(1, 3)):
        place = r.randrange(len(data) + 1)
        data[place : place + r.randint(0, 2)] = bytes(r.choices(range(256), k=r.randint(0, 2)))
    assert decode is not None
    try:
        found = decode(bytes(data), 0)
    except (ValueError, IndexError, KeyError):
        return
    assert found._asdict() == library(bytes(data), schema)
