"""Laws of the fuse: it blows exactly when a recount of all records says so."""

from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import FuseBlown
from streams.engine.fuse import Fuse, FuseLimits
from tests.support.fuse import blown_at


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
