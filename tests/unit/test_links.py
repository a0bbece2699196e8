"""Links: expiry, keys that rotate, and secrets that are never shown."""

import pytest

from schemas.reasons import Reason
from streams.domain.links import Claim, Keys, Refusal, mint, verify
from tests.support.links import GOOD, KEYS, NOW_MS, refused

ROTATED = Keys.parse("k2:fedcba9876543210, k1:0123456789abcdef")


def test_expiry_to_the_millisecond() -> None:
    """Good a millisecond before, refused at its expiry, and then it still says whose it was."""
    assert verify(KEYS, GOOD, NOW_MS - 1) == Claim("s1", "c1", NOW_MS)
    outcome = verify(KEYS, GOOD, NOW_MS)
    assert refused(outcome) is Reason.EXPIRED_TOKEN
    assert isinstance(outcome, Refusal)
    assert outcome.claim == Claim("s1", "c1", NOW_MS)


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
