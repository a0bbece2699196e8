"""Law of the topic table: a key names its pane."""

from hypothesis import given
from hypothesis import strategies as st

from schemas.events import PaneTally
from schemas.topics import blank_pane, pane_key


@given(st.lists(st.tuples(st.sampled_from(["all", "a=b|c"]), st.sampled_from(["minute", "day"]), st.integers(-9, 9),
                          st.integers(0, 3), st.integers(0, 3)), max_size=12))  # fmt: skip
def test_a_panes_key_names_it(named: list[tuple[str, str, int, int, int]]) -> None:
    """Different panes never share a key, or compaction would lose one; a tombstone's key says which one goes."""
    keys = [pane_key(PaneTally(*name[:4], 1, 2, 3, "program", 4, name[4])) for name in named]
    assert len(set(keys)) == len(set(named))
    assert [blank_pane(key) for key in keys] == [PaneTally(*name[:4], 0, 0, 0, "", -1, name[4]) for name in named]


@given(
    st.one_of(st.binary(max_size=20), st.sampled_from([b"all|day|0|0", b"|day|1+0|2", b"a|week|0|0", b"a|day|01|0"]))
)
def test_other_keys_name_no_pane(key: bytes) -> None:
    """What we did not write is told apart, whatever its bytes; what is a key names just this pane."""
    pane = blank_pane(key)
    assert pane is None or pane_key(pane) == key
    assert (key == b"all|day|0|0") <= (pane is not None)
