"""Laws of segment keys: one for each combination and `all`, to be taken apart again; bands hold their numbers."""

from dataclasses import replace
from urllib.parse import unquote

from hypothesis import given
from hypothesis import strategies as st

from schemas.events import Purchase
from streams.domain.bands import Banding
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


EDGES = st.lists(st.integers(-10, 100), unique=True, min_size=1, max_size=5).map(sorted)
AMOUNTS = st.none() | st.integers(-20, 120)


@given(
    st.dictionaries(st.sampled_from(["EUR", "BRL"]), EDGES, min_size=1), AMOUNTS, st.sampled_from(["EUR", "BRL", None])
)
def test_an_amount_is_in_the_band_that_began_last(
    edges: dict[str, list[int]], amount: int | None, currency: str | None
) -> None:
    """By the edges of its own currency, whatever an attribute of the dimension's name says; else there is none."""
    most = min(map(len, edges.values()))
    names = [f"b{number}" for number in range(most + 1)]
    bands = Banding("amount_minor", tuple(names), {name: tuple(map(float, one[:most])) for name, one in edges.items()})
    cut = replace(program(dimensions=["amount"], combinations=[["amount"]]), bands={"amount": bands})
    event = Purchase("shop", "e1", "order.paid", 0, "c1", "o1", amount, currency, {"amount": "other"})
    expected = MISSING
    if amount is not None and currency in edges:
        expected = names[sum(edge <= amount for edge in edges[currency][:most])]
    assert capture(cut.read(event), cut) == ((("amount", expected),), ("all", f"amount={expected}"))
