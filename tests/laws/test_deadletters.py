"""Laws of the dead letters' envelope: it opens to what was put in, however often."""

from hypothesis import given
from hypothesis import strategies as st

from schemas.deadletters import Death, Header, identify, put_back, unwrap, wrap
from schemas.topics import LETTER_HEADER

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


@given(HEADERS, st.lists(DEATHS, min_size=1, max_size=4))
def test_a_letter_keeps_its_name_through_all_its_deaths(original: list[Header], deaths: list[Death]) -> None:
    """Put back after each death, it is the letter of the first, one death older; its other headers stay."""
    headers, name = original, identify(original, deaths[0]).letter_id
    for number, death in enumerate(deaths):
        found, died = unwrap(wrap(headers, death))
        letter = identify(found, died)
        assert (letter.letter_id, letter.number) == (name, number)
        headers = put_back(found, letter)
        assert headers[:-1] == original
        assert headers[-1][0] == LETTER_HEADER


@given(HEADERS, DEATHS, DEATHS)
def test_two_letters_have_two_names(original: list[Header], one: Death, other: Death) -> None:
    """Place, time and reason make the name; the detail, which a new version may put otherwise, does not."""
    is_same = identify(original, one) == identify(original, other)
    assert is_same == ((*_place(one),) == (*_place(other),))


def _place(death: Death) -> tuple[object, ...]:
    return death.topic, death.partition, death.offset, death.timestamp_ms, death.reason
