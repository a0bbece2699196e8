"""Signatures of webhooks: the closed list of ways in which senders prove that a body is theirs.

A signature is an HMAC over the bytes of the body as they came, or over a time and the body; keys are compared with in
constant time.  Senders that sign nothing send a token: as a bearer, as the password of Basic, or in the address.

    shopify, woocommerce     base64 in a header
    typeform, delighted      sha256= and base64 or hex
    intercom                 sha1= and hex
    stripe                   Stripe-Signature: t=1700000000,v1=hex over "t.body"
    zendesk                  base64 over the time of a second header and the body
    standard                 Standard Webhooks, also under Svix's names
    token                    Authorization: Bearer, Basic, or ?token= in the address
"""

import hmac
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

TOLERANCE_MS = 300_000
"""Longest distance of a signature's time from our clock, before or after it, in milliseconds."""

STANDARD_PREFIX = "whsec_"
"""Beginning of a secret of Standard Webhooks; base64 follows it."""

_TIMES = range(10**8, 10**11)
"""Unix times in seconds that are read at all, from 1973 to 5138."""


class Finding(StrEnum):
    """Result of checking a request's proof; each but `proven` is why it is refused."""

    PROVEN = "proven"
    MISSING = "missing"
    FORGED = "forged"
    STALE = "stale"


class Sent(NamedTuple):
    """Request as far as proofs go; `headers` are found in any case of their names."""

    headers: Mapping[str, str]
    token: str
    body: bytes


class _Proof(NamedTuple):
    """Signatures that came with a request, what was signed before the body, and when; None where no time is told."""

    signatures: Sequence[str]
    before: bytes = b""
    at_ms: int | None = None


class _Scheme(NamedTuple):
    read: Callable[[Mapping[str, str]], _Proof | None]
    encode: Callable[[bytes], str]
    algorithm: str = "sha256"


def verify(scheme: str, keys: Sequence[bytes], sent: Sent, now_ms: int) -> Finding:
    """Check a request's proof by a scheme of `SCHEMES`, under any of the keys that are valid now."""
    if scheme == "token":
        return _verify_token(keys, sent)
    read, encode, algorithm = _SIGNATURES[scheme]
    proof = read(sent.headers)
    if proof is None:
        return Finding.MISSING
    if proof.at_ms is not None and abs(now_ms - proof.at_ms) > TOLERANCE_MS:
        return Finding.STALE
    expected = [encode(_signed(key, algorithm, proof.before, sent.body)) for key in keys]
    is_proven = [_is_same(given, wanted) for given in proof.signatures for wanted in expected]
    return Finding.PROVEN if any(is_proven) else Finding.FORGED


def key_of(scheme: str, secret: str) -> bytes:
    """Make the key of a secret as its sender shows it.  Raises ValueError, which repeats none of it."""
    if scheme != "standard" or not secret.startswith(STANDARD_PREFIX):
        return secret.encode()
    text = secret.removeprefix(STANDARD_PREFIX).rstrip("=")
    try:
        return b64decode(text + "=" * (-len(text) % 4), validate=True)
    except NotBase64:
        raise ValueError(f"must be base64 after {STANDARD_PREFIX}") from None


def _signed(key: bytes, algorithm: str, before: bytes, body: bytes) -> bytes:
    mac = hmac.new(key, before, algorithm)
    mac.update(body)
    return mac.digest()


def _is_same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(errors="replace"), wanted.encode())


def _verify_token(keys: Sequence[bytes], sent: Sent) -> Finding:
    scheme, _, credentials = sent.headers.get("Authorization", "").partition(" ")
    given = {"bearer": credentials.strip(), "basic": _password(credentials.strip())}.get(scheme.lower(), sent.token)
    if not given:
        return Finding.MISSING
    # digests, so that not even the length of a key can be timed
    digests = [_signed(b"", "sha256", b"", key) for key in keys]
    found = _signed(b"", "sha256", b"", given.encode(errors="replace"))
    is_proven = [hmac.compare_digest(found, digest) for digest in digests]
    return Finding.PROVEN if any(is_proven) else Finding.FORGED


def _password(credentials: str) -> str:
    """Password of a header of Basic; empty for what is none."""
    try:
        return b64decode(credentials, validate=True).decode().partition(":")[2]
    except ValueError:
        return ""


def _in_header(name: str, prefix: str = "") -> Callable[[Mapping[str, str]], _Proof | None]:
    def read(headers: Mapping[str, str]) -> _Proof | None:
        signature = headers.get(name, "").strip()
        return _Proof([signature[len(prefix) :]]) if signature.startswith(prefix) and signature != prefix else None

    return read


def _stripe(headers: Mapping[str, str]) -> _Proof | None:
    pairs = [part.strip().partition("=") for part in headers.get("Stripe-Signature", "").split(",")]
    time = next((value for name, _, value in pairs if name == "t"), "")
    signatures = [value for name, _, value in pairs if name == "v1"]
    at_ms = _unix_ms(time)
    return None if at_ms is None or not signatures else _Proof(signatures, f"{time}.".encode(), at_ms)


def _zendesk(headers: Mapping[str, str]) -> _Proof | None:
    signature = headers.get("X-Zendesk-Webhook-Signature", "").strip()
    time = headers.get("X-Zendesk-Webhook-Signature-Timestamp", "").strip()
    try:
        moment = datetime.fromisoformat(time)
    except ValueError:
        return None
    if not signature or moment.tzinfo is None:
        return None
    return _Proof([signature], time.encode(), round(moment.timestamp() * 1000))


def _standard(headers: Mapping[str, str]) -> _Proof | None:
    for prefix in ("webhook", "svix"):
        delivery, time, words = (headers.get(f"{prefix}-{part}", "") for part in ("id", "timestamp", "signature"))
        signatures = [word.removeprefix("v1,") for word in words.split() if word.startswith("v1,")]
        at_ms = _unix_ms(time)
        if delivery and signatures and at_ms is not None:
            return _Proof(signatures, f"{delivery}.{time}.".encode(errors="replace"), at_ms)
    return None


def _unix_ms(text: str) -> int | None:
    is_number = text.isascii() and text.isdigit() and len(text) < 12
    return int(text) * 1000 if is_number and int(text) in _TIMES else None


def _base64(digest: bytes) -> str:
    return b64encode(digest).decode()


_SIGNATURES: Mapping[str, _Scheme] = {
    "shopify": _Scheme(_in_header("X-Shopify-Hmac-Sha256"), _base64),
    "woocommerce": _Scheme(_in_header("X-WC-Webhook-Signature"), _base64),
    "stripe": _Scheme(_stripe, bytes.hex),
    "zendesk": _Scheme(_zendesk, _base64),
    "typeform": _Scheme(_in_header("Typeform-Signature", "sha256="), _base64),
    "standard": _Scheme(_standard, _base64),
    "intercom": _Scheme(_in_header("X-Hub-Signature", "sha1="), bytes.hex, "sha1"),
    "delighted": _Scheme(_in_header("X-Delighted-Webhook-Signature", "sha256="), bytes.hex),
}
SCHEMES = (*_SIGNATURES, "token")
"""Words of `verify` in a mapping file's `[webhook]`."""

SIGNATURE_HEADERS = frozenset({
    "authorization", "x-shopify-hmac-sha256", "x-wc-webhook-signature", "stripe-signature",
    "x-zendesk-webhook-signature", "typeform-signature", "webhook-signature", "svix-signature", "x-hub-signature",
    "x-hub-signature-256", "x-delighted-webhook-signature",
})  # fmt: skip
"""Headers with proofs, in lower case: nobody needs them once they are checked."""
