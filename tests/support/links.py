"""Keys, a good token of theirs, and why another is refused."""

from schemas.reasons import Reason
from streams.domain.links import Claim, Keys, Refusal, mint

KEYS = Keys.parse("k1:0123456789abcdef")
NOW_MS = 1_700_000_000_000
GOOD = mint(KEYS, "s1", "c1", NOW_MS)


def refused(outcome: Claim | Refusal) -> Reason:
    """Why a token was refused."""
    assert isinstance(outcome, Refusal), outcome
    return outcome.reason
