"""Panes: half open, aligned to 1970 UTC, right before it too."""

from hypothesis import given
from hypothesis import strategies as st

from streams.domain.panes import DAY_MS, HOUR_MS, LENGTH_MS, MINUTE_MS, Pane, Resolution, floor_ms, panes

INSTANTS = st.integers(-(10**14), 10**14)
LENGTHS = st.sampled_from(list(LENGTH_MS.values()))


def test_lengths() -> None:
    """A minute, an hour, a day."""
    assert LENGTH_MS == {Resolution.MINUTE: 60_000, Resolution.HOUR: 3_600_000, Resolution.DAY: 86_400_000}


def test_half_open() -> None:
    """The start is inside, the end is the next pane's start.

    ... 59,999 | 60,000 ... 119,999 | 120,000 ...
      pane 0   |     pane 60,000    | pane 120,000
    """
    assert [floor_ms(at, MINUTE_MS) for at in (0, 59_999, 60_000, 119_999, 120_000)] == [0, 0, 60_000, 60_000, 120_000]


def test_before_1970() -> None:
    """One millisecond before 1970 lies in the last pane of 1969, not in the first of 1970.

    -60,000 ........ -1 | 0 ........ 59,999
     pane -60,000       |  pane 0
    """
    assert [floor_ms(at, MINUTE_MS) for at in (-60_001, -60_000, -1, 0)] == [-120_000, -60_000, -60_000, 0]
    assert floor_ms(-1, DAY_MS) == -DAY_MS


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
