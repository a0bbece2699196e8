"""The offset tracker: a commit never passes an unfinished block, and always reaches the end."""

import pytest

from streams.engine.offsets import Tracker


def test_nothing_may_be_committed_before_a_block_is_finished() -> None:
    """A block in hand is held and not committable."""
    tracker = Tracker()
    tracker.hand(9)
    assert tracker.holds(9)
    assert tracker.committable is None


@pytest.mark.parametrize("last", [5, 9])
def test_blocks_must_be_handed_over_in_order(last: int) -> None:
    """Going back or handing over the same block twice is refused."""
    tracker = Tracker()
    tracker.hand(9)
    with pytest.raises(ValueError, match="handed over after 9"):
        tracker.hand(last)


def test_only_a_block_in_hand_can_be_finished() -> None:
    """An unknown block, and one finished before, are refused."""
    tracker = Tracker()
    tracker.hand(9)
    tracker.hand(19)
    tracker.finish(19)
    for last in (19, 29):
        with pytest.raises(ValueError, match="not in hand"):
            tracker.finish(last)
