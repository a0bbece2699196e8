"""Rows of nps.rolling: what changed, once, with the counts of the panes; an emptied window says so once."""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codec import Codec
from schemas.events import PaneTally, SegmentNps
from schemas.topics import ROLLING
from streams.domain.nps import EMPTY, Tally, interval, score
from streams.domain.panes import DAY_MS, HOUR_MS, LENGTH_MS, MINUTE_MS, Resolution, panes
from streams.kafka.ports import Output
from streams.processing.rolling import Rolling
from streams.program import load

CODEC = Codec()
PROGRAM = load()
START_MS = 1_700_000_000_000 // DAY_MS * DAY_MS + 9 * HOUR_MS
LENGTHS = {window.name: window.length_ms for window in PROGRAM.windows}


class World:
    """The topic nps.panes, a clock that is moved by hand, and whoever reads nps.rolling."""

    def __init__(self) -> None:
        self.now_ms = START_MS
        self.log: list[tuple[int, PaneTally]] = []
        self.rolling = self.restarted()
        self.rows: dict[tuple[str, str], SegmentNps] = {}

    def restarted(self) -> Rolling:
        """A new worker that has read the topic from its beginning."""
        rolling = Rolling(PROGRAM, CODEC, lambda: self.now_ms, lambda offset: offset)
        for offset, pane in self.log:
            rolling.take(0, offset, pane)
        return rolling

    def add(self, tally: Tally, at_ms: int, segment: str = "all", source: int = 0) -> None:
        """One source partition states its tally of an instant's minute, hour and day."""
        for _, resolution, start_ms in panes((segment,), at_ms):
            offset = len(self.log)
            pane = PaneTally(segment, resolution, start_ms, source, *tally, PROGRAM.hash, offset)
            self.log.append((offset, pane))
            self.rolling.take(0, offset, pane)

    def publish(self) -> list[SegmentNps]:
        """The rows that changed, and what a reader of the topic then holds."""
        rows = decoded(self.rolling.changes())
        for row in rows:
            self.rows[row.segment, row.window] = row
        return rows

    def recount(self, segment: str, window: str) -> Tally:
        """From scratch: the last tally of each pane that overlaps the window."""
        resolution = next(each.resolution for each in PROGRAM.windows if each.name == window)
        length_ms = LENGTH_MS[resolution]
        end_ms = (self.now_ms // length_ms + 1) * length_ms
        last = {
            (pane.start_ms, pane.source_partition): pane
            for _, pane in self.log
            if (pane.segment, pane.resolution) == (segment, resolution)
        }
        total = EMPTY
        for (start_ms, _), pane in last.items():
            if end_ms - LENGTHS[window] <= start_ms < end_ms:
                total = total.plus(Tally(pane.promoters, pane.passives, pane.detractors))
        return total


def decoded(outputs: Sequence[Output]) -> list[SegmentNps]:
    """The rows, each on its topic, under its key, on its segment's partition."""
    rows = [CODEC.decode(SegmentNps, output.value) for output in outputs]
    for output, row in zip(outputs, rows, strict=True):
        assert (output.topic, output.key) == (ROLLING.name, f"{row.segment}|{row.window}".encode())
        assert output.partition == 0
    return rows


def check_row(row: SegmentNps) -> None:
    """Every field follows from the counts and the window."""
    tally = Tally(row.promoters, row.passives, row.detractors)
    between = interval(tally)
    assert (row.n, row.nps, row.enough) == (tally.n, score(tally), tally.n >= PROGRAM.minimum_n)
    assert (row.low, row.high, row.margin) == (between if between else (None, None, None))
    assert row.as_of_ms - row.start_ms == LENGTHS[row.window]
    assert row.start_ms <= row.published_ms < row.as_of_ms
    assert row.program == PROGRAM.hash


TALLIES = st.builds(Tally, *[st.integers(0, 40)] * 3)
ANSWERS = st.tuples(TALLIES, st.integers(0, 100 * DAY_MS), st.sampled_from(["all", "country=BR"]), st.integers(0, 1))
JUMPS = st.sampled_from([0, 1, MINUTE_MS, HOUR_MS, DAY_MS, 8 * DAY_MS, 100 * DAY_MS])


@settings(max_examples=60)
@given(st.lists(st.one_of(ANSWERS, JUMPS), max_size=15), st.booleans())
def test_readers_hold_what_a_recount_gives(actions: list[tuple[Tally, int, str, int] | int], restart: bool) -> None:
    """After any answers, jumps of the clock and restarts, the last row of each window equals a recount."""
    world = World()
    for action in actions:
        if isinstance(action, int):
            world.now_ms += action
        else:
            tally, back_ms, segment, source = action
            world.add(tally, world.now_ms - back_ms, segment, source)
        if restart:
            world.rolling = world.restarted()
        rows = world.publish()
        assert len({(row.segment, row.window) for row in rows}) == len(rows)
        for row in rows:
            check_row(row)
        for segment in {pane.segment for _, pane in world.log}:
            for window in LENGTHS:
                held = world.rows.get((segment, window))
                counts = Tally(held.promoters, held.passives, held.detractors) if held else EMPTY
                assert counts == world.recount(segment, window)
        assert world.publish() == [], "nothing when nothing changed"


def test_one_answer_is_one_row_for_each_window() -> None:
    """Published at once, in all five windows."""
    world = World()
    world.add(Tally(1, 0, 0), START_MS)
    rows = world.publish()
    assert [(row.window, row.n, row.nps, row.enough) for row in rows] == [(w, 1, 100.0, False) for w in LENGTHS]


def test_a_repeated_pane_publishes_nothing() -> None:
    """Redelivery of nps.panes changes no row."""
    world = World()
    world.add(Tally(1, 0, 0), START_MS)
    world.publish()
    for offset, pane in world.log:
        world.rolling.take(0, offset, pane)
    assert world.publish() == []


def test_a_window_empties_on_time_and_says_so_once() -> None:
    """With no traffic at all: one last row with n = 0 and NPS null, then silence.

    09:00 answered     09:59 still in        10:00 out: n = 0     10:01 nothing
    """
    world = World()
    world.add(Tally(0, 0, 1), START_MS)
    world.publish()
    world.now_ms = START_MS + HOUR_MS - 1
    assert world.rows["all", "1h"].n == 1
    assert [row.n for row in world.publish() if row.window == "1h"] == [1]
    world.now_ms = START_MS + HOUR_MS
    (last,) = [row for row in world.publish() if row.window == "1h"]
    assert (last.n, last.nps, last.low, last.high, last.margin, last.enough) == (0, None, None, None, None, False)
    for minutes in range(1, 5):
        world.now_ms = START_MS + HOUR_MS + minutes * MINUTE_MS
        assert [row for row in world.publish() if row.window == "1h"] == []


def test_a_window_that_emptied_while_nobody_ran_is_told_at_start() -> None:
    """Answered, published, then all workers down for two hours: the row of the last hour must not stay for ever."""
    world = World()
    world.add(Tally(0, 0, 1), START_MS)
    world.publish()
    world.now_ms += 2 * HOUR_MS
    world.rolling = world.restarted()
    world.publish()
    assert (world.rows["all", "1h"].n, world.rows["all", "1h"].nps) == (0, None)
    assert world.rows["all", "24h"].n == 1


def test_version_is_the_highest_offset_included() -> None:
    """Also where an older record comes after a younger one; whoever computes the row again writes the same."""
    world = World()
    world.add(Tally(1, 0, 0), START_MS)
    world.add(Tally(2, 0, 0), START_MS)
    assert {row.version for row in world.publish()} == {len(world.log) - 1}
    world.rolling.take(0, *world.log[0])
    world.now_ms += MINUTE_MS
    assert {row.version for row in world.publish()} == {len(world.log) - 1}
    again = [row for row in decoded(world.restarted().changes()) if row.window == "1h"]
    assert again == [world.rows["all", "1h"]]


def test_resolutions_of_the_windows() -> None:
    """The hour is made of minutes, the quarter of days: an answer of yesterday noon is in 24h only by its hour."""
    assert {window.name: window.resolution for window in PROGRAM.windows} == {
        "1h": Resolution.MINUTE, "24h": Resolution.HOUR, "7d": Resolution.HOUR,
        "30d": Resolution.DAY, "90d": Resolution.DAY,
    }  # fmt: skip
