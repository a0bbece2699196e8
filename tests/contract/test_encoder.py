"""The encoder of our own against the library's."""

from io import BytesIO

import fastavro
import pytest
from hypothesis import given, settings

from schemas.codec import Codec, versions
from schemas.events import Record, Wakeup
from schemas.fast.encoder import record_encoder
from tests.support.records import ANY

CODEC = Codec()


@settings(max_examples=1_000)
@given(ANY)
def test_bytes_are_those_of_fastavro(record: Record) -> None:
    """Every record is encoded byte for byte as fastavro encodes it."""
    out = BytesIO()
    fields = dict(zip(record._fields, record, strict=True))
    fastavro.schemaless_writer(out, fastavro.parse_schema(versions(type(record))[-1]), fields)
    assert CODEC.encode(record)[10:] == out.getvalue()


@pytest.mark.parametrize("due_ms", [1 << 63, -(1 << 63) - 1, "1", None, 1.5])
def test_a_value_of_another_type_is_refused(due_ms: object) -> None:
    """A value that the schema cannot hold raises ValueError and is never written as something else."""
    with pytest.raises(ValueError, match=r"contract|64 bits"):
        CODEC.encode(Wakeup("C1", due_ms))  # type: ignore[arg-type]  # what is tested


def test_an_unknown_type_is_refused_at_start() -> None:
    """A schema with a type the encoder does not know is refused when it is loaded, not when it is used."""
    with pytest.raises(ValueError, match="does not know"):
        record_encoder({"fields": [{"name": "x", "type": "bytes"}]}, b"")
