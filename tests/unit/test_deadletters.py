"""The dead letters' envelope: labels that are none are refused."""

import pytest

from schemas.deadletters import NAMES, Header, NotADeadLetter, unwrap


@pytest.mark.parametrize(
    "headers", [None, [], [("nps.dead.reason", b"x")], [(name, b"x") for name in NAMES], [(n, None) for n in NAMES]]
)
def test_other_headers_are_no_envelope(headers: list[Header] | None) -> None:
    """Missing, partial or unreadable labels are refused."""
    with pytest.raises(NotADeadLetter):
        unwrap(headers)
