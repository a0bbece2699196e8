"""Signed webhooks: who sent this body, and when.  Receivers copy `is_genuine`; it needs the standard library alone.

The header `Nps-Signature` is `t=<unix seconds>,v1=<hex HMAC-SHA256 of "t.body">`.  While a secret is being changed the
receiver checks against both.
"""

import hashlib
import hmac
import re

TOLERANCE_S = 300
_STAMP = re.compile(r"[0-9]{1,12}\Z")


def sign(secret: str, body: bytes, at_s: int) -> str:
    """The header's value for this body, sent at this Unix time in seconds."""
    return f"t={at_s},v1={_digest(secret, body, at_s)}"


def is_genuine(secret: str, body: bytes, header: str, now_s: int, tolerance_s: int = TOLERANCE_S) -> bool:
    """True when a holder of the secret signed exactly these bytes, at most `tolerance_s` seconds from now."""
    fields = dict(part.strip().partition("=")[::2] for part in header.split(","))
    stamp, given = fields.get("t", ""), fields.get("v1", "")
    if not _STAMP.match(stamp) or abs(now_s - int(stamp)) > tolerance_s:
        return False
    return hmac.compare_digest(_digest(secret, body, int(stamp)).encode(), given.encode())


def _digest(secret: str, body: bytes, at_s: int) -> str:
    return hmac.new(secret.encode(), b"%d.%s" % (at_s, body), hashlib.sha256).hexdigest()
