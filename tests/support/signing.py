"""Senders of webhooks for tests: each scheme's headers, with signatures that openssl(1) computes, never our code."""

import base64
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime

from streams.clock import wall_ms

SECRET = "shpss_0123456789abcdef0123456789abcdef"
STANDARD_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def openssl_hmac(key: bytes, message: bytes, algorithm: str = "sha256") -> bytes:
    """HMAC of a message as openssl has it."""
    words = ["openssl", "dgst", f"-{algorithm}", "-mac", "HMAC", "-macopt", f"hexkey:{key.hex()}", "-binary"]
    return subprocess.run(words, input=message, capture_output=True, check=True).stdout


def secret_of(scheme: str) -> str:
    """A secret as the sender shows it."""
    return STANDARD_SECRET if scheme == "standard" else SECRET


def signed(scheme: str, body: bytes, secret: str = "", at_ms: int | None = None) -> dict[str, str]:
    """Headers by which a sender proves a body, at a time, now by default."""
    secret, at_ms = secret or secret_of(scheme), wall_ms() if at_ms is None else at_ms
    key, seconds = secret.encode(), at_ms // 1000
    iso = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    match scheme:
        case "shopify":
            return {"X-Shopify-Hmac-SHA256": _base64(openssl_hmac(key, body))}
        case "woocommerce":
            return {"X-WC-Webhook-Signature": _base64(openssl_hmac(key, body))}
        case "typeform":
            return {"Typeform-Signature": f"sha256={_base64(openssl_hmac(key, body))}"}
        case "delighted":
            return {"X-Delighted-Webhook-Signature": f"sha256={openssl_hmac(key, body).hex()}"}
        case "intercom":
            return {"X-Hub-Signature": f"sha1={openssl_hmac(key, body, 'sha1').hex()}"}
        case "stripe":
            digest = openssl_hmac(key, f"{seconds}.".encode() + body).hex()
            return {"Stripe-Signature": f"t={seconds},v1={digest},v0=6ffbb59b2300aae63f272406069a9788598b792a"}
        case "zendesk":
            return {
                "X-Zendesk-Webhook-Signature": _base64(openssl_hmac(key, iso.encode() + body)),
                "X-Zendesk-Webhook-Signature-Timestamp": iso,
            }
        case "standard":
            key = base64.b64decode(secret.removeprefix("whsec_"))
            digest = _base64(openssl_hmac(key, f"msg_1.{seconds}.".encode() + body))
            names = {"webhook-id": "msg_1", "webhook-timestamp": str(seconds)}
            return {**names, "webhook-signature": f"v1a,AAAA v1,{digest}"}
        case _:
            return {"Authorization": f"Bearer {secret}"}


def files(schemes: Mapping[str, str]) -> dict[str, str]:
    """A mapping file for each name, which is signed by a scheme; the secret is in <SCHEME>_SECRET."""
    return {
        name: f"""name = "{name}"
topic = "posted.{name}"
[webhook]
verify = "{scheme}"
secret = "{scheme.upper()}_SECRET"
[[events]]
to = "purchases"
source = "{name}"
id = "/id"
type = "order.delivered"
time = {{ at = "@record/timestamp", as = "millis" }}
customer_id = "/customer"
order_id = "/id"
"""
        for name, scheme in schemes.items()
    }


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
