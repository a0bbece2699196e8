"""Cells and instants of tables in a terminal, and the lines of the log."""

import logging
import sys

import pytest

from streams.commands.session import CHATTY, LogFormatter, cell, moment, set_logging_up


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


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("away: http://nps:hunter2@ch:8123/nps", "away: http://***@ch:8123/nps"),
        ("https://token@registry and kafka://a:b@c", "https://***@registry and kafka://***@c"),
        ("mail of ana@example.com at https://h/a@b?c=d@e", "mail of ana@example.com at https://h/a@b?c=d@e"),
        ("id\nERROR forged \x1b[2J \u202e", "id\\nERROR forged \\x1b[2J \\u202e"),
    ],
)
def test_a_log_line_is_one_line_without_passwords(message: str, shown: str) -> None:
    """Whatever a stranger or a server put into a message."""
    record = logging.LogRecord("x", logging.INFO, "f", 1, "%s", (message,), None)
    assert LogFormatter("%(levelname)s %(message)s").format(record) == f"INFO {shown}"


def test_a_traceback_keeps_its_lines_and_shows_no_password() -> None:
    """The rule holds for what an exception says, too."""
    try:
        raise ValueError("http://nps:hunter2@ch \x1b[2J")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "f", 1, "failed", (), sys.exc_info())
    text = LogFormatter("%(message)s").format(record)
    assert len(text.splitlines()) > 2
    assert "hunter2" not in text.replace('raise ValueError("http://nps:hunter2@ch', "")
    assert "\x1b" not in text


def test_http_clients_are_quiet() -> None:
    """They write each request's address at INFO, with whatever is in it."""
    set_logging_up()
    assert {name for name in CHATTY if logging.getLogger(name).isEnabledFor(logging.INFO)} == set()
    assert {"httpx", "urllib3"} <= set(CHATTY)
