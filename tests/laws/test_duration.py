"""Laws of durations in the program file: a whole number and a unit, nothing else."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.program import UNITS_MS, duration_ms


@given(st.integers(0, 10**6), st.sampled_from(sorted(UNITS_MS)))
def test_durations(number: int, unit: str) -> None:
    """A whole number and a unit, in milliseconds."""
    assert duration_ms(f"{number}{unit}") == number * UNITS_MS[unit]


@given(st.text(max_size=6).filter(lambda text: not re.fullmatch(r"\d+(ms|s|m|h|d)", text)))
def test_no_other_durations(text: str) -> None:
    """Everything else is refused, with an example of how to write it."""
    with pytest.raises(ValueError, match="'90d'"):
        duration_ms(text)
