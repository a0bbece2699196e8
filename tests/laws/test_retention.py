"""Law of what lives: panes that may still change are there after any crash, the others are gone, and no count is lost.

Answers of four months are read with a program whose panes live for weeks; some are loaded long after the rest, as
history is, and count in panes that are gone.  The process dies before any single durable write.
"""

import random

import pytest

from schemas.events import PaneTally
from schemas.topics import PANES
from streams.domain.nps import Tally
from streams.domain.panes import Pane, Resolution
from streams.program import parse
from streams.state.tables import PaneTable, PaneValue
from tests.support.crashes import CODEC, Process, check_answers, expected, scattered, totals
from tests.support.laws import seeds
from tests.support.programs import program

PROGRAM = parse(program({"expires": "300d"}, windows=["1h", "24h", "30d"], remember="320d"), "test.toml")
SEEDS = 300
PARTS = 6


@pytest.fixture(autouse=True)
def _short_supplements(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.domain.panes.SUPPLEMENT_SHIFT", 3)


def held(table: PaneTable, process: Process) -> dict[Pane, PaneValue]:
    """All of a table, by asking for every pane that was ever written."""
    written = [record.value for _, record in process.log.read([(PANES.name, 0)]) if record.value is not None]
    rows = [CODEC.decode(PaneTally, value) for value in written]
    panes = {Pane(row.segment, Resolution(row.resolution), row.start_ms, row.supplement) for row in rows}
    values = {pane: table.get(pane) for pane in panes}
    return {pane: value for pane, value in values.items() if value.applied_version >= 0}


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
