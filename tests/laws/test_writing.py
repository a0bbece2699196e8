"""Law of writing: halving finds the bad rows and writes the good ones."""

from hypothesis import given
from hypothesis import strategies as st

from sinks.writing import RefusalFuse, write
from tests.support.warehouses import Picky


@given(st.lists(st.integers(-3, 20), min_size=1, max_size=60))
def test_halving_writes_the_good_and_finds_the_bad(numbers: list[int]) -> None:
    """Every good row is written once, in order, and exactly the bad ones come back, by place."""
    picky = Picky()
    refused = write(picky, "t", ("n",), [(number,) for number in numbers], RefusalFuse(100))
    assert [row.index for row in refused] == [at for at, number in enumerate(numbers) if number < 0]
    assert picky.written == [(number,) for number in numbers if number >= 0]
