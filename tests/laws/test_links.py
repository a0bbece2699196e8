"""Laws of links: what was minted is verified, and whatever else comes is refused."""

from hypothesis import example, given
from hypothesis import strategies as st

from schemas.reasons import Reason
from streams.domain.links import LONGEST_TOKEN, Claim, mint, verify
from tests.support.links import GOOD, KEYS, NOW_MS, refused

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
SURVEYS = TEXT.filter(lambda text: ":" not in text)


@given(SURVEYS, TEXT, st.integers(-(2**63), 2**63 - 1))
def test_what_was_minted_is_verified(survey: str, customer: str, expires_ms: int) -> None:
    """Survey, customer and expiry come back, and the token fits a path of a URL as it is."""
    token = mint(KEYS, survey, customer, expires_ms)
    assert verify(KEYS, token, expires_ms - 1) == Claim(survey, customer, expires_ms)
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")
    assert token == mint(KEYS, survey, customer, expires_ms), "a replay mints the same"


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
