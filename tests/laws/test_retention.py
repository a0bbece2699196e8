"""Law of what lives: panes that may still change are there after any crash, the others are gone, and no count is lost.

Answers of four months are read with a program whose panes live for weeks; some are loaded long after the rest, as
history is, and count in panes that are gone.  The process dies before any single durable write.
"""

import random
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.events import PaneTally
from schemas.topics import PANES
from streams.domain.effects import Confirm, Count
from streams.domain.journey import next_timer_ms
from streams.domain.nps import Tally
from streams.domain.panes import DAY_MS, LENGTH_MS, MINUTE_MS, Pane, Resolution, floor_ms, panes
from streams.domain.policy import Limits, Program
from streams.domain.windows import SegmentWindows, Window
from streams.program import parse
from streams.state.tables import PaneTable, PaneValue
from tests.support.clicks import click, trap
from tests.support.crashes import CODEC, Process, check_answers, expected, scattered, totals
from tests.support.histories import OPEN, START_MS, Moment, Run, purchase, response, wakeup
from tests.support.laws import examples, seeds
from tests.support.programs import program

PROGRAM = parse(program({"expires": "300d"}, windows=["1h", "24h", "30d"], remember="320d"), "test.toml")
SEEDS = 1_000
PARTS = 6


@pytest.fixture
def _short_supplements(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.domain.panes.SUPPLEMENT_SHIFT", 3)


def held(table: PaneTable, process: Process) -> dict[Pane, PaneValue]:
    """All of a table, by asking for every pane that was ever written."""
    written = [record.value for _, record in process.log.read([(PANES.name, 0)]) if record.value is not None]
    rows = [CODEC.decode(PaneTally, value) for value in written]
    panes = {Pane(row.segment, Resolution(row.resolution), row.start_ms, row.supplement) for row in rows}
    values = {pane: table.get(pane) for pane in panes}
    return {pane: value for pane, value in values.items() if value.applied_version >= 0}


@pytest.mark.usefixtures("_short_supplements")
@pytest.mark.parametrize("part", range(PARTS))
def test_no_count_is_lost_and_what_is_gone_stays_gone(part: int) -> None:
    """Whatever single write a crash falls before: sums equal a recount, and what lives is what may still change."""
    crashes, gone, supplements, tried = 0, 0, 0, seeds(SEEDS, part, PARTS)
    for seed in tried:
        r = random.Random(seed)
        inputs = scattered(r)
        want = expected(inputs)
        process = Process(r, inputs, program=PROGRAM)
        process.run()
        assert totals(process) == want, f"seed {seed}: panes differ"
        check_answers(seed, process, want)
        check_what_lives(process)
        records = [record for _, record in process.log.read([(PANES.name, 0)])]
        crashes += process.crashes
        gone += sum(record.value is None for record in records)
        supplements += sum(b"+" in (record.key or b"") for record in records)
    assert min(crashes, gone, supplements) > len(tried), "it must happen"


def check_what_lives(process: Process) -> None:
    """Of the panes not gone all counts are there, and no other pane, once the turns to remove them have come."""
    one = process.restored()
    time_ms = max(one.progress.times_ms)
    living = {resolution: time_ms - life_ms for resolution, life_ms in PROGRAM.pane_life_ms.items()}
    state = held(one.panes, process)
    newest: dict[Pane, PaneTally] = {}
    for _, record in process.log.read([(PANES.name, 0)]):
        if record.value is not None:
            row = CODEC.decode(PaneTally, record.value)
            newest[Pane(row.segment, Resolution(row.resolution), row.start_ms, row.supplement)] = row
    for pane, row in newest.items():
        if not pane.supplement and pane.start_ms >= living[pane.resolution]:
            assert state[pane] == PaneValue(row.version, Tally(row.promoters, row.passives, row.detractors)), (
                "it may change"
            )
    leaving = set(one.expired_panes())
    assert {pane for pane in state if not pane.supplement and pane.start_ms < living[pane.resolution]} <= leaving


def small(edit_minutes: int, hold_minutes: int) -> Program:
    """Ten minutes late, windows of a minute."""
    limits = Limits(
        10 * MINUTE_MS, 5 * MINUTE_MS, edit_minutes * MINUTE_MS, hold_minutes * MINUTE_MS, remember_ms=120 * DAY_MS
    )
    return replace(OPEN, limits=limits, windows=(Window("1m", MINUTE_MS),))


SAID = st.tuples(
    st.sampled_from(["score", "score", "click", "trap", "void"]),
    st.integers(-4, 60).map(lambda n: n * MINUTE_MS // 2 + 39_000),
    st.sampled_from([0, 1_000, 31_000, 5 * MINUTE_MS, 10 * MINUTE_MS]),
    st.sampled_from([0, 7, 9]),
)
EDITED, MINUTE_END = 20 * MINUTE_MS, 39_999
TRAPPED = MINUTE_END + EDITED + 29_000


@settings(max_examples=examples(1_000))
@example(
    [("score", MINUTE_END, 0, 9), ("click", MINUTE_END + EDITED, 0, 0), ("trap", TRAPPED, 600_000, 0)],
    0,
    small(20, 5),
)
@example([("score", MINUTE_END, 10 * MINUTE_MS, 9)], 41, small(1, 30))
@given(st.lists(SAID, max_size=12), st.integers(0, 42), st.sampled_from([small(20, 5), small(1, 30)]))
def test_nothing_changes_a_pane_after_its_life(
    said: list[tuple[str, int, int, int]], bought_minutes: int, policy: Program
) -> None:
    """By scores, corrections, withdrawals, clicks and traps, held for their survey or late, as long as wakeups come."""
    bought_ms = START_MS + bought_minutes * MINUTE_MS
    moments: list[Moment] = [(bought_ms, purchase("p", "order.delivered", bought_ms))]
    for number, (kind, after_ms, late_ms, score) in enumerate(said):
        at_ms = START_MS + after_ms
        event = {
            "score": response(f"r{number}", at_ms, score), "void": response(f"r{number}", at_ms, voided=True),
            "click": click(at_ms, score), "trap": trap(at_ms),
        }[kind]  # fmt: skip
        moments.append((at_ms + late_ms, event))
    journey, seen = Run(policy), 0
    for moment in sorted(moments, key=lambda moment: moment[0]):
        while (due_ms := next_timer_ms(journey.journey, policy) or moment[0]) < moment[0]:
            woken_ms = max(due_ms, journey.journey.clock_ms + 1)
            seen = judge(journey, wakeup(woken_ms), woken_ms, seen)
        seen = judge(journey, moment, moment[0], seen)


def judge(journey: Run, moment: Moment, time_ms: int, seen: int) -> int:
    """Take the moment and what is put back, and see that all it counts is in panes that live; how much was seen."""
    journey.take(moment)
    effects = journey.effects[seen:]
    seen = len(journey.effects)
    for _, effect in effects:
        if isinstance(effect, Count):
            for pane in panes(("all",), effect.at_ms):
                spare_ms = journey.program.limits.early_ms + LENGTH_MS[pane.resolution]
                assert pane.start_ms >= time_ms - journey.program.pane_life_ms[pane.resolution] + spare_ms
        elif isinstance(effect, Confirm):
            seen = judge(journey, (effect.at_ms, effect.response), time_ms, seen)
    return seen


@given(st.lists(st.sampled_from([1, 60, 360, 1_440, 14 * 1_440, 90 * 1_440]), unique=True), st.integers(0, 30 * DAY_MS))
def test_a_pane_outlives_every_window_that_holds_it(lengths: list[int], edit_ms: int) -> None:
    """At the end of its life it has left them all, by clocks that differ by `early`."""
    windows = tuple(Window(f"{minutes}m", minutes * MINUTE_MS) for minutes in lengths)
    limits = Limits(0, 300_000, edit_ms, 0, 400 * DAY_MS)
    lives = replace(OPEN, windows=windows, limits=limits).pane_life_ms
    for window in windows:
        start_ms = floor_ms(START_MS, LENGTH_MS[window.resolution])
        gone_ms = start_ms + lives[window.resolution] - limits.early_ms
        assert SegmentWindows((window,), gone_ms).sums[0].start_ms > start_ms
