"""Law of the collector's limits: a bucket never gives more than it holds and its refill."""

from hypothesis import given
from hypothesis import strategies as st

from streams.collector.limits import Buckets


@given(st.integers(1, 20), st.lists(st.floats(0, 60), min_size=1, max_size=80))
def test_never_more_than_the_bucket_and_its_refill(per_minute: int, moments: list[float]) -> None:
    """In any stretch of time at most a full bucket and what flowed in since; and the first one always passes."""
    buckets, granted = Buckets(per_minute), []
    for now_s in sorted(moments):
        if buckets.take("a", now_s):
            granted.append(now_s)
    assert granted[0] == min(moments)
    for place, start_s in enumerate(granted):
        for more, end_s in enumerate(granted[place:], 1):
            assert more <= per_minute + (end_s - start_s) * per_minute / 60 + 1e-6
