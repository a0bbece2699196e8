"""Panes: half open, aligned to 1970 UTC, right before it too."""

from streams.domain.panes import DAY_MS, LENGTH_MS, MINUTE_MS, Resolution, floor_ms


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
