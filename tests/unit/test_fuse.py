"""The fuse: many bad records stop the worker, the odd one does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import FuseBlown
from streams.engine.fuse import Fuse, FuseLimits


def blown_at(records: list[bool], limits: FuseLimits) -> int | None:
    """At which record (True is good) the fuse blows."""
    fuse = Fuse(limits)
    for at, good in enumerate(records):
        try:
            fuse.good() if good else fuse.bad()
        except FuseBlown:
            return at
    return None


def oracle(records: list[bool], limits: FuseLimits) -> int | None:
    """The same by recounting the whole history after every record."""
    for at, good in enumerate(records):
        seen = records[: at + 1]
        window = seen[-limits.window_records :]
        in_a_row = len(seen) >= limits.in_a_row and not any(seen[-limits.in_a_row :])
        too_many = len(window) == limits.window_records and window.count(False) > limits.ratio * limits.window_records
        if not good and (in_a_row or too_many):
            return at
    return None


@given(
    st.lists(st.booleans(), max_size=60),
    st.builds(FuseLimits, st.integers(1, 12), st.sampled_from([0.1, 0.5, 0.9, 1.0]), st.integers(1, 20)),
)
def test_blows_exactly_when_a_recount_says_so(records: list[bool], limits: FuseLimits) -> None:
    """Whatever the order of good and bad, the fuse blows at the record that a recount finds to be too much."""
    assert blown_at(records, limits) == oracle(records, limits)


@given(st.lists(st.one_of(st.none(), st.integers(0, 30)), max_size=40))
def test_counting_many_good_records_at_once_is_the_same(steps: list[int | None]) -> None:
    """`good(n)` is n times `good()`; None stands for a bad record."""
    limits = FuseLimits(5, 0.5, 20)
    at_once, one_by_one = Fuse(limits), Fuse(limits)

    def blows(fuse: Fuse, step: int | None, *, single: bool) -> bool:
        try:
            if step is None:
                fuse.bad()
            elif single:
                for _ in range(step):
                    fuse.good()
            else:
                fuse.good(step)
        except FuseBlown:
            return True
        return False

    for step in steps:
        assert blows(at_once, step, single=False) == blows(one_by_one, step, single=True)


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
