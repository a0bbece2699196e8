"""Rolling NPS per segment and window, from nps.panes to nps.rolling.

State is a pure function of nps.panes and the clock: it is read back whole at each assignment and needs no table.  A
row's version is the offset of the last pane record in it, so a worker that computes it again writes the same row.
"""

from collections.abc import Callable

from schemas.codec import Codec
from schemas.events import PaneTally, SegmentNps
from schemas.topics import PANES, ROLLING
from streams.domain.nps import EMPTY, Tally, interval, score
from streams.domain.panes import MINUTE_MS, Resolution
from streams.domain.policy import Program
from streams.domain.windows import RunningSum, SegmentWindows
from streams.kafka.ports import Batch, KafkaRecord, Log, Output
from streams.processing.agent import Assignment


class _Segment:
    """A segment's windows, the version they include, and the end and tally last published of each window."""

    __slots__ = ("published", "version", "windows")

    def __init__(self, windows: SegmentWindows) -> None:
        self.windows = windows
        self.version = 0
        self.published: dict[str, tuple[int, Tally]] = {}


class RollingRows:
    """Windows of the segments of the assigned partitions of nps.panes, and the rows that changed.

    `now_ms` is the wall clock, by which windows age; `version` turns an offset of nps.panes into a version.
    """

    def __init__(
        self, program: Program, codec: Codec, now_ms: Callable[[], int], version: Callable[[int], int]
    ) -> None:
        self._program = program
        self._codec = codec
        self._now_ms = now_ms
        self._version = version
        self._partitions: dict[int, dict[str, _Segment]] = {}
        self._dirty: set[tuple[int, str]] = set()
        self._minute = -1

    def take(self, partition: int, offset: int, pane: PaneTally) -> None:
        """Take one record of nps.panes; an old or repeated one changes nothing, nor does a supplement.

        A supplement adds to a pane that is gone, and a pane goes after it has left every window.
        """
        if pane.supplement:
            return
        segments = self._partitions.setdefault(partition, {})
        segment = segments.get(pane.segment)
        if segment is None:
            segment = segments[pane.segment] = _Segment(SegmentWindows(self._program.windows, self._now_ms()))
        tally = Tally(pane.promoters, pane.passives, pane.detractors)
        resolution = Resolution(pane.resolution)
        segment.version = max(segment.version, self._version(offset))
        if segment.windows.put(resolution, pane.start_ms, pane.source_partition, pane.version, tally):
            self._dirty.add((partition, pane.segment))

    def changes(self) -> list[Output]:
        """The rows that changed since the last call, by answers or by the clock."""
        now_ms = self._now_ms()
        if now_ms // MINUTE_MS != self._minute:
            self._minute = now_ms // MINUTE_MS
            self._dirty |= {(partition, name) for partition, segments in self._partitions.items() for name in segments}
        dirty, self._dirty = self._dirty, set()
        rows = []
        for partition, name in dirty:
            segment = self._partitions[partition][name]
            segment.windows.advance(now_ms)
            rows += [self._row(partition, name, segment, running) for running in segment.windows.sums
                     if self._mark_published(segment, running)]  # fmt: skip
        return rows

    def _mark_published(self, segment: _Segment, running: RunningSum) -> bool:
        """Note the window as published where its row is due; True when it is.

        A row is due for a new tally, for a window that moved and is not empty, and for every window that this worker
        has not published yet: even an empty one, since its last row may be from before it emptied.
        """
        name = running.window.name
        last = segment.published.get(name)
        if last == (running.end_ms, running.tally) or (last is not None and last[1] == EMPTY == running.tally):
            return False
        segment.published[name] = (running.end_ms, running.tally)
        return True

    def _row(self, partition: int, name: str, segment: _Segment, running: RunningSum) -> Output:
        tally, confidence = running.tally, interval(running.tally)
        row = SegmentNps(
            segment=name,
            window=running.window.name,
            start_ms=running.start_ms,
            as_of_ms=running.end_ms,
            promoters=tally.promoters,
            passives=tally.passives,
            detractors=tally.detractors,
            n=tally.n,
            nps=score(tally),
            low=confidence.low if confidence else None,
            high=confidence.high if confidence else None,
            margin=confidence.margin if confidence else None,
            enough=tally.n >= self._program.minimum_n,
            published_ms=self._now_ms(),
            program=self._program.hash,
            version=segment.version,
        )
        return Output(ROLLING.name, self._codec.encode(row), f"{name}|{row.window}".encode(), partition)


class Rolling:
    """Agent of the segments' side: takes panes, writes rolling rows.

    `check_lease` raises when this process may no longer write; `make_rows` makes rows without any segment.
    """

    topics: tuple[str, ...] = (PANES.name,)

    def __init__(
        self, log: Log, codec: Codec, check_lease: Callable[[], None], make_rows: Callable[[], RollingRows]
    ) -> None:
        self.make_rows = make_rows
        self.rows = make_rows()
        self._log = log
        self._codec = codec
        self._check_lease = check_lease

    def restore(self, assignment: Assignment) -> "RollingRestore":
        """Begin to read panes back."""
        return RollingRestore(self, assignment)

    async def handle(self, batch: Batch) -> None:
        """Take the panes; the rows that they change are written at the next tick."""
        for record in batch.records:
            if record.value is not None:
                self.rows.take(batch.partition, record.offset, self._codec.decode(PaneTally, record.value))

    def tick(self) -> None:
        """Write the rows that changed, by answers or by the clock.  Raises LeaseLost, Undelivered.

        Rows wait for no flush: the log is called even without any, so that it says when earlier ones failed.
        """
        rows = self.rows.changes()
        if rows:
            self._check_lease()
        self._log.send_all(rows)

    def revoke(self) -> None:
        """Drop all segments."""
        self.rows = self.make_rows()


class RollingRestore:
    """Restore of the windows of an assignment from nps.panes."""

    def __init__(self, rolling: Rolling, assignment: Assignment) -> None:
        self._rolling = rolling
        self._partitions = assignment.partitions
        self._rows = rolling.make_rows()

    def take(self, topic: str, partition: int, record: KafkaRecord, pane: PaneTally | None) -> None:
        """Take a pane of one of the assigned partitions; one that goes has left every window."""
        if pane is not None and record.value is not None and partition in self._partitions:
            self._rows.take(partition, record.offset, pane)

    def complete(self) -> None:
        """Do nothing: every pane was taken as it came."""

    async def put_in_place(self) -> None:
        """Replace the agent's windows by these."""
        self._rolling.rows = self._rows
