"""Records made by position are those that keywords make; a field missing, unknown or twice is refused at once."""

import traceback
from typing import NamedTuple

import pytest

from schemas.records import positional, replacer


class Point(NamedTuple):
    """Three fields, one of which has a default."""

    x: int
    y: int
    label: str = "here"


@positional
def shuffled(a: int, b: int) -> Point:
    """Fields in another order than theirs."""
    return Point(label="there", y=b, x=a)


@positional
def defaulted(a: int) -> list[Point]:
    """The first by position, the last left out, and one record within another call."""
    return [Point(a, y=2), max(Point(x=a, y=a), Point(x=0, y=0), key=lambda point: point.x)]


@positional
def failing(a: int) -> Point:
    """An error on a line that can be found."""
    return Point(
        x=a,
        y=1 // 0,
    )


def test_keywords_make_the_same_record_whatever_their_order() -> None:
    """Type, values and defaults."""
    assert shuffled(1, 2) == Point(1, 2, "there")
    assert type(shuffled(1, 2)) is Point
    assert defaulted(7) == [Point(7, 2), Point(7, 7)]
    assert shuffled.__doc__ == "Fields in another order than theirs."


def test_an_error_names_its_own_line() -> None:
    """Compiled anew, the function's lines are still the file's."""
    with pytest.raises(ZeroDivisionError) as caught:
        failing(1)
    frame = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert (frame.filename, frame.line) == (__file__, "y=1 // 0,")


def forgotten() -> Point:
    """Without y."""
    return Point(x=1)  # type: ignore[call-arg]


def unknown() -> Point:
    """With z."""
    return Point(x=1, y=2, z=3)  # type: ignore[call-arg]


def twice() -> Point:
    """With x by position and by keyword."""
    return Point(1, 2, x=3)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (forgotten, "Point needs the field y"),
        (unknown, "Point has no field z"),
        (twice, "has no field x, or has it tw"),
    ],
)
def test_a_wrong_field_is_refused_when_the_function_is_defined(function: object, says: str) -> None:
    """Not when it is called, which may be at night."""
    with pytest.raises(TypeError, match=says):
        positional(function)  # type: ignore[type-var]


def test_a_replacer_copies_what_it_does_not_name() -> None:
    """As `_replace` does, and a name that is no field is refused when the replacer is made."""
    replace = replacer(Point, "label", "x")
    assert replace(Point(1, 2), "there", 3) == Point(3, 2, "there")
    assert type(replace(Point(1, 2), "there", 3)) is Point
    with pytest.raises(ValueError, match="Point has no field z"):
        replacer(Point, "z")
