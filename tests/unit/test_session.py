"""Cells and instants of tables in a terminal."""

import pytest

from streams.commands.session import cell, moment


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("Grüße 😀", "Grüße 😀"), (7, "7"), (None, "None"), ("two\nlines", "two\nlines"),
        ("\x1b[2J", "\\x1b[2J"), ("a\rb", "a\\rb"), ("\x9b", "\\x9b"), ("\u202e", "\\u202e"), ("\ud800", "\\ud800"),
    ],
)  # fmt: skip
def test_a_cell_moves_no_cursor(value: object, shown: str) -> None:
    """Text stays as it is; what a terminal would obey is written out."""
    assert cell(value) == shown


@pytest.mark.parametrize(
    ("at_ms", "shown"),
    [(0, "1970-01-01 00:00:00"), (-1_000, "1969-12-31 23:59:59"), (2**63 - 1, "292278994-08-17 07:12:55")],
)
def test_any_instant_that_kafka_holds(at_ms: int, shown: str) -> None:
    """Whoever wrote a time of a far age does not end the command."""
    assert moment(at_ms) == shown
