"""The fuse: many bad records stop the worker, the odd one does not."""

import pytest

from schemas.errors import FuseBlown
from streams.engine.fuse import Fuse, FuseLimits
from tests.support.fuse import blown_at


def test_a_whole_topic_of_bad_records_stops_after_a_thousand() -> None:
    """By default a thousand bad records in a row blow the fuse, and the error says what to do."""
    fuse = Fuse()
    for _ in range(999):
        fuse.bad()
    with pytest.raises(FuseBlown, match="1000 bad records in a row: see the dead letters"):
        fuse.bad()


def test_a_bad_start_is_no_ratio() -> None:
    """The ratio waits for a whole window: one bad record at the start is not 100 %."""
    assert blown_at([False], FuseLimits(in_a_row=2, ratio=0.5, window_records=10)) is None


@pytest.mark.parametrize("wrong", [{"in_a_row": 0}, {"ratio": 0.0}, {"ratio": 1.1}, {"window_records": 0}])
def test_senseless_limits_are_refused(wrong: dict[str, float]) -> None:
    """Limits outside their range are a ValueError when made."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        FuseLimits(**wrong)  # type: ignore[arg-type]
