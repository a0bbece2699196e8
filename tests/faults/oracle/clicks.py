"""Clicks on score links: which of them no person made.

Three different scores of one survey clicked within `limits.confirm` are a scanner's, and so is a click less than that
away from a trap, which is a link that nobody sees.
"""

from collections.abc import Set as AbstractSet
from typing import NamedTuple

SCORES_OF_A_MACHINE = 3


class Click(NamedTuple):
    """A score link was opened."""

    time_ms: int
    score: int


def machine_made(clicks: AbstractSet[Click], traps: AbstractSet[int], within_ms: int) -> set[Click]:
    """The clicks of machines."""
    found = {click for click in clicks if any(abs(click.time_ms - trap_ms) < within_ms for trap_ms in traps)}
    for first in clicks:
        near = {click for click in clicks if 0 <= click.time_ms - first.time_ms < within_ms}
        if len({click.score for click in near}) >= SCORES_OF_A_MACHINE:
            found |= near
    return found
