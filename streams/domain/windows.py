"""Rolling windows as running sums over panes: add the pane that enters, subtract the pane that leaves.

A window of length L as of an instant covers `[end - L, end)`, where `end` is the end of the pane that is open at that
instant: the newest pane is partial, the oldest is whole.  Cost is flat in the window's length; windows age by the
clock, so with no answers they empty on time.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from streams.domain.nps import EMPTY, Tally
from streams.domain.panes import DAY_MS, HOUR_MS, LENGTH_MS, Resolution, floor_ms


class Window(NamedTuple):
    """A window length as configured, e.g. '24h', and the panes it is summed from."""

    name: str
    length_ms: int

    @property
    def resolution(self) -> Resolution:
        """Minute panes up to 6 hours, hour panes up to 14 days, day panes beyond: at most 360 panes a window."""
        if self.length_ms <= 6 * HOUR_MS:
            return Resolution.MINUTE
        return Resolution.HOUR if self.length_ms <= 14 * DAY_MS else Resolution.DAY


class RunningSum:
    """Tally of one window of one segment.  Shares `panes` with the segment's other windows of the same resolution."""

    __slots__ = ("end_ms", "length_ms", "pane_ms", "panes", "tally", "window")

    def __init__(self, window: Window, panes: dict[int, Tally], now_ms: int) -> None:
        self.window = window
        self.length_ms = window.length_ms
        self.pane_ms = LENGTH_MS[window.resolution]
        self.panes = panes
        self.end_ms = floor_ms(now_ms, self.pane_ms) + self.pane_ms
        self.tally = EMPTY

    @property
    def start_ms(self) -> int:
        """Start of the window, inclusive."""
        return self.end_ms - self.length_ms

    def add(self, start_ms: int, delta: Tally) -> bool:
        """Add the change of a pane; True when this window holds the pane."""
        inside = self.start_ms <= start_ms < self.end_ms
        if inside:
            self.tally = self.tally.plus(delta)
        return inside

    def advance(self, now_ms: int) -> bool:
        """Move the window to the instant; True when its end moved.  Never moves back."""
        end_ms = floor_ms(now_ms, self.pane_ms) + self.pane_ms
        if end_ms <= self.end_ms:
            return False
        if end_ms - self.end_ms >= self.length_ms:
            self.tally = EMPTY
            self._enter(end_ms - self.length_ms, end_ms)
        else:
            for start_ms in range(self.start_ms, end_ms - self.length_ms, self.pane_ms):
                self.tally = self.tally.minus(self.panes.get(start_ms, EMPTY))
            self._enter(self.end_ms, end_ms)
        self.end_ms = end_ms
        return True

    def _enter(self, from_ms: int, to_ms: int) -> None:
        for start_ms in range(from_ms, to_ms, self.pane_ms):
            self.tally = self.tally.plus(self.panes.get(start_ms, EMPTY))


_Latest = dict[int, tuple[int, Tally]]
"""Of one pane: the highest version of each source partition, and its tally."""

_UNKNOWN = (-1, EMPTY)

NOTHING_KEPT: Mapping[Resolution, int] = MappingProxyType({})
"""Panes are kept for the windows alone."""


class SegmentWindows:
    """All windows of one segment.

    Takes absolute tallies from several source partitions and keeps of each partition and pane the tally with the
    highest version, so that a repeated or an old tally changes nothing.  Nothing is kept that no window holds, but for
    panes of the last `kept_ms` of a resolution.
    """

    __slots__ = ("_horizons_ms", "_kept_ms", "_latest", "_panes", "_sums", "sums")

    def __init__(
        self, windows: tuple[Window, ...], now_ms: int, kept_ms: Mapping[Resolution, int] = NOTHING_KEPT
    ) -> None:
        resolutions = {*(window.resolution for window in windows), *kept_ms}
        self._kept_ms = kept_ms
        self._panes: dict[Resolution, dict[int, Tally]] = {resolution: {} for resolution in resolutions}
        self._latest: dict[Resolution, dict[int, _Latest]] = {resolution: {} for resolution in resolutions}
        self.sums = [RunningSum(window, self._panes[window.resolution], now_ms) for window in windows]
        self._sums: dict[Resolution, list[RunningSum]] = {resolution: [] for resolution in self._panes}
        for running in self.sums:
            self._sums[running.window.resolution].append(running)
        self._horizons_ms = {resolution: self._horizon_ms(resolution, now_ms) for resolution in resolutions}

    def panes(self, resolution: Resolution) -> Mapping[int, Tally]:
        """Tally of each pane of this resolution that is kept, by its start in ms."""
        return self._panes.get(resolution, {})

    @property
    def is_empty(self) -> bool:
        """True when no pane is kept, so that nothing is lost by forgetting the segment."""
        return not any(self._panes.values())

    def put(self, resolution: Resolution, start_ms: int, partition: int, version: int, tally: Tally) -> bool:
        """Take one partition's tally of a pane; True when a window or a pane that is kept for itself changed."""
        horizon_ms = self._horizons_ms.get(resolution)
        if horizon_ms is None or start_ms < horizon_ms:
            return False
        latest = self._latest[resolution].setdefault(start_ms, {})
        known_version, before = latest.get(partition, _UNKNOWN)
        if version <= known_version:
            return False
        latest[partition] = (version, tally)
        delta = tally.minus(before)
        panes = self._panes[resolution]
        panes[start_ms] = panes.get(start_ms, EMPTY).plus(delta)
        changed = [running.add(start_ms, delta) for running in self._sums[resolution]]
        return any(changed) or resolution in self._kept_ms

    def advance(self, now_ms: int) -> bool:
        """Move every window to the instant and forget panes that left them all; True when any window moved."""
        has_moved = False
        for resolution, sums in self._sums.items():
            moved = [running.advance(now_ms) for running in sums]
            if any(moved) or not sums:
                has_moved = has_moved or bool(sums)
                self._horizons_ms[resolution] = max(self._horizons_ms[resolution], self._horizon_ms(resolution, now_ms))
                self._forget(resolution)
        return has_moved

    def _forget(self, resolution: Resolution) -> None:
        horizon_ms, panes, latest = self._horizons_ms[resolution], self._panes[resolution], self._latest[resolution]
        for start_ms in [start_ms for start_ms in panes if start_ms < horizon_ms]:
            del panes[start_ms], latest[start_ms]

    def _horizon_ms(self, resolution: Resolution, now_ms: int) -> int:
        """Start of the oldest pane that is kept, by one of the windows or for itself."""
        starts_ms = [running.start_ms for running in self._sums[resolution]]
        if (kept_ms := self._kept_ms.get(resolution)) is not None:
            starts_ms.append(floor_ms(now_ms - kept_ms, LENGTH_MS[resolution]))
        return min(starts_ms)
