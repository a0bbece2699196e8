"""Links: expiry, keys that rotate, and secrets that are never shown."""

from base64 import urlsafe_b64decode

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


SIGNED = {
    "k1.MTcwMDAwMDAwMDAwMDpzMTpjMQ.bjFbsSyqnGIdwzMon9yYsP5rFwW8_cdchEmgEOtzR5w": Claim("s1", "c1", NOW_MS),
    "k1.MTcwMDAwMDAwMDAwMDo4ZTNiOkMtw6Q6MQ.4huSMmcEb6KqJUfVIC7IUvThtdS1Rf2UqF12ABs2vT0": Claim("8e3b", "C-ä:1", NOW_MS),
}
"""Tokens of the first release, which were signed and readable."""


@pytest.mark.parametrize("token", SIGNED)
def test_signed_tokens_in_flight_still_open(token: str) -> None:
    """With the key that signed them, to their expiry, and no character of them can be changed."""
    assert verify(KEYS, token, NOW_MS - 1) == verify(ROTATED, token, NOW_MS - 1) == SIGNED[token]
    assert refused(verify(KEYS, token, NOW_MS)) is Reason.EXPIRED_TOKEN
    for place in range(len(token)):
        changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        assert refused(verify(KEYS, changed, 0)) is Reason.FORGED_TOKEN
    assert refused(verify(KEYS, token[:-1], 0)) is Reason.FORGED_TOKEN


@pytest.mark.parametrize(
    "customer", ["c1", "ada.lovelace@example.org", "+49 170 1234567", "Müller 😀", "a:b:c", "x" * 256]
)
def test_nobody_reads_a_token(customer: str) -> None:
    """Neither the customer nor the survey is in it, however its parts are decoded; whoever has the key reads both."""
    token = mint(KEYS, "survey-4711", customer, NOW_MS)
    shown = token.encode() + b"".join(urlsafe_b64decode(part + "==") for part in token.split(".")[1:])
    for secret in (customer.encode(), b"survey-4711", str(NOW_MS).encode()):
        assert secret not in shown
        assert secret[: len(secret) // 2 + 2] not in shown or len(secret) < 4
    assert verify(KEYS, token, 0) == Claim("survey-4711", customer, NOW_MS)


def test_a_token_belongs_to_its_key_id() -> None:
    """Under another id with the same secret it is a forgery."""
    twins = Keys.parse("k1:0123456789abcdef,k2:0123456789abcdef")
    assert refused(verify(twins, "k2" + GOOD.removeprefix("k1"), 0)) is Reason.FORGED_TOKEN


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
