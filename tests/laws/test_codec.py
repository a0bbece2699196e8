"""Laws of the codec: every record comes back as it was, and whatever else comes is Undecodable, never a crash."""

from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codec import CONFLUENT, SINGLE_OBJECT, Undecodable
from schemas.events import RECORDS, Answer, Record
from tests.support.codecs import CODEC, REGISTERED, header_of, reason_of
from tests.support.laws import examples
from tests.support.records import ANY


@settings(max_examples=examples(300))
@given(ANY)
def test_round_trip(record: Record) -> None:
    """Every record of every type, with either header, whichever codec reads it."""
    for writer in (CODEC, REGISTERED):
        data = writer.encode(record)
        assert data[:1] == (CONFLUENT if writer is REGISTERED else SINGLE_OBJECT[:1])
        assert REGISTERED.decode(type(record), data) == record
    assert CODEC.decode(type(record), CODEC.encode(record)) == record


@given(ANY.filter(lambda record: "version" in record._fields), st.integers(0, 2**63 - 1))
def test_encode_with_another_version(record: Record, version: int) -> None:
    """The same bytes as of the record that says so itself."""
    assert CODEC.encode(record, version) == CODEC.encode(cast(Answer, record)._replace(version=version))


@given(ANY)
def test_truncated_at_every_byte(record: Record) -> None:
    """No part of a record is taken for a whole one."""
    data = CODEC.encode(record)
    for size in range(len(data)):
        assert reason_of(lambda size=size: CODEC.decode(type(record), data[:size])) == "undecodable"  # type: ignore[misc]


@given(ANY, st.binary(min_size=1, max_size=9))
def test_trailing_bytes(record: Record, more: bytes) -> None:
    """What is left over means that something else was written."""
    assert reason_of(lambda: CODEC.decode(type(record), CODEC.encode(record) + more)) == "undecodable"


@settings(max_examples=examples(500))
@given(ANY, st.data())
def test_damaged_bytes_are_undecodable_or_a_record(record: Record, data: st.DataObject) -> None:
    """Whatever byte is changed, it reads as a record of the type or is refused; no other error."""
    damaged = bytearray(CODEC.encode(record))
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    outcome = decoded_or_reason(type(record), bytes(damaged))
    assert isinstance(outcome, type(record)) or outcome in ("undecodable", "unknown_schema", "wrong_type")


def decoded_or_reason(cls: type[Record], data: bytes) -> Record | str:
    """The record in these bytes, or why there is none; any other error passes."""
    try:
        return CODEC.decode(cls, data)
    except Undecodable as error:
        return error.reason


@settings(max_examples=examples(500))
@given(st.sampled_from(RECORDS), st.binary(max_size=60))
def test_junk_behind_a_good_header(cls: type[Record], junk: bytes) -> None:
    """The header is right, the rest is noise: lengths that lie, wrong union branches, bad UTF-8."""
    outcome = decoded_or_reason(cls, header_of(cls) + junk)
    if isinstance(outcome, str):
        assert outcome == "undecodable"
    else:
        assert repr(CODEC.decode(cls, CODEC.encode(outcome))) == repr(outcome)
