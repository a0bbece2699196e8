"""Sealed survey links: a token holds the survey, the customer it was sent to and the time it may be answered until.

    KEY_ID "." base64url(sealed text) "." base64url(the seal's 16 bytes)

The text EXPIRES_MS ":" SURVEY_ID ":" CUSTOMER_ID is sealed by AES-256-SIV (RFC 5297) together with the key's id: who
holds a link can neither read nor change it, and one claim has one token, so that a replay makes the same link.  Several
keys open, the first seals, so keys rotate without a lost link.  Tokens that were signed and readable, with HMAC-SHA256
over all before the last dot, still open: their last part has 32 bytes.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from schemas.reasons import Reason

SHORTEST_SECRET = 16
LONGEST_TOKEN = 2_048
"""Length in characters; longer tokens are refused unread."""

_SEAL_BYTES, _SEAL_CHARACTERS = 16, 22


@dataclass(frozen=True, slots=True)
class Keys:
    """Secrets of survey links by key id, at least one; the first seals, all open."""

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
    """Seal the token of a survey; the same for the same claim and keys.  `survey_id` has no colon."""
    key_id, secret = next(iter(keys.secrets.items()))
    text = f"{expires_ms}:{survey_id}:{customer_id}".encode()
    sealed = _cipher(secret).encrypt(text, [key_id.encode()])
    return f"{key_id}.{_base64(sealed[_SEAL_BYTES:])}.{_base64(sealed[:_SEAL_BYTES])}"


def verify(keys: Keys, token: str, now_ms: int) -> Claim | Refusal:
    """Open a token and check its expiry: its claim, or the refusal; in constant time for each key."""
    key_id, _, rest = token[: LONGEST_TOKEN + 1].partition(".")
    secret = keys.secrets.get(key_id)
    if secret is None or len(token) > LONGEST_TOKEN:
        return Refusal(Reason.FORGED_TOKEN, "no token of ours, or its key is retired")
    body, _, seal = rest.rpartition(".")
    text = _signed_text(secret, key_id, body, seal) if len(seal) > _SEAL_CHARACTERS else _opened(secret, key_id, rest)
    if text is None:
        return Refusal(Reason.FORGED_TOKEN, "the signature is wrong")
    expires, survey_id, customer_id = text.decode().split(":", 2)
    claim = Claim(survey_id, customer_id, int(expires))
    if now_ms >= claim.expires_ms:
        return Refusal(Reason.EXPIRED_TOKEN, f"the link ended at {claim.expires_ms}", claim)
    return claim


def _opened(secret: bytes, key_id: str, rest: str) -> bytes | None:
    """The text of a sealed token; None for one that we did not seal, or whose base64 is not as we write it."""
    body, _, seal = rest.partition(".")
    try:
        sealed, seal_bytes = _bytes(body), _bytes(seal)
        if (_base64(sealed), _base64(seal_bytes)) != (body, seal):
            return None
        return _cipher(secret).decrypt(seal_bytes + sealed, [key_id.encode()])
    except (ValueError, InvalidTag):
        return None


def _signed_text(secret: bytes, key_id: str, body: str, signature: str) -> bytes | None:
    """The text of a token that was signed, as all were before they were sealed; None for a wrong signature."""
    signed = f"{key_id}.{body}".encode(errors="replace")
    expected = _base64(hmac.digest(secret, signed, "sha256"))
    is_ours = hmac.compare_digest(expected.encode(), signature.encode(errors="replace"))
    return _bytes(body) if is_ours else None


@lru_cache(maxsize=16)  # deriving a key takes as long as sealing
def _cipher(secret: bytes) -> AESSIV:
    """The cipher of a key: 64 bytes derived from its secret, which signs the old tokens itself."""
    return AESSIV(hmac.digest(secret, b"nps survey link", "sha512"))


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
