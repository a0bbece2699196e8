"""Laws of nps.rolling and nps.falls: whoever reads them holds what a recount gives."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import Fall, SegmentNps
from schemas.oncall import Bands, WindowFalls, decode
from streams.domain.nps import EMPTY, Tally, interval, score
from streams.domain.panes import DAY_MS, HOUR_MS, MINUTE_MS
from tests.support.falls import policy
from tests.support.laws import examples
from tests.support.rolling import LENGTHS, PROGRAM, World


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


@settings(max_examples=examples(60))
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


SHORT = policy("6h", "1d", "3d")
NONE = Bands(promoters=0, passives=0, detractors=0)


@settings(max_examples=examples(40))
@given(st.lists(ANSWERS, min_size=1, max_size=30), st.integers(HOUR_MS, 3 * DAY_MS), st.randoms(use_true_random=False))
def test_the_same_panes_give_the_same_falls(
    answers: list[tuple[Tally, int, str, int]], later_ms: int, rng: random.Random
) -> None:
    """In whatever order panes come, some twice, taken by a worker that runs on or by one that reads them back."""
    world = World(falls=SHORT)
    for at, (tally, back_ms, segment, source) in enumerate(answers):
        world.add(tally, world.now_ms - back_ms % (40 * DAY_MS), segment, source)
        if at % 3 == 0:
            world.now_ms += rng.randrange(HOUR_MS)
            world.publish()
            world.judge()
    world.now_ms += later_ms
    world.publish()
    world.judge()
    shuffled = [*world.log, *rng.choices(world.log, k=len(world.log))]
    rng.shuffle(shuffled)
    other = World(falls=SHORT)
    other.log, other.now_ms = shuffled, world.now_ms
    other.rolling = other.restarted()
    other.judge()
    told = {name for name, fall in other.falls.items() if has_evidence(fall)}
    assert told == {name for name, fall in world.falls.items() if has_evidence(fall)}
    assert {name: other.falls[name] for name in told} == {name: world.falls[name] for name in told}
    assert world.judge() == other.judge() == [], "once a close"


def has_evidence(fall: Fall) -> bool:
    """Answers in some window, or before it."""
    return any(
        bands != NONE for each in decode(WindowFalls, fall.windows).windows for bands in (each.before, each.after)
    )
