"""Law of the webhook's signature: the holder of the secret is believed."""

from hypothesis import given
from hypothesis import strategies as st

from sinks.notify.webhook.signature import is_genuine, sign


@given(st.text(min_size=1), st.binary(), st.integers(0, 10**11), st.integers(-300, 300))
def test_what_was_signed_is_genuine(secret: str, body: bytes, at_s: int, drift_s: int) -> None:
    """The holder of the secret is believed while clocks differ by up to the tolerance."""
    assert is_genuine(secret, body, sign(secret, body, at_s), at_s + drift_s)
