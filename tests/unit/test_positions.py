"""Nothing is passed over in silence: what was deleted before it was read is said and counted."""

import logging

import pytest
from faust.types import TP
from prometheus_client import REGISTRY

from streams.engine.extents import Extent
from streams.engine.positions import Positions

A, B = TP("positions-a", 0), TP("positions-b", 1)


def missed(tp: TP) -> float:
    return REGISTRY.get_sample_value("nps_missed_records_total", {"topic": tp.topic}) or 0


def test_what_lay_between_the_commit_and_the_oldest_record_is_missed(caplog: pytest.LogCaptureFixture) -> None:
    """Committed to 5, the oldest is 12: seven are lost, in one line; a partition that was never read misses nothing."""
    before = missed(A)
    with caplog.at_level(logging.ERROR):
        positions = Positions({A: 5, B: None}, {A: Extent(12, 20), B: Extent(3, 9)})
    assert caplog.messages == ["positions-a[0]: 7 records were deleted by retention before they were read"]
    assert missed(A) - before == 7
    assert (positions.unread(A), positions.unread(B)) == (range(12, 20), range(3, 9))


def test_a_gap_while_reading_is_explained_by_the_oldest_record() -> None:
    """Offsets that a transaction or compaction left out are none of ours; what begins beyond our next one is gone."""
    before = missed(A)
    positions = Positions({A: 5, B: 0}, {A: Extent(0, 20), B: Extent(0, 20)})
    assert positions.jumped({A: 5, B: 0}) == []
    positions.took({A: 9, B: 3})
    assert positions.jumped({A: 12, B: 4}) == [A]
    positions.explain({A: 0})
    assert missed(A) == before, "a hole in the offsets"
    positions.explain({A: 12})
    assert missed(A) - before == 2, "10 and 11 were deleted"
    positions.took({A: 15})
    assert positions.jumped({A: 16}) == []
