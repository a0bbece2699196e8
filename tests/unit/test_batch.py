"""When a batch is due, and how long to wait between tries."""

import pytest

from sinks.batch import EMPTY, Backoff, BatchPolicy, Fill

POLICY = BatchPolicy(max_rows=3, max_bytes=100, max_age_ms=1_000)


@pytest.mark.parametrize("bad", [{"max_rows": 0}, {"max_bytes": -1}, {"max_age_ms": 0}])
def test_a_policy_is_checked_when_made(bad: dict[str, int]) -> None:
    """A bound below 1 is refused and named."""
    with pytest.raises(ValueError, match=next(iter(bad))):
        BatchPolicy(**bad)


@pytest.mark.parametrize(
    ("fill", "now_ms", "due"),
    [
        (EMPTY, 10**9, False),
        (Fill(2, 99, 0), 999, False),
        (Fill(3, 0, 0), 0, True),
        (Fill(1, 100, 0), 0, True),
        (Fill(1, 0, 5), 1_004, False),
        (Fill(1, 0, 5), 1_005, True),
    ],
)
def test_the_first_bound_reached_makes_it_due(fill: Fill, now_ms: int, due: bool) -> None:
    """Rows, bytes or age, each at its bound exactly; an empty batch never."""
    assert fill.is_due(POLICY, now_ms) is due


@pytest.mark.parametrize(("first_ms", "cap_ms"), [(0, 10), (-1, 10), (11, 10)])
def test_a_backoff_is_checked_when_made(first_ms: int, cap_ms: int) -> None:
    """The first wait is positive and at most the cap."""
    with pytest.raises(ValueError, match="first_ms"):
        Backoff(first_ms, cap_ms)
