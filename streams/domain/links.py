"""Signed survey links: a token names the survey, the customer it was sent to and the time it may be answered until.

    KEY_ID "." base64url(EXPIRES_MS ":" SURVEY_ID ":" CUSTOMER_ID) "." base64url(HMAC-SHA256(key, all before the dot))

The text itself is signed and compared, so one claim has one token.  Nothing in it is secret: whoever holds a link can
read the ids, and nobody can change them.  Several keys verify, the first signs, so keys rotate without a lost link.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from typing import NamedTuple

from schemas.reasons import Reason

SHORTEST_SECRET = 16
LONGEST_TOKEN = 2_048
"""Length in characters; longer tokens are refused unread."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Secrets of survey links by key id, at least one; the first signs, all verify."""

    secrets: dict[str, bytes] = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> "Keys":
        """Parse `id:secret`, several separated by commas, the first signs.  Raises ValueError that names no secret."""
        secrets: dict[str, bytes] = {}
        for place, part in enumerate(text.split(","), 1):
            key_id, colon, secret = part.strip().partition(":")
            if not colon or not (key_id.isascii() and key_id.isalnum()):
                raise ValueError(f"key {place} must look like id:secret, the id of letters and digits")
            if len(secret) < SHORTEST_SECRET:
                raise ValueError(f"the secret of key {key_id!r} must have {SHORTEST_SECRET} characters or more")
            if key_id in secrets:
                raise ValueError(f"key {key_id!r} is there twice")
            secrets[key_id] = secret.encode()
        return cls(secrets)


class Claim(NamedTuple):
    """The content of a valid token; `expires_ms` is the first instant at which it is refused."""

    survey_id: str
    customer_id: str
    expires_ms: int


class Refusal(NamedTuple):
    """The reason why a token is refused.  `claim` is its content when we signed it; None for a forged token."""

    reason: Reason
    detail: str
    claim: Claim | None = None


def mint(keys: Keys, survey_id: str, customer_id: str, expires_ms: int) -> str:
    """Sign the token of a survey; the same for the same claim and keys.  `survey_id` has no colon."""
    key_id, secret = next(iter(keys.secrets.items()))
    body = urlsafe_b64encode(f"{expires_ms}:{survey_id}:{customer_id}".encode()).rstrip(b"=").decode()
    return f"{key_id}.{body}.{_signature(secret, f'{key_id}.{body}')}"


def verify(keys: Keys, token: str, now_ms: int) -> Claim | Refusal:
    """Check a token's signature and expiry: its claim, or the refusal; in constant time for each key."""
    signed, _, signature = token[: LONGEST_TOKEN + 1].rpartition(".")
    key_id, _, body = signed.partition(".")
    secret = keys.secrets.get(key_id)
    if secret is None or len(token) > LONGEST_TOKEN:
        return Refusal(Reason.FORGED_TOKEN, "no token of ours, or its key is retired")
    if not hmac.compare_digest(_signature(secret, signed).encode(), signature.encode(errors="replace")):
        return Refusal(Reason.FORGED_TOKEN, "the signature is wrong")
    expires, survey_id, customer_id = urlsafe_b64decode(body + "=" * (-len(body) % 4)).decode().split(":", 2)
    claim = Claim(survey_id, customer_id, int(expires))
    if now_ms >= claim.expires_ms:
        return Refusal(Reason.EXPIRED_TOKEN, f"the link ended at {claim.expires_ms}", claim)
    return claim


def _signature(secret: bytes, signed: str) -> str:
    return urlsafe_b64encode(hmac.digest(secret, signed.encode(errors="replace"), "sha256")).rstrip(b"=").decode()
