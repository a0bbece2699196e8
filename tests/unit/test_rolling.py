"""Rows of nps.rolling: what changed, once, with the counts of the panes; an emptied window says so once."""

from collections import Counter

import pytest

from schemas.events import Fall
from schemas.oncall import WindowFalls, decode
from schemas.topics import FALLS, ROLLING
from streams import metrics
from streams.domain.nps import Tally
from streams.domain.panes import DAY_MS, HOUR_MS, MINUTE_MS, Resolution
from streams.kafka.memory import MemoryLog
from streams.processing.rolling import Rolling
from tests.support.falls import policy
from tests.support.memory_feed import MemoryFeed
from tests.support.rolling import CODEC, LENGTHS, PROGRAM, START_MS, World, decoded


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


SEGMENTS, ROWS = 20, 30


@pytest.fixture
def _small_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.processing.rolling.SEGMENTS_AT_ONCE", SEGMENTS)
    monkeypatch.setattr("streams.processing.rolling.ROWS_AT_ONCE", ROWS)


def many(world: World, count: int) -> list[str]:
    """So many segments with an answer each."""
    names = [f"country=C{number:05}" for number in range(count)]
    for name in names:
        world.add(Tally(1, 0, 0), START_MS, name)
    return names


@pytest.mark.usefixtures("_small_calls")
def test_no_call_does_more_than_its_share() -> None:
    """However many segments there are; in the end every window of each has its row, once, and each minute another."""
    world = World()
    names = many(world, 3 * SEGMENTS)
    for windows in (len(LENGTHS), 1):
        rows, calls = Counter[tuple[str, str]](), 0
        while True:
            found = decoded(world.rolling.changes())
            assert len(found) < ROWS + len(LENGTHS)
            assert len({row.segment for row in found}) <= SEGMENTS
            rows.update((row.segment, row.window) for row in found)
            calls += 1
            if not world.rolling.is_behind:
                break
        assert rows == Counter({(name, window): 1 for name in names for window in list(LENGTHS)[:windows]})
        assert calls <= 2 + len(names) * windows / ROWS + 2 * len(names) / SEGMENTS
        world.now_ms += MINUTE_MS


@pytest.mark.usefixtures("_small_calls")
def test_answers_go_first_and_nobody_starves() -> None:
    """A segment that answers changed has its row at the next call; the others get theirs however many keep changing."""
    world = World()
    names = many(world, 2 * SEGMENTS)
    world.publish()
    world.now_ms += MINUTE_MS
    busy, quiet = names[:SEGMENTS], set(names[SEGMENTS:])
    for turn in range(2, 200):
        for name in busy:
            world.add(Tally(turn, 0, 0), START_MS, name)
        rows = decoded(world.rolling.changes())
        if turn == 2:
            assert {row.segment for row in rows[: len(LENGTHS)]} == {busy[0]}
        quiet -= {row.segment for row in rows}
        if not quiet:
            return
    raise AssertionError(f"{len(quiet)} never had a row")


def test_more_segments_than_may_have_rows(caplog: pytest.LogCaptureFixture) -> None:
    """`all` and those with most answers have rows, whoever reads the panes; the others are counted and said once."""
    world = World(at_most=3)
    for name, answers in {"a": 1, "all": 2, "c": 9, "d": 5, "b": 1}.items():
        world.add(Tally(answers, 0, 0), START_MS, name)
    for _ in range(2):
        world.rolling = world.restarted()
        assert {row.segment for row in world.publish()} == {"all", "c", "d"}
    assert (metrics.SEGMENTS._value.get(), metrics.SEGMENTS_UNPUBLISHED._value.get()) == (5, 2)
    world.now_ms += MINUTE_MS
    world.publish()
    assert caplog.messages == ["segments=5 without_rolling_nps=2 segments.at_most=3"] * 2, "once a start"


def test_who_has_rows_keeps_them() -> None:
    """A newcomer with more answers waits until a segment's windows are empty; then who has most answers is next."""
    world = World(at_most=2)
    world.add(Tally(1, 0, 0), START_MS, "all")
    world.add(Tally(1, 0, 0), START_MS, "old")
    world.publish()
    world.now_ms += 50 * DAY_MS
    for name, answers in (("x", 5), ("y", 7), ("all", 9)):
        world.add(Tally(answers, 0, 0), world.now_ms, name)
    assert {row.segment for row in world.publish()} == {"all", "old"}
    world.now_ms += 41 * DAY_MS
    world.publish()
    assert world.rows["old", "90d"].n == 0
    world.now_ms += MINUTE_MS
    world.publish()
    assert ("y", "90d") in world.rows
    assert ("x", "90d") not in world.rows


