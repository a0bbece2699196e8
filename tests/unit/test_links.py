"""Tokens: what was minted is verified, whatever else comes is refused, and no secret is shown."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.reasons import Reason
from streams.domain.links import LONGEST_TOKEN, Claim, Keys, Refusal, mint, verify

KEYS = Keys.parse("k1:0123456789abcdef")
ROTATED = Keys.parse("k2:fedcba9876543210, k1:0123456789abcdef")
NOW_MS = 1_700_000_000_000
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
SURVEYS = TEXT.filter(lambda text: ":" not in text)
GOOD = mint(KEYS, "s1", "c1", NOW_MS)


def refused(outcome: Claim | Refusal) -> Reason:
    """Why a token was refused."""
    assert isinstance(outcome, Refusal), outcome
    return outcome.reason


@given(SURVEYS, TEXT, st.integers(-(2**63), 2**63 - 1))
def test_what_was_minted_is_verified(survey: str, customer: str, expires_ms: int) -> None:
    """Survey, customer and expiry come back, and the token fits a path of a URL as it is."""
    token = mint(KEYS, survey, customer, expires_ms)
    assert verify(KEYS, token, expires_ms - 1) == Claim(survey, customer, expires_ms)
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")
    assert token == mint(KEYS, survey, customer, expires_ms), "a replay mints the same"


def test_expiry_to_the_millisecond() -> None:
    """Good a millisecond before, refused at its expiry, and then it still says whose it was."""
    assert verify(KEYS, GOOD, NOW_MS - 1) == Claim("s1", "c1", NOW_MS)
    outcome = verify(KEYS, GOOD, NOW_MS)
    assert refused(outcome) is Reason.EXPIRED_TOKEN
    assert isinstance(outcome, Refusal)
    assert outcome.claim == Claim("s1", "c1", NOW_MS)


@given(st.integers(0, len(GOOD) - 1), st.characters(exclude_categories=["Cs"]))
def test_every_changed_character_is_a_forgery(place: int, other: str) -> None:
    """No bit of a token can be changed, the spare bits of base64 neither."""
    changed = GOOD[:place] + other + GOOD[place + 1 :]
    outcome = verify(KEYS, changed, 0)
    assert outcome == Claim("s1", "c1", NOW_MS) if changed == GOOD else refused(outcome) is Reason.FORGED_TOKEN


@example("")
@example(".")
@example("..")
@example("k1..")
@example("k1." * 9)
@example(GOOD + "=")
@example(GOOD[:-1])
@example("\ud800." + GOOD)
@example("k1.\ud800." + GOOD)
@example("k1." + "A" * LONGEST_TOKEN + "." + "A" * 43)
@given(st.text())
def test_junk_is_a_forgery(junk: str) -> None:
    """Whatever comes, also half characters and megabytes, is refused and raises nothing."""
    assert refused(verify(KEYS, junk, 0)) is Reason.FORGED_TOKEN


def test_parts_of_two_good_tokens_make_no_third() -> None:
    """The claim of one survey with the signature of another is a forgery."""
    other = mint(KEYS, "s2", "c2", NOW_MS)
    assert refused(verify(KEYS, GOOD.rpartition(".")[0] + "." + other.rpartition(".")[2], 0)) is Reason.FORGED_TOKEN
    assert refused(verify(Keys.parse("k1:another secret!!"), GOOD, 0)) is Reason.FORGED_TOKEN


def test_keys_rotate() -> None:
    """The new key signs, links of the old one hold until it is retired."""
    fresh = mint(ROTATED, "s1", "c1", NOW_MS)
    assert fresh.startswith("k2.")
    assert verify(ROTATED, GOOD, 0) == verify(ROTATED, fresh, 0) == Claim("s1", "c1", NOW_MS)
    assert refused(verify(Keys.parse("k2:fedcba9876543210"), GOOD, 0)) is Reason.FORGED_TOKEN


@pytest.mark.parametrize(
    "text", ["", "hunter2hunter2hunter2", "k1:hunter2", ":hunter2hunter2hunter2", "k 1:hunter2hunter2hunter2",
             "k1:hunter2hunter2hunter2,", "k1:hunter2hunter2hunter2,k1:hunter2hunter2hunter2"],
)  # fmt: skip
def test_wrong_keys_are_refused_without_repeating_them(text: str) -> None:
    """One line that says which; a secret is never in it."""
    with pytest.raises(ValueError, match="key") as caught:
        Keys.parse(text)
    assert "hunter2" not in str(caught.value)


def test_secrets_are_not_in_repr() -> None:
    """Nor are they when a claim is refused."""
    assert "0123456789abcdef" not in repr(KEYS)
    assert "0123456789abcdef" not in repr(verify(KEYS, GOOD, NOW_MS))
