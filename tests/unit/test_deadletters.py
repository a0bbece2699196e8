"""The dead letters' envelope: labels that are none are refused."""

import pytest

from schemas.deadletters import NAMES, Death, Header, NotADeadLetter, identify, put_back, unwrap, unwrap_any
from schemas.topics import LETTER_HEADER


@pytest.mark.parametrize(
    "headers", [None, [], [("nps.dead.reason", b"x")], [(name, b"x") for name in NAMES], [(n, None) for n in NAMES]]
)
def test_other_headers_are_no_envelope(headers: list[Header] | None) -> None:
    """Missing, partial or unreadable labels are refused."""
    with pytest.raises(NotADeadLetter):
        unwrap(headers)


DEATH = Death("invalid_score", "score 11", "nps.responses", 2, 7, 1)


@pytest.mark.parametrize(
    "value", [None, b"", b"1", b"not-a-uuid/1", b"6f1c5e1e-3e0a-5c1b-9d2e-000000000001", b"x" * 9_999]
)
def test_a_forged_header_makes_no_other_letter(value: bytes | None) -> None:
    """What is no name of a letter is passed over, and replaced when the record is put back."""
    headers: list[Header] = [("trace", b"1"), (LETTER_HEADER, value)]
    letter = identify(headers, DEATH)
    assert letter == identify([], DEATH)
    assert [name for name, _ in put_back(headers, letter)] == ["trace", LETTER_HEADER]


def test_a_record_of_another_program_is_unlabelled() -> None:
    """It died where it lies, and keeps all its headers."""
    original, death = unwrap_any([("trace", b"1")], 9, 5)
    assert original == [("trace", b"1")]
    assert (death.reason, death.topic, death.partition, death.offset, death.timestamp_ms) == (
        "unlabelled", "nps.dead-letters", 0, 9, 5,
    )  # fmt: skip
