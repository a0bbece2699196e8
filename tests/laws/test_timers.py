"""Law of the timers: each key once, when it is due, oldest first."""

from hypothesis import given
from hypothesis import strategies as st

from streams.state.timers import Timers


@given(st.lists(st.tuples(st.binary(max_size=2), st.integers(-5_000, 20_000)), max_size=30),
       st.lists(st.tuples(st.integers(0, 8_000), st.integers(1, 9)), max_size=8))  # fmt: skip
def test_the_wheel_names_each_key_once_when_it_is_due(
    pushes: list[tuple[bytes, int]], turns: list[tuple[int, int]]
) -> None:
    """Never before its time, oldest first, each push once, and nothing is lost."""
    wheel, now_ms, taken = Timers(), -6_000, list[bytes]()
    for key, due_ms in pushes:
        wheel.push(key, due_ms)
    for ahead_ms, at_most in [*turns, (50_000, 100)]:
        now_ms += ahead_ms
        due = sorted(pushes, key=lambda push: -(-push[1] // 1000))[len(taken) :]
        got = wheel.due(now_ms, at_most)
        assert got == [key for key, _ in due[: len(got)]]
        assert all(due_ms <= now_ms for _, due_ms in due[: len(got)])
        assert len(got) >= min(at_most, sum(-(-due_ms // 1000) * 1000 <= now_ms for _, due_ms in due))
        taken += got
    assert len(taken) == len(pushes)
