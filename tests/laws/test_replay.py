"""Crash and replay over the real code: killed before any single durable write, replayed in other batches."""

import random
from collections.abc import Callable

import pytest

from streams.kafka.ports import Log
from streams.processing.outputs import BatchOutputs
from streams.processing.partition import PartitionProcessor
from tests.support.crashes import Process, check_answers, expected, totals, world
from tests.support.laws import seeds

SEEDS = 1_000
PARTS = 6


class Backwards(PartitionProcessor):
    """The same work with journeys made durable before panes."""

    async def make_durable(self, outputs: BatchOutputs, log: Log, check_lease: Callable[[], None]) -> None:
        """Swap the two stages that replay relies on."""
        journeys = BatchOutputs(outputs.progress, outputs.last, journeys=outputs.journeys)
        await super().make_durable(journeys, log, check_lease)
        first = BatchOutputs(outputs.progress, outputs.last, records=outputs.records, panes=outputs.panes)
        await super().make_durable(first, log, check_lease)


def test_the_order_matters() -> None:
    """With journeys durable before panes the same crashes do lose counts: the test above can fail."""
    wrong = 0
    for seed in range(60):
        r = random.Random(seed)
        inputs = world(r)
        want = expected(inputs)
        process = Process(r, inputs, Backwards)
        process.run()
        wrong += totals(process) != want
    assert wrong > 10


@pytest.mark.parametrize("part", range(PARTS))
def test_killed_before_any_write_counts_once(part: int) -> None:
    """Whatever single write a crash falls before, pane totals and last answers equal a recount of the input."""
    crashes, tried = 0, seeds(SEEDS, part, PARTS)
    for seed in tried:
        r = random.Random(seed)
        inputs = world(r)
        want = expected(inputs)
        process = Process(r, inputs)
        process.run()
        crashes += process.crashes
        assert totals(process) == want, f"seed {seed}: panes differ"
        check_answers(seed, process, want)
    assert crashes > len(tried), "the crashes must happen"
