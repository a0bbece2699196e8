"""The topic nps.panes, the rolling agent over it, and a reader of nps.rolling and nps.falls."""

from collections.abc import Sequence
from dataclasses import replace

from schemas.codec import Codec
from schemas.events import Fall, PaneTally, SegmentNps
from schemas.topics import FALLS, ROLLING
from streams.domain.nps import Tally
from streams.domain.panes import DAY_MS, HOUR_MS, panes
from streams.domain.policy import FallPolicy
from streams.kafka.ports import Output
from streams.processing.rolling import RollingRows
from streams.program import load
from tests.support import recount
from tests.support.recount import Counts

CODEC = Codec()
PROGRAM = load()
START_MS = 1_700_000_000_000 // DAY_MS * DAY_MS + 9 * HOUR_MS
LENGTHS = {window.name: window.length_ms for window in PROGRAM.windows}


class World:
    """The topic nps.panes, a clock that is moved by hand, and whoever reads nps.rolling and nps.falls."""

    def __init__(self, at_most: int = 10_000, falls: FallPolicy | None = None) -> None:
        self.program = replace(PROGRAM, segments_at_most=at_most, falls=falls)
        self.now_ms = START_MS
        self.log: list[tuple[int, PaneTally]] = []
        self.rolling = self.restarted()
        self.rows: dict[tuple[str, str], SegmentNps] = {}
        self.falls: dict[str, Fall] = {}

    def restarted(self) -> RollingRows:
        """A new worker that has read the topic from its beginning."""
        rolling = RollingRows(self.program, CODEC, lambda: self.now_ms, lambda offset: offset)
        for offset, pane in self.log:
            rolling.restore(0, offset, pane)
        rolling.give_rows()
        return rolling

    def add(self, tally: Tally, at_ms: int, segment: str = "all", source: int = 0) -> None:
        """One source partition states its tally of an instant's minute, hour and day."""
        for _, resolution, start_ms, _ in panes((segment,), at_ms):
            offset = len(self.log)
            pane = PaneTally(segment, resolution, start_ms, source, *tally, PROGRAM.hash, offset)
            self.log.append((offset, pane))
            self.rolling.take(0, offset, pane)

    def publish(self) -> list[SegmentNps]:
        """All rows that changed, and what a reader of the topic then holds."""
        rows = decoded(self.rolling.changes())
        while self.rolling.is_behind:
            rows += decoded(self.rolling.changes())
        for row in rows:
            self.rows[row.segment, row.window] = row
        return rows

    def judge(self) -> list[Fall]:
        """All evidence that is due, and what a reader of the topic then holds."""
        found = list[Fall]()
        while outputs := self.rolling.judgements():
            for output in outputs:
                fall = CODEC.decode(Fall, output.value)
                assert (output.topic, output.key, output.partition) == (FALLS.name, fall.segment.encode(), 0)
                found.append(fall)
                self.falls[fall.segment] = fall
        return found

    def recount(self, segment: str, window: str) -> Counts:
        """From scratch: the last tally of each pane that overlaps the window."""
        return recount.window((pane for _, pane in self.log), segment, LENGTHS[window], self.now_ms)


def decoded(outputs: Sequence[Output]) -> list[SegmentNps]:
    """The rows, each on its topic, under its key, on its segment's partition."""
    rows = [CODEC.decode(SegmentNps, output.value) for output in outputs]
    for output, row in zip(outputs, rows, strict=True):
        assert (output.topic, output.key) == (ROLLING.name, f"{row.segment}|{row.window}".encode())
        assert output.partition == 0
    return rows
