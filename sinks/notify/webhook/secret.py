"""Secret of a webhook: its two forms, and the HMAC key that each stands for."""

from base64 import b64decode

PREFIX = "whsec_"
SHORTEST_KEY_BYTES = 24


def key_of(secret: str, setting: str = "NPS_WEBHOOK_SECRET") -> bytes:
    """Decode a webhook secret into the key of its HMAC-SHA256 signatures.

    `whsec_` and base64, with or without padding, is what Standard Webhooks hands out; any other text is the key itself,
    as UTF-8.  Raises ValueError, which names the `setting` and repeats no secret, for a key under the 24 bytes that
    the specification asks for.  Its upper limit of 64 bytes is not held to: HMAC hashes a longer key down, which makes
    it no weaker.
    """
    key = _decoded(secret.removeprefix(PREFIX), setting) if secret.startswith(PREFIX) else secret.encode()
    if len(key) < SHORTEST_KEY_BYTES:
        raise ValueError(
            f"{setting} has a key of {len(key)} bytes, but {SHORTEST_KEY_BYTES} or more are needed, such as "
            f"{PREFIX}$(openssl rand -base64 32)"
        )
    return key


def _decoded(text: str, setting: str) -> bytes:
    # the receiver's library skips letters that are not base64, so a typo would be a shorter key unseen
    bare = text.rstrip("=")
    try:
        return b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except ValueError:
        raise ValueError(f"{setting} must be base64 after {PREFIX}") from None
