"""Laws of batches: a fill adds up, is due when its time is over, and waits between tries double."""

from hypothesis import given
from hypothesis import strategies as st

from sinks.batch import EMPTY, Backoff, BatchPolicy, Fill

POLICY = BatchPolicy(max_rows=3, max_bytes=100, max_age_ms=1_000)
ARRIVALS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 60), st.integers(0, 500)), max_size=20)


@given(ARRIVALS)
def test_a_fill_is_the_sum_of_what_came(arrivals: list[tuple[int, int, int]]) -> None:
    """Rows and bytes add up, and the age counts from the first row, however they were cut; nothing adds nothing."""
    fill, now_ms, first_ms = EMPTY, 0, None
    for rows, size_bytes, later_ms in arrivals:
        now_ms += later_ms
        fill = fill.plus(rows, size_bytes, now_ms)
        first_ms = now_ms if first_ms is None and rows else first_ms
    kept = [(rows, size_bytes) for rows, size_bytes, _ in arrivals if rows]
    assert (fill.rows, fill.size_bytes) == (sum(rows for rows, _ in kept), sum(size for _, size in kept))
    assert fill.since_ms == (first_ms or 0)


@given(st.integers(1, 2), st.integers(0, 5_000), st.integers(0, 5_000))
def test_what_is_left_ends_when_it_is_due(rows: int, since_ms: int, later_ms: int) -> None:
    """After `left_ms` the batch is due by age, and one millisecond earlier it is not."""
    fill, now_ms = Fill(rows, 0, since_ms), since_ms + later_ms
    left_ms = fill.left_ms(POLICY, now_ms)
    assert fill.is_due(POLICY, now_ms + left_ms)
    assert left_ms == 0 or not fill.is_due(POLICY, now_ms + left_ms - 1)


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_waits_double_up_to_the_cap_less_up_to_half(failures: int, chance: float) -> None:
    """A wait lies between half and the whole of its step, and never beyond the cap, after any number of failures."""
    step_ms = min(30_000, 500 * 2 ** min(failures - 1, 40))
    assert step_ms // 2 <= Backoff().wait_ms(failures, chance) <= step_ms