def test_a_segment_whose_windows_are_empty_is_forgotten() -> None:
    """After its emptiness was published; old panes read again later do not bring it back, a new answer does."""
    world = World()
    world.add(Tally(0, 1, 0), START_MS, "a")
    world.publish()
    world.now_ms += 92 * DAY_MS
    assert {row.n for row in world.publish()} == {0}
    assert metrics.SEGMENTS._value.get() == 0
    for offset, pane in world.log:
        world.rolling.take(0, offset, pane)
    assert world.publish() == []
    assert metrics.SEGMENTS._value.get() == 0
    world.add(Tally(1, 0, 0), world.now_ms, "a")
    assert {row.n for row in world.publish()} == {1}


def test_a_supplement_changes_no_window() -> None:
    """It adds to a pane that is gone, which every window had left before."""
    world = World()
    world.add(Tally(1, 0, 0), START_MS)
    world.publish()
    offset, pane = world.log[0]
    world.rolling.take(0, offset + 9, pane._replace(promoters=7, supplement=3, version=99))
    assert world.publish() == []


def steady(world: World, days: int, a_day: int = 24) -> None:
    """So many days of answers up to now, half promoters, some an hour."""
    for hour in range(days * 24):
        world.add(Tally(a_day // 48 + hour % 2, 0, a_day // 48), world.now_ms - (hour + 1) * HOUR_MS)
    world.publish()


def test_evidence_is_told_once_a_close() -> None:
    """At the start, then at each full hour; not between, whatever answers come."""
    world = World(falls=policy())
    steady(world, 45, 96)
    (first,) = world.judge()
    assert (first.segment, first.end_ms, first.version) == ("all", START_MS, len(world.log) - 1)
    windows = decode(WindowFalls, first.windows).windows
    assert [each.window for each in windows] == ["6h", "1d", "3d", "7d", "14d"]
    assert [each.after.promoters + each.after.detractors for each in windows] == [27, 108, 324, 756, 1512]
    assert [each.z is None for each in windows] == [True, False, False, False, False]
    world.add(Tally(0, 0, 9), world.now_ms)
    world.now_ms += HOUR_MS - 1
    assert world.judge() == []
    world.now_ms += 1
    (second,) = world.judge()
    assert (second.end_ms, second.version) == (START_MS + HOUR_MS, len(world.log) - 1)


def test_without_the_table_nothing_is_judged() -> None:
    """And nothing is kept for it."""
    world = World()
    steady(world, 1)
    assert world.judge() == []


def test_evidence_that_is_gone_is_told_once() -> None:
    """By a worker that runs, and by one that finds only panes that no window holds; then the segment is forgotten."""
    for restarts in (False, True):
        world = World(falls=policy("6h", "1d"))
        steady(world, 2)
        world.judge()
        world.now_ms += 92 * DAY_MS
        if restarts:
            world.rolling = world.restarted()
        world.publish()
        (last,) = world.judge()
        assert all(each.z is None and not each.before.promoters for each in decode(WindowFalls, last.windows).windows)
        for _ in range(3):
            world.now_ms += HOUR_MS
            world.publish()
            assert world.judge() == []
        assert metrics.SEGMENTS._value.get() == 0


def test_no_call_judges_more_than_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many segments there are; each once, in the end."""
    monkeypatch.setattr("streams.processing.rolling.JUDGED_AT_ONCE", 7)
    world = World(falls=policy("6h", "1d"))
    names = many(world, 20)
    world.publish()
    world.now_ms += HOUR_MS
    found = [len(world.rolling.judgements()) for _ in range(4)]
    assert found == [7, 7, 6, 0]
    assert len(names) == 20


def test_a_tick_writes_rows_and_evidence() -> None:
    """Both onto the log: the rows of every window, then one record of the segment's falls under its name."""
    world, log = World(falls=policy()), MemoryLog()
    world.add(Tally(1, 0, 0), world.now_ms - 2 * HOUR_MS)
    agent = Rolling(log, CODEC, MemoryFeed(log), lambda: None, lambda partitions: world.rolling)
    agent.tick()
    agent.tick()
    assert {topic: len(records) for (topic, _), records in log.partitions.items()} == {
        ROLLING.name: len(LENGTHS), FALLS.name: 1
    }  # fmt: skip
    (record,) = log.partitions[FALLS.name, 0]
    assert (record.key, CODEC.decode(Fall, record.value).end_ms) == (b"all", START_MS)
