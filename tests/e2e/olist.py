"""The pipeline on 5,542 real orders and 5,598 real reviews, held against a recount of the CSV files.

    python tests/e2e/olist.py            once, the same again on the same stack, then thrice shuffled on a new one
    python tests/e2e/olist.py --quick    once

Exits with 1 when any figure differs and with 2 when it cannot run.  Events keep their own times, years back, so rolling
windows are empty and the numbers are those of all time.
"""

import argparse
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[2]))  # to be run as a script, from anywhere

from streams.errors import NotStarted
from tests.e2e.olist_events import Event, events, folder
from tests.e2e.olist_recount import Expected, recount, rules
from tests.e2e.olist_run import PROGRAM, Died, Outcome, Run, Say, running

MISSING = "Olist's files are not there: set OLIST_DIR to the folder with orders.csv, reviews.csv ..."
NOTE = "stars are mapped 5->10, 4->8, 3->6, 2->3, 1->0: a star is not a likelihood to recommend"
COPIES, SEED = 3, 5_598

MEANING = {
    "counted": "the last word on its order",
    "corrected": "a later one of the same order took its place",
    "expired": "kept and flagged: the first came after the survey had expired",
    "edit_closed": "dead letter: came after the time for corrections",
    "unknown_survey": "dead letter: never delivered, never asked",
}

out = Console(soft_wrap=True, width=max(110, Console().width))  # the tables' widest row


def main() -> int:
    """Run what was asked for and print what came of it; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="load the history once and compare, nothing else")
    quick = parser.parse_args().quick
    if (data := folder()) is None:
        print(MISSING, file=sys.stderr)
        return 2
    expected = recount(data, rules(PROGRAM))
    out.print(accounting(expected))
    try:
        outcomes = list(_loads(events(data), expected, quick))
    except (Died, NotStarted) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    out.print(largest(outcomes[-1], expected))
    figures = [figure for outcome in outcomes for figure in outcome.figures]
    agreed = sum(figure.agrees for figure in figures)
    out.print(f"{agreed} of {len(figures)} figures agree between ClickHouse and the files")
    return 0 if agreed == len(figures) else 1


@contextmanager
def fresh(expected: Expected, say: Say) -> Iterator[Run]:
    """A stack of its own, with a folder that goes with it."""
    with tempfile.TemporaryDirectory(prefix="nps-olist-") as name, running(Path(name), expected, say) as run:
        yield run


def thrice_shuffled(history: Sequence[Event]) -> list[Event]:
    """Every event three times, in an order that is random for each customer too."""
    copies = [*history] * COPIES
    random.Random(SEED).shuffle(copies)
    return copies


def accounting(expected: Expected) -> Table:
    """What became of every order and every review, by the files."""
    table = Table(title=f"{expected.orders.total()} orders and {len(expected.fates)} reviews", title_justify="left")
    for column in ("", "", "why"):
        table.add_column(column, no_wrap=True)
    for status, count in sorted(expected.orders.items()):
        asked = status == "delivered"
        table.add_row(f"orders {status}", str(count), "one decision: sent" if asked else "no event, no decision")
    fates = Counter(expected.fates.values())
    for fate, meaning in MEANING.items():
        table.add_row(f"reviews {fate}", str(fates[fate]), meaning)
    return table


def compared(outcome: Outcome) -> Table:
    """One load, figure by figure."""
    table = Table(title=outcome.name, title_justify="left")
    for column in ("figure", "files", "ClickHouse", ""):
        table.add_column(column, no_wrap=column == "figure")
    for figure in outcome.figures:
        table.add_row(*figure.cells())
    return table


def largest(outcome: Outcome, expected: Expected) -> Table:
    """`all` and the ten largest segments of state and category, as ClickHouse has them."""
    table = Table(title=f"all, and the ten largest of state x category\n{NOTE}", title_justify="left")
    for column in ("segment", "answers", "promoters", "passives", "detractors", "NPS", "files"):
        table.add_column(column, justify="left" if column == "segment" else "right", no_wrap=True)
    pairs = [segment for segment in outcome.tallies if segment.startswith("state=") and ",category=" in segment]
    pairs.sort(key=lambda segment: (-outcome.tallies[segment][0], segment))
    for segment in ("all", *pairs[:10]):
        tally = outcome.tallies.get(segment)
        ours = expected.tallies.get(segment)
        cells = map(str, tally or ())
        table.add_row(segment, *cells, str(ours[-1] if ours else None))
    return table


def _loads(history: Sequence[Event], expected: Expected, quick: bool) -> Iterator[Outcome]:
    with fresh(expected, out.print) as run:
        yield _shown(run.load("once", history, 1))
        if quick:
            return
        yield _shown(run.load("the same again", history, 1))
    with fresh(expected, out.print) as run:
        yield _shown(run.load("thrice, shuffled", thrice_shuffled(history), COPIES))


def _shown(outcome: Outcome) -> Outcome:
    out.print(compared(outcome))
    return outcome


if __name__ == "__main__":
    sys.exit(main())
