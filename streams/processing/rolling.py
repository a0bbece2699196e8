"""Rolling NPS per segment and window, and evidence of falls, from nps.panes to nps.rolling and nps.falls.

State is a pure function of nps.panes and the clock: it is read back whole at each assignment and needs no table.  A
row's version is the offset of the last pane record in it, so a worker that computes it again writes the same row.

Of the segments of each partition of nps.panes only so many have rows: an equal share of `segments.at_most`.  Who has a
row keeps it until its windows are empty; at a restore, and where a place is free for more than can have it, `all` comes
first, then who has most answers, then the name: any worker that reads the same panes chooses the same.

At each close of an hour, where the program judges falls, every segment that has rows gets its evidence on nps.falls.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from heapq import nsmallest

from schemas.codec import Codec
from schemas.events import PaneTally, SegmentNps
from schemas.topics import PANES, ROLLING
from streams import metrics
from streams.domain.nps import EMPTY, Tally, interval, score
from streams.domain.panes import HOUR_MS, MINUTE_MS, RESOLUTIONS, floor_ms
from streams.domain.policy import Program
from streams.domain.segments import ALL
from streams.domain.windows import NOTHING_KEPT, RunningSum, SegmentWindows
from streams.kafka.ports import Batch, KafkaRecord, Log, Output, TopicPartition
from streams.processing.agent import Assignment, Feed, pane_of
from streams.processing.falls import FallRows

SEGMENTS_AT_ONCE = 500
ROWS_AT_ONCE = 500
"""The most segments and, but for those of its last segment, rows that one call of `changes` works on, so that it never
holds the event loop longer than 50 ms.
"""

JUDGED_AT_ONCE = 50
"""The most segments that one call of `judgements` judges, each in 0.2 to 0.4 ms."""

_AGING_EVERY = 5
"""Of so many segments one comes in its turn by the clock, however many others answers have changed."""

_Name = tuple[int, str]
"""Partition of nps.panes and segment."""

logger = logging.getLogger("streams.rolling")


class _Segment:
    """A segment's windows, the version they include, and the end and tally last published of each window.

    `has_rows` is true when it is one of those that are published, `is_changed` while it waits for that; `close_ms` is
    the close of the hour at which it was last judged for falls, -1 for none, `has_evidence` is false when there was
    nothing to judge.
    """

    __slots__ = ("close_ms", "has_evidence", "has_rows", "is_changed", "published", "version", "windows")

    def __init__(self, windows: SegmentWindows) -> None:
        self.windows = windows
        self.version = 0
        self.published: dict[str, tuple[int, Tally]] = {}
        self.has_rows = False
        self.is_changed = False
        self.close_ms = -1
        self.has_evidence = True

    def rank(self, name: str) -> tuple[bool, int, str]:
        """Place in the order in which segments get rows, the first lowest."""
        return name != ALL, -max((running.tally.n for running in self.windows.sums), default=0), name


class RollingRows:
    """Windows of the segments of the assigned partitions of nps.panes, and the rows that changed.

    `now_ms` is the wall clock, by which windows age; `version` turns an offset of nps.panes into a version;
    `segment_partitions` is the partition count of nps.panes, over which `segments.at_most` is spread.
    """

    def __init__(
        self,
        program: Program,
        codec: Codec,
        now_ms: Callable[[], int],
        version: Callable[[int], int],
        segment_partitions: int = 1,
    ) -> None:
        self._program = program
        self._codec = codec
        self._now_ms = now_ms
        self._version = version
        self._places = max(1, program.segments_at_most // segment_partitions)
        self._partitions: dict[int, dict[str, _Segment]] = {}
        self._without_rows: dict[int, set[str]] = {}
        self._changed: deque[_Name] = deque()
        self._aging: deque[_Name] = deque()
        self._unjudged: deque[_Name] = deque()
        self._falls = FallRows(program, program.falls, codec) if program.falls else None
        self._kept_ms = program.falls.needed_ms if program.falls else NOTHING_KEPT
        self._close_ms = -1
        self._minute = -1
        self._has_warned = False

    def restore(self, partition: int, offset: int, pane: PaneTally) -> None:
        """Take one record of nps.panes as it is read back: any pane of a segment makes it known.

        All its windows may have emptied while nobody ran, and its rows must say so.
        """
        if pane.segment not in self._partitions.get(partition, ()):
            self._add(partition, pane.segment, self._blank())
        self.take(partition, offset, pane)

    def take(self, partition: int, offset: int, pane: PaneTally) -> None:
        """Take one record of nps.panes; an old or repeated one changes nothing, nor does a supplement.

        A supplement adds to a pane that is gone, and a pane goes after it has left every window.
        """
        segment = self._partitions.get(partition, {}).get(pane.segment) or self._blank()
        segment.version = max(segment.version, self._version(offset))
        tally = Tally(pane.promoters, pane.passives, pane.detractors)
        resolution, start_ms, source = RESOLUTIONS[pane.resolution], pane.start_ms, pane.source_partition
        if pane.supplement or not segment.windows.put(resolution, start_ms, source, pane.version, tally):
            return
        self._add(partition, pane.segment, segment)
        if not segment.is_changed:
            segment.is_changed = True
            self._changed.append((partition, pane.segment))

    def changes(self) -> list[Output]:
        """The next rows that changed, by answers or by the clock: at most so many that the event loop is not held.

        Segments that answers changed go first; the others have their turn once a minute, whatever changes.
        """
        now_ms, rows = self._now_ms(), list[Output]()
        if is_new_turn := not self._aging and now_ms // MINUTE_MS != self._minute:
            self._minute = now_ms // MINUTE_MS
            self._aging.extend((number, name) for number, segments in self._partitions.items() for name in segments)
        self.give_rows(is_new_turn)
        for partition, name, segment in self._next_segments():
            segment.windows.advance(now_ms)
            if segment.has_rows:
                rows += [self._row(partition, name, segment, running) for running in segment.windows.sums
                         if self._mark_published(segment, running)]  # fmt: skip
            if segment.windows.is_empty and not (self._falls and segment.has_rows and segment.has_evidence):
                self._forget(partition, name)
            if len(rows) >= ROWS_AT_ONCE:
                break
        self._report()
        return rows

    def judgements(self) -> list[Output]:
        """The next evidence of falls: of each segment once after every close of an hour, so many segments at a time.

        None where the program judges no falls.
        """
        close_ms = floor_ms(self._now_ms(), HOUR_MS)
        if self._falls is None or (close_ms <= self._close_ms and not self._unjudged):
            return []
        if not self._unjudged:
            self._close_ms = close_ms
            self._unjudged.extend((number, name) for number, segments in self._partitions.items() for name in segments)
        names = [self._unjudged.popleft() for _ in range(min(JUDGED_AT_ONCE, len(self._unjudged)))]
        found = [self._judge(self._falls, partition, name, close_ms) for partition, name in names]
        return [output for output in found if output is not None]

    def _judge(self, falls: FallRows, partition: int, name: str, close_ms: int) -> Output | None:
        """Evidence of a segment; None where it was judged, has no rows, or had no answers to judge and has none."""
        segment = self._partitions[partition].get(name)
        if segment is None or not segment.has_rows or segment.close_ms >= close_ms:
            return None
        had_evidence, evidence = segment.has_evidence, falls.judge(segment.windows, close_ms)
        segment.close_ms = close_ms
        segment.has_evidence = any(each.before.n or each.after.n for each in evidence)
        if not (had_evidence or segment.has_evidence):
            return None
        return falls.row(partition, name, close_ms, evidence, segment.version)

    def give_rows(self, is_new_turn: bool = True) -> None:
        """Let segments have rows while there are places; which of too many, is decided once a minute."""
        for number in self._without_rows:
            self._give_rows(number, is_new_turn)

    @property
    def is_behind(self) -> bool:
        """True while segments wait for the next call of `changes` or `judgements`."""
        return bool(self._changed or self._aging or self._unjudged)

    def _blank(self) -> _Segment:
        return _Segment(SegmentWindows(self._program.windows, self._now_ms(), self._kept_ms))

    def _add(self, partition: int, name: str, segment: _Segment) -> None:
        segments = self._partitions.setdefault(partition, {})
        if name not in segments:
            segments[name] = segment
            self._without_rows.setdefault(partition, set()).add(name)

    def _forget(self, partition: int, name: str) -> None:
        del self._partitions[partition][name]
        self._without_rows[partition].discard(name)

    def _give_rows(self, partition: int, is_new_turn: bool) -> None:
        segments, names = self._partitions[partition], self._without_rows[partition]
        free = self._places - (len(segments) - len(names))
        if not names or free <= 0 or (len(names) > free and not is_new_turn):
            return
        chosen = names if len(names) <= free else nsmallest(free, names, key=lambda name: segments[name].rank(name))
        for name in chosen:
            segments[name].has_rows = True
            if not segments[name].is_changed:
                self._aging.append((partition, name))
        self._without_rows[partition] = names.difference(chosen)

    def _next_segments(self) -> Iterator[tuple[int, str, _Segment]]:
        """The segments whose rows are looked at next, each taken off its queue."""
        for count in range(1, SEGMENTS_AT_ONCE + 1):
            ages = bool(self._aging) and (not self._changed or count % _AGING_EVERY == 0)
            queue = self._aging if ages else self._changed
            if not queue:
                return
            partition, name = queue.popleft()
            segment = self._partitions[partition].get(name)
            if segment is not None:
                segment.is_changed = segment.is_changed and ages
                yield partition, name, segment

    def _report(self) -> None:
        """Show how many segments there are, and how many of them have no rows; say once that there are such."""
        known, without_rows = sum(map(len, self._partitions.values())), sum(map(len, self._without_rows.values()))
        metrics.SEGMENTS.set(known)
        metrics.SEGMENTS_UNPUBLISHED.set(without_rows)
        if without_rows and not self._has_warned:
            self._has_warned = True
            at_most = self._program.segments_at_most
            logger.warning("segments=%d without_rolling_nps=%d segments.at_most=%d", known, without_rows, at_most)

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

    `check_lease` raises when this process may no longer write; `make_rows` makes rows without any
    segment, given the partition count of nps.panes.
    """

    topics: tuple[str, ...] = (PANES.name,)

    def __init__(
        self,
        log: Log,
        codec: Codec,
        feed: Feed,
        check_lease: Callable[[], None],
        make_rows: Callable[[int], RollingRows],
    ) -> None:
        self.make_rows = make_rows
        self.rows = make_rows(1)
        self._log = log
        self._codec = codec
        self._feed = feed
        self._check_lease = check_lease

    def restore(self, assignment: Assignment) -> "RollingRestore":
        """Begin to read panes back."""
        return RollingRestore(self, assignment)

    def wants(self, topic: str, partition: int) -> bool:
        """True: panes are taken as they come."""
        return True

    def receive(self, batch: Batch) -> None:
        """Take the panes; the rows that they change are written at the next tick."""
        for header in self._codec.unread(record.value for record in batch.records):
            self._codec.learn(header)
        for record in batch.records:
            pane = pane_of(self._codec, batch.partition, record)
            if pane is not None and record.value is not None:
                self.rows.take(batch.partition, record.offset, pane)
        self._feed.applied(batch.topic, batch.partition, batch.last_offset + 1)

    def resume(self) -> None:
        """Do nothing: panes wait for nothing."""

    async def finish(self) -> None:
        """Do nothing: every batch was taken as it came."""

    def tick(self) -> None:
        """Write the rows that changed, by answers or by the clock, and evidence.  Raises LeaseLost, Undelivered.

        Rows wait for no flush: the log is called even without any, so that it says when earlier ones failed.
        """
        rows = [*self.rows.changes(), *self.rows.judgements()]
        if rows:
            self._check_lease()
        self._log.send_all(rows)

    def revoke(self) -> None:
        """Drop all segments."""
        self.rows = self.make_rows(1)


class RollingRestore:
    """Restore of the windows of an assignment from nps.panes."""

    def __init__(self, rolling: Rolling, assignment: Assignment) -> None:
        self._rolling = rolling
        self._partitions = assignment.partitions
        self._rows = rolling.make_rows(assignment.segment_partitions)

    def take(self, topic: str, partition: int, record: KafkaRecord, pane: PaneTally | None) -> None:
        """Take a pane of one of the assigned partitions; one that goes has left every window."""
        if pane is not None and record.value is not None and partition in self._partitions:
            self._rows.restore(partition, record.offset, pane)

    def complete(self) -> None:
        """Decide which segments have rows."""
        self._rows.give_rows()

    async def put_in_place(self) -> Mapping[TopicPartition, int]:
        """Replace the agent's windows by these; what was committed is where to read on."""
        self._rolling.rows = self._rows
        return {}
