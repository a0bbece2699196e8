"""The tables: bytes that any release wrote are read for ever, and what has no owner stops the worker."""

import json
from pathlib import Path

import msgspec
import pytest

from schemas.topics import INBOUND
from streams.domain.state import (
    NEW,
)
from streams.kafka.ports import KafkaRecord
from streams.state.tables import BLANK, JourneyEntry, JourneyTable, encode
from tests.support.tables import restored

GOLDEN = Path(__file__).parents[1] / "contract" / "golden"


def test_unknown_and_forgotten_customers_are_blank() -> None:
    """Nothing is known of them, and every version is news."""
    table = restored(encode(JourneyEntry((0,) * 5, 9, NEW)))
    table.restore(KafkaRecord(8, 0, b"c1", None))
    assert table.get(b"c1") == table.get(b"c2") == BLANK
    assert len(table) == 0
    assert all(version == -1 for version in BLANK.applied_version)
    assert len(BLANK.applied_version) == len(INBOUND)


@pytest.mark.parametrize("name", ["journey.01", "journey.02"])
def test_golden_state_reads_for_ever(name: str) -> None:
    """Journeys are still read as any release wrote them, the first and each that added fields.  Never change a file."""
    lines = (GOLDEN / f"{name}.hex").read_text(encoding="utf-8").split()
    wanted = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    assert len(lines) == len(wanted) >= 2
    for line, (applied_version, timer_ms, fields) in zip(lines, wanted, strict=True):
        entry = restored(bytes.fromhex(line)).get(b"c1")
        assert (list(entry.applied_version), entry.timer_ms) == (applied_version, timer_ms)
        got = msgspec.to_builtins(entry.journey._asdict())
        assert {name: trimmed(got[name], fields[name]) for name in fields} == fields


def trimmed(got: object, wanted: object) -> object:
    """As much of a value as the golden file knows: fields appended since are left out."""
    if isinstance(got, list | tuple) and isinstance(wanted, list):
        return [trimmed(part, other) for part, other in zip(got, wanted, strict=False)]
    return got


@pytest.mark.parametrize("key", [None, b"\xff", b"caf\xe9"])
@pytest.mark.parametrize("value", [None, encode(BLANK)])
def test_a_key_that_no_customer_has_is_passed_over(key: bytes | None, value: bytes | None) -> None:
    """Customer ids are UTF-8: whatever lies there, we did not write it."""
    table = JourneyTable()
    assert table.restore(KafkaRecord(7, 0, key, value)) is False
    assert len(table) == 0
