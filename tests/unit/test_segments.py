"""Segment keys by example."""

from streams.domain.segments import capture
from tests.support.histories import program


def test_examples() -> None:
    """As the docstring says them."""
    cut = program(dimensions=["state", "category"], combinations=[["state"], ["state", "category"]])
    assert capture({"state": "SP", "category": "toys"}, cut)[1] == ("all", "state=SP", "state=SP,category=toys")
    assert capture({"category": "a,b=c|d%"}, cut)[1][2] == "state=(none),category=a%2Cb%3Dc%7Cd%25"
