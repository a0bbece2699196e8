"""What a commit says of the state topics, and what is made of it later."""

import pytest

from streams.engine.extents import Extent, StateExtents
from streams.errors import StateLost

JOURNEYS, PANES = ("nps.journeys", 3), ("nps.panes", 3)


def told(*extents: tuple[int, int]) -> str:
    """What a commit of partition 3 says once it has seen these extents of nps.journeys, in turn."""
    one = StateExtents("nps-worker")
    for extent in extents:
        one.compare({JOURNEYS: Extent(*extent), PANES: Extent(0, 7)})
    return one.commit_metadata(3)


def later(*statements: str) -> StateExtents:
    """A worker that takes over and reads these commits."""
    one = StateExtents("nps-worker")
    for commit_metadata in statements:
        one.remember_commit(3, commit_metadata)
    return one


@pytest.mark.parametrize("now", [(0, 100), (0, 101), (0, 10_000)])
def test_what_only_grew_is_whole(now: tuple[int, int]) -> None:
    """A topic that begins where it began and ends no earlier has lost nothing."""
    later(told((0, 100))).compare({JOURNEYS: Extent(*now)})


@pytest.mark.parametrize("now", [(0, 99), (0, 0), (1, 100), (100, 100), (100, 500)])
def test_what_begins_later_or_ends_earlier_has_lost_state(now: tuple[int, int]) -> None:
    """Emptied, cut at either end, or made anew: it is refused, and the line says where, what and what to do."""
    with pytest.raises(StateLost, match=r"nps\.journeys partition 3 held offsets 0 to 100 .* raise NPS_TOPIC_EPOCH"):
        later(told((0, 100))).compare({JOURNEYS: Extent(*now)})


def test_a_loss_under_a_running_worker_is_seen_too() -> None:
    """It does not become the new normal: the next look refuses it."""
    one = StateExtents("nps-worker")
    one.compare({JOURNEYS: Extent(0, 100)})
    with pytest.raises(StateLost):
        one.compare({JOURNEYS: Extent(100, 101)})
    assert one.commit_metadata(3) == later(told((0, 100))).commit_metadata(3).replace(',"nps.panes":[0,7]', "")


def test_the_widest_of_several_commits_holds() -> None:
    """Commits of different topics are of different age, in any order."""
    for statements in ((told((0, 50)), told((0, 100))), (told((0, 100)), told((0, 50)))):
        with pytest.raises(StateLost):
            later(*statements).compare({JOURNEYS: Extent(0, 99)})


@pytest.mark.parametrize(
    "commit_metadata", ["", "by hand", "[1]", '{"nps.journeys": 1}', '{"nps.journeys": [1]}', "null"]
)
def test_what_somebody_else_wrote_says_nothing(commit_metadata: str) -> None:
    """Offsets set by another tool carry no statement of ours: nothing is known, nothing refused."""
    later(commit_metadata).compare({JOURNEYS: Extent(5, 5)})


def test_a_statement_is_short() -> None:
    """Kafka takes 4,096 bytes of metadata; this needs about a hundred, for the largest of offsets."""
    assert len(told((1 << 62, 1 << 62))) < 150
