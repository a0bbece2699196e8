"""Real orders and reviews come out of ClickHouse as they are in the files, however often and in whatever
order they are sent.  The files are not part of the project: without them these tests are skipped and say so.
"""

from pathlib import Path

import pytest

from tests.e2e.olist import COPIES, MISSING, thrice_shuffled
from tests.e2e.olist_events import events, folder
from tests.e2e.olist_recount import Expected, recount, rules
from tests.e2e.olist_run import PROGRAM, Outcome, running

DATA = folder()
pytestmark = pytest.mark.skipif(DATA is None, reason=f"NOT TESTED ON REAL DATA: {MISSING}")


@pytest.fixture(scope="module")
def data() -> Path:
    """The folder with the files."""
    assert DATA is not None
    return DATA


@pytest.fixture(scope="module")
def expected(data: Path) -> Expected:
    """What the files come to."""
    return recount(data, rules(PROGRAM))


def test_every_order_and_review_is_accounted_for(expected: Expected) -> None:
    """Each of 5,542 orders was delivered or not; each of 5,598 reviews has one fate, and most count."""
    assert (expected.orders.total(), len(expected.fates)) == (5_542, 5_598)
    assert len(expected.answers) == len(expected.delivered) == expected.orders["delivered"]
    assert sum(len(expected.reviews(fate)) for fate in ("counted", "expired")) == len(expected.delivered)


def test_every_number_equals_the_files_and_again_when_all_is_sent_again(
    data: Path, expected: Expected, tmp_path: Path
) -> None:
    """Counts, bands and NPS of every segment equal the recount to the last answer; a second load changes nothing."""
    history = events(data)
    with running(tmp_path, expected, print) as run:
        once = run.load("once", history, 1)
        assert _differences(once) == []
        again = run.load("the same again", history, 1)
    assert _differences(again) == []
    assert once.tallies == again.tallies


def test_duplicates_in_any_order_change_nothing(data: Path, expected: Expected, tmp_path: Path) -> None:
    """Each event three times, shuffled: answers before their surveys, corrections before what they correct."""
    with running(tmp_path, expected, print) as run:
        outcome = run.load("thrice, shuffled", thrice_shuffled(events(data)), COPIES)
    assert _differences(outcome) == []


def _differences(outcome: Outcome) -> list[tuple[str, str, str, str]]:
    return [figure.cells() for figure in outcome.figures if not figure.agrees]
