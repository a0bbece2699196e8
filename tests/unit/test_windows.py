"""Rolling windows by example: panes of each resolution, and an hour that ages by the clock."""

from streams.domain.nps import EMPTY, Tally
from streams.domain.panes import DAY_MS, HOUR_MS, MINUTE_MS, Resolution
from streams.domain.windows import SegmentWindows
from tests.support.windows import START_MS, WINDOWS, kept


def test_one_hour_in_minute_panes() -> None:
    """An answer of 10:07 is in the hour until 11:06:59.999 and out of it at 11:07, with no traffic at all.

    10:07:00              11:06:59.999  11:07:00
      |====pane====|  ...        |         |
      [------ window as of 11:06 ----------)
                   [------ window as of 11:07 ------)
    """
    ten = START_MS // HOUR_MS * HOUR_MS
    answered = ten + 7 * MINUTE_MS
    windows = SegmentWindows(WINDOWS[:1], answered)
    assert windows.put(Resolution.MINUTE, answered, 0, 1, Tally(1, 0, 0))
    windows.advance(answered + HOUR_MS - 1)
    assert windows.sums[0].tally == Tally(1, 0, 0)
    assert windows.advance(answered + HOUR_MS)
    assert windows.sums[0].tally == EMPTY


def test_windows_that_nobody_configured_keep_nothing() -> None:
    """Without a window of its resolution a pane is not kept."""
    windows = SegmentWindows(WINDOWS[:1], START_MS)
    assert not windows.put(Resolution.DAY, START_MS // DAY_MS * DAY_MS, 0, 1, Tally(1, 0, 0))
    assert kept(windows) == 0


def test_resolution_of_each_window() -> None:
    """Minute panes up to 6 hours, hour panes up to 14 days, day panes beyond."""
    assert [window.resolution for window in WINDOWS] == [
        Resolution.MINUTE, Resolution.HOUR, Resolution.HOUR, Resolution.DAY, Resolution.DAY
    ]  # fmt: skip
