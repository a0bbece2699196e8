"""One right outcome: the pure step over records in order of time comes to what the oracle works out anew.

Every kind of event there is, whole histories and bit by bit, with workers that wake, oversleep or are never there.
"""

import random
from pathlib import Path

import pytest

from tests.faults.harness.pure_pipeline import PurePipeline
from tests.faults.oracle.invariants import differing, judge
from tests.faults.oracle.terms import PROGRAM, read_terms
from tests.faults.traffic.generator import Mix, generate
from tests.support.laws import seeds

SEEDS = 1_200
PARTS = 6
END_MS = 1_790_000_000_000
AWAKE = (0.0, 0.5, 1.0)


@pytest.fixture(scope="module")
def unquarantined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of the fault scenarios with nothing against asking again, and answers that close at once."""
    path = tmp_path_factory.mktemp("program") / "program.toml"
    text = PROGRAM.read_text()
    for before, after in (('any = "2d"', 'any = "0s"'), ('delivery = "4d"', 'delivery = "0s"'), ('"3d"', '"1h"')):
        assert text.count(before) == 1
        text = text.replace(before, after)
    path.write_text(text)
    return path


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("is_strict", [True, False], ids=["quarantined", "unquarantined"])
def test_the_step_in_order_of_time_is_the_one_outcome(part: int, is_strict: bool, unquarantined: Path) -> None:
    """Decisions, dispatches, answers, panes, alerts, erasures, dead letters, and what is put back on nps.responses."""
    program = PROGRAM if is_strict else unquarantined
    terms = read_terms(program)
    for seed in seeds(SEEDS // 2, part, PARTS):
        r = random.Random(seed)
        mix = Mix(visits=40, customers=r.choice((10, 40)), burst=r.choice((0, 0, 0, 60)))
        ran = PurePipeline(
            r, program, generate(seed, mix, END_MS, program), END_MS + 60_000, live=r.random() < 0.5,
            awake_ratio=r.choice(AWAKE),
        )  # fmt: skip
        assert not differing(judge(ran.run(), terms)), f"seed {seed}: {differing(judge(ran.run(), terms))}"
