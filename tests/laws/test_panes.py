"""Laws of panes: every instant lies in exactly one of each length, before 1970 too."""

from hypothesis import given
from hypothesis import strategies as st

from streams.domain.panes import DAY_MS, HOUR_MS, LENGTH_MS, MINUTE_MS, Pane, floor_ms, panes

INSTANTS = st.integers(-(10**14), 10**14)
LENGTHS = st.sampled_from(list(LENGTH_MS.values()))


@given(INSTANTS, LENGTHS)
def test_every_instant_lies_in_exactly_one_pane(at_ms: int, length_ms: int) -> None:
    """`start <= at < start + length`, starts are whole multiples, so panes neither overlap nor leave gaps."""
    start = floor_ms(at_ms, length_ms)
    assert start <= at_ms < start + length_ms
    assert start % length_ms == 0


@given(INSTANTS)
def test_minutes_nest_in_hours_in_days(at_ms: int) -> None:
    """A minute never straddles an hour, nor an hour a day."""
    minute, hour, day = (floor_ms(at_ms, length) for length in (MINUTE_MS, HOUR_MS, DAY_MS))
    assert day <= hour <= minute
    assert minute + MINUTE_MS <= hour + HOUR_MS <= day + DAY_MS


@given(INSTANTS, st.lists(st.text(max_size=5), unique=True, max_size=4))
def test_three_panes_for_each_segment(at_ms: int, segments: list[str]) -> None:
    """An answer is in one minute, one hour and one day of each of its segments, and nowhere else."""
    wanted = {Pane(s, r, at_ms - at_ms % length) for s in segments for r, length in LENGTH_MS.items()}
    got = panes(tuple(segments), at_ms)
    assert len(got) == 3 * len(segments)
    assert set(got) == wanted
