"""Rows of nps.rolling: what changed, once, with the counts of the panes; an emptied window says so once."""

from streams.domain.nps import Tally
from streams.domain.panes import HOUR_MS, MINUTE_MS, Resolution
from tests.support.rolling import LENGTHS, PROGRAM, START_MS, World, decoded


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
