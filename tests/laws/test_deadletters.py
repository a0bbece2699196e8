"""Laws of the dead letters' envelope: it opens to what was put in, however often."""

from hypothesis import given
from hypothesis import strategies as st

from schemas.deadletters import Death, Header, unwrap, wrap

HEADERS = st.lists(st.tuples(st.text(), st.none() | st.binary()), max_size=8)
TEXT = st.text(st.characters(codec="utf-8"))
DEATHS = st.builds(Death, TEXT, TEXT, TEXT, st.integers(), st.integers(), st.integers())


@given(HEADERS, DEATHS)
def test_an_envelope_opens_to_what_was_sealed(original: list[Header], death: Death) -> None:
    """Original headers and the death come back exactly."""
    assert unwrap(wrap(original, death)) == (original, death)


@given(HEADERS, DEATHS, DEATHS)
def test_dying_twice_keeps_the_first_death_inside(original: list[Header], first: Death, second: Death) -> None:
    """The last death is the outer one; under it lies the record as it was when it died again."""
    inner = wrap(original, first)
    assert unwrap(wrap(inner, second)) == (inner, second)
