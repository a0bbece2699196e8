"""Laws of the offset tracker: a commit never passes an unfinished batch, and always reaches the end."""

from hypothesis import given
from hypothesis import strategies as st

from streams.engine.offsets import Tracker

Step = tuple[str, int]


@st.composite
def schedules(draw: st.DrawFn) -> list[Step]:
    """Blocks handed over in order, with gaps between their offsets, and finished in any order."""
    lasts = draw(st.lists(st.integers(0, 2_000), unique=True, max_size=25).map(sorted))
    steps: list[Step] = []
    waiting: list[int] = []
    in_hand: list[int] = []
    waiting.extend(lasts)
    while waiting or in_hand:
        if waiting and (not in_hand or draw(st.booleans())):
            steps.append(("hand", waiting[0]))
            in_hand.append(waiting.pop(0))
        else:
            steps.append(("finish", in_hand.pop(draw(st.integers(0, len(in_hand) - 1)))))
    return steps


def oracle(steps: list[Step]) -> int | None:
    """Recount from the whole history: one past the last batch of which all batches up to it are finished."""
    finished = {last for step, last in steps if step == "finish"}
    safe = None
    for step, last in steps:
        if step == "hand":
            if last not in finished:
                break
            safe = last + 1
    return safe


@given(schedules())
def test_commits_up_to_the_first_unfinished_block(steps: list[Step]) -> None:
    """After every step, what may be committed is what a recount of the history allows."""
    tracker = Tracker()
    for at, (step, last) in enumerate(steps, start=1):
        tracker.hand(last) if step == "hand" else tracker.finish(last)
        assert tracker.committable == oracle(steps[:at])


@given(schedules())
def test_reaches_the_end(steps: list[Step]) -> None:
    """When every batch is finished, in whatever order, everything may be committed and nothing is kept."""
    tracker = Tracker()
    for step, last in steps:
        tracker.hand(last) if step == "hand" else tracker.finish(last)
    handed = [last for step, last in steps if step == "hand"]
    assert tracker.committable == (handed[-1] + 1 if handed else None)
    assert not any(tracker.holds(last) for last in handed)
