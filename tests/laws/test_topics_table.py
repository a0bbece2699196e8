"""Law of the topic table: a key names its pane."""

from hypothesis import given
from hypothesis import strategies as st

from schemas.events import PaneTally
from schemas.topics import pane_key


@given(st.lists(st.tuples(st.sampled_from(["all", "a=b|c"]), st.sampled_from(["minute", "day"]), st.integers(-9, 9),
                          st.integers(0, 3)), max_size=12))  # fmt: skip
def test_a_panes_key_names_it(named: list[tuple[str, str, int, int]]) -> None:
    """Different panes never share a key, or compaction would lose one."""
    keys = [pane_key(PaneTally(*name, 1, 2, 3, "program", 4)) for name in named]
    assert len(set(keys)) == len(set(named))
