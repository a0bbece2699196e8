"""Laws of segment keys: one for each combination and `all`, and they can be taken apart again."""

from urllib.parse import unquote

from hypothesis import given
from hypothesis import strategies as st

from streams.domain.segments import LONGEST, MISSING, capture
from tests.support.histories import program

NAMES = st.lists(st.from_regex(r"[a-z][a-z_]{0,8}", fullmatch=True), unique=True, max_size=4)


@st.composite
def cuts(draw: st.DrawFn) -> tuple[list[str], list[list[str]], dict[str, str]]:
    """Dimensions, combinations of them, and an event's attributes, some of them missing, some not configured."""
    names = draw(NAMES)
    combination = st.lists(st.sampled_from(names), unique=True, min_size=1) if names else st.nothing()
    combinations = draw(st.lists(combination, unique_by=tuple, max_size=4)) if names else []
    attributes = draw(st.dictionaries(st.sampled_from([*names, "other"]), st.text(max_size=90)))
    return names, combinations, attributes


def taken_apart(key: str) -> dict[str, str]:
    """A key's dimensions and values."""
    return {} if key == "all" else {n: unquote(v) for n, _, v in (part.partition("=") for part in key.split(","))}


@given(cuts())
def test_keys_name_their_dimensions_and_values(cut: tuple[list[str], list[list[str]], dict[str, str]]) -> None:
    """`all` first, then each combination in its order; whatever the values hold, the key can be taken apart again."""
    names, combinations, attributes = cut
    dimensions, keys = capture(attributes, program(dimensions=names, combinations=combinations))
    assert dict(dimensions) == {name: attributes.get(name, MISSING) for name in names}
    assert keys[0] == "all"
    assert len(keys) == len(set(keys)) == 1 + len(combinations)
    for key, combination in zip(keys[1:], combinations, strict=True):
        parts = taken_apart(key)
        assert list(parts) == combination
        assert parts == {name: attributes.get(name, MISSING)[:LONGEST] for name in combination}
        assert "|" not in key


@given(st.text(max_size=LONGEST), st.text(max_size=LONGEST))
def test_different_values_are_different_segments(one: str, other: str) -> None:
    """Up to the length that is kept no two values share a segment."""
    cut = program(dimensions=["d"], combinations=[["d"]])
    assert (capture({"d": one}, cut)[1] == capture({"d": other}, cut)[1]) == (one == other)
