"""Law of the webhook's signature: we sign with the key that a receiver's library makes of the secret."""

from base64 import b64encode
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from sinks.notify.webhook.secret import PREFIX, key_of


@given(st.binary(min_size=24, max_size=80))
def test_the_key_of_a_secret_is_the_librarys(key: bytes) -> None:
    """What we sign with is what the receiver's library makes of the same secret."""
    text = b64encode(key).decode()
    at = datetime(2026, 1, 1, tzinfo=UTC)
    for secret in (PREFIX + text, PREFIX + text.rstrip("=")):
        assert key_of(secret) == key
        assert Webhook(secret).sign("a1", at, "{}") == Webhook(key).sign("a1", at, "{}")
