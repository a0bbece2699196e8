"""Clicks on score links: which of them no person made.

Three different scores of one survey clicked within `limits.confirm` are a scanner's, and so is a click less than that
away from a trap, which is a link that nobody sees.  Unless a person shows on the visit, so is a click as near to a
HEAD, one within seconds of another score, and one of a score whose page was left for another answer.  A person shows by
a look at the page, or by an answer given less than `limits.confirm` after the click, the last one before it.
"""

from collections.abc import Set as AbstractSet
from typing import NamedTuple

SCORES_OF_A_MACHINE = 3
SECONDS_MS = 6_000


class Click(NamedTuple):
    """A score link was opened."""

    time_ms: int
    score: int


class Signs(NamedTuple):
    """Signs of machines and persons: times of traps and HEADs, times and scores of looks at pages and of answers."""

    traps: AbstractSet[int]
    heads: AbstractSet[int]
    persons: AbstractSet[tuple[int, int | None]]


def machine_made(clicks: AbstractSet[Click], signs: Signs, within_ms: int) -> set[Click]:
    """The clicks of machines."""
    persons = set(clicks & signs.persons)  # a look has the time and score of its click
    answers = signs.persons - clicks
    for at_ms, _ in answers:
        persons.update(sorted(click for click in clicks if 0 <= at_ms - click.time_ms < within_ms)[-1:])
    found = {click for click in clicks if _is_near(click, signs.heads, within_ms)}
    near_ms = min(SECONDS_MS, within_ms)
    found |= {one for one in clicks for other in clicks
              if one.score != other.score and abs(one.time_ms - other.time_ms) < near_ms}  # fmt: skip
    found |= {again for again in clicks for first in clicks for at_ms, score in answers
              if first.score == again.score != score is not None and first.time_ms < at_ms < again.time_ms}  # fmt: skip
    found -= persons
    found |= {click for click in clicks if _is_near(click, signs.traps, within_ms)}
    for first in clicks:
        near = {click for click in clicks if 0 <= click.time_ms - first.time_ms < within_ms}
        if len({click.score for click in near}) >= SCORES_OF_A_MACHINE:
            found |= near
    return found


def _is_near(click: Click, times_ms: AbstractSet[int], within_ms: int) -> bool:
    return any(abs(click.time_ms - time_ms) < within_ms for time_ms in times_ms)
