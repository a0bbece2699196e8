"""Laws of rolling windows: running sums over panes equal a recount from scratch, and are bounded."""

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import PaneTally
from streams.domain.nps import EMPTY, Tally
from streams.domain.panes import DAY_MS, HOUR_MS, LENGTH_MS, MINUTE_MS, Resolution, floor_ms
from streams.domain.windows import SegmentWindows
from tests.support import recount
from tests.support.laws import examples
from tests.support.windows import START_MS, WINDOWS, kept

TALLIES = st.builds(Tally, st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))

Put = tuple[Resolution, int, int, int, Tally]
"""Resolution, panes back from the open one, source partition, version, absolute tally."""


@st.composite
def put(draw: st.DrawFn) -> Put:
    """A tally of a pane up to 100 days old, up to two panes ahead of the clock; version and source at random."""
    resolution = draw(st.sampled_from(list(Resolution)))
    back = draw(st.integers(-2, {Resolution.MINUTE: 75, Resolution.HOUR: 190, Resolution.DAY: 100}[resolution]))
    return resolution, back, draw(st.integers(0, 2)), draw(st.integers(0, 8)), draw(TALLIES)


ADVANCES = st.one_of(
    st.integers(0, 3 * MINUTE_MS), st.integers(0, 2 * DAY_MS), st.sampled_from([HOUR_MS, 7 * DAY_MS, 200 * DAY_MS])
)


@settings(max_examples=examples(300))
@given(st.lists(st.one_of(put(), ADVANCES), max_size=60), st.integers(0, DAY_MS))
def test_equals_a_recount(actions: list[Put | int], offset_ms: int) -> None:
    """Absolute tallies of three source partitions, repeated and in any order of version, under any clock."""
    now_ms, taken = START_MS + offset_ms, list[PaneTally]()
    windows = SegmentWindows(WINDOWS, now_ms)
    for action in actions:
        before = [running.tally for running in windows.sums]
        ends = [running.end_ms for running in windows.sums]
        if isinstance(action, int):
            now_ms += action
            moved = windows.advance(now_ms)
            assert moved == (ends != [running.end_ms for running in windows.sums])
        else:
            resolution, back, partition, version, tally = action
            start = (now_ms // LENGTH_MS[resolution] - back) * LENGTH_MS[resolution]
            taken.append(PaneTally("all", resolution, start, partition, *tally, "program", version))
            changed = windows.put(resolution, start, partition, version, tally)
            assert changed or before == [running.tally for running in windows.sums], "every change is told"
        assert [running.tally for running in windows.sums] == [
            recount.window(taken, "all", each.length_ms, now_ms) for each in WINDOWS
        ]
        assert all(running.end_ms - running.start_ms == running.window.length_ms for running in windows.sums)
        assert all(running.start_ms <= now_ms < running.end_ms for running in windows.sums)


@given(st.integers(0, DAY_MS), st.lists(put(), max_size=20))
def test_a_clock_that_goes_back_changes_nothing(back_ms: int, puts: list[Put]) -> None:
    """Windows never move back."""
    windows = SegmentWindows(WINDOWS, START_MS)
    for resolution, back, partition, version, tally in puts:
        start = (START_MS // LENGTH_MS[resolution] - back) * LENGTH_MS[resolution]
        windows.put(resolution, start, partition, version, tally)
    before = [(running.end_ms, running.tally) for running in windows.sums]
    assert not windows.advance(START_MS - back_ms)
    assert before == [(running.end_ms, running.tally) for running in windows.sums]


@given(st.lists(put(), min_size=1, max_size=30))
def test_every_window_empties_on_time_without_traffic(puts: list[Put]) -> None:
    """One pane beyond its length after the last answer every window is empty, and nothing is kept of it."""
    windows = SegmentWindows(WINDOWS, START_MS)
    for resolution, back, partition, version, tally in puts:
        start = (START_MS // LENGTH_MS[resolution] - back) * LENGTH_MS[resolution]
        windows.put(resolution, start, partition, version, tally)
    windows.advance(START_MS + 93 * DAY_MS)
    assert all(running.tally == EMPTY for running in windows.sums)
    assert kept(windows) == 0


@settings(max_examples=examples(50))
@given(st.lists(st.tuples(st.integers(0, 30 * DAY_MS), st.integers(0, 200 * DAY_MS)), min_size=1, max_size=60))
def test_state_is_bounded(jumps: list[tuple[int, int]]) -> None:
    """Only panes inside the longest window of their resolution are kept, whatever came and however the clock ran."""
    now_ms = START_MS
    windows = SegmentWindows(WINDOWS, now_ms)
    for version, (jump_ms, back_ms) in enumerate(jumps):
        now_ms += jump_ms
        windows.advance(now_ms)
        for resolution, length in LENGTH_MS.items():
            windows.put(resolution, (now_ms - back_ms) // length * length, 0, version, Tally(1, 0, 0))
        assert kept(windows) <= 60 + 7 * 24 + 90


@settings(max_examples=examples(50))
@given(st.lists(st.tuples(st.integers(0, 5 * DAY_MS), st.integers(0, 60 * DAY_MS)), min_size=1, max_size=60))
def test_panes_that_are_asked_for_are_kept(jumps: list[tuple[int, int]]) -> None:
    """Beyond every window of theirs, and no longer than asked; windows stay what they are without them."""
    now_ms, kept_ms = START_MS, {Resolution.HOUR: 20 * DAY_MS, Resolution.DAY: 40 * DAY_MS}
    plain, windows = SegmentWindows(WINDOWS[:1], now_ms), SegmentWindows(WINDOWS[:1], now_ms, kept_ms)
    taken = list[tuple[Resolution, int]]()
    for version, (jump_ms, back_ms) in enumerate(jumps):
        now_ms += jump_ms
        for each in (plain, windows):
            each.advance(now_ms)
            each.put(Resolution.MINUTE, floor_ms(now_ms, MINUTE_MS), 0, version, Tally(1, 0, 0))
        for resolution, life_ms in kept_ms.items():
            start_ms = floor_ms(now_ms - back_ms, LENGTH_MS[resolution])
            is_kept = start_ms >= floor_ms(now_ms - life_ms, LENGTH_MS[resolution])
            assert windows.put(resolution, start_ms, 1, version, Tally(0, 1, 0)) == is_kept
            taken += [(resolution, start_ms)] if is_kept else []
            inside = {at for of, at in taken if of is resolution and at >= floor_ms(now_ms - life_ms, LENGTH_MS[of])}
            assert set(windows.panes(resolution)) == inside
        assert [running.tally for running in windows.sums] == [running.tally for running in plain.sums]
