"""Windows of every resolution, and how many panes they remember."""

from streams.domain.panes import DAY_MS, HOUR_MS
from streams.domain.windows import SegmentWindows, Window

WINDOWS = tuple(
    Window(name, length)
    for name, length in {
        "1h": HOUR_MS, "24h": DAY_MS, "7d": 7 * DAY_MS, "30d": 30 * DAY_MS, "90d": 90 * DAY_MS
    }.items()
)  # fmt: skip
START_MS = 1_700_000_000_000


def kept(windows: SegmentWindows) -> int:
    """How many panes are remembered, each with the tallies it is the sum of."""
    remembered = {resolution: set(panes) for resolution, panes in windows._panes.items()}
    assert remembered == {resolution: set(latest) for resolution, latest in windows._latest.items()}
    assert windows.is_empty == (not any(remembered.values()))
    return sum(map(len, remembered.values()))
