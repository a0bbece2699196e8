"""Law of webhooks' proofs: whatever stands in the headers is a finding, never an error, and never a proof by chance."""

from hypothesis import example, given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from streams.collector.signatures import SCHEMES, Finding, Sent, key_of, verify
from tests.support.laws import examples
from tests.support.signing import secret_of

NOW_MS = 1_800_000_000_000
NAMES = (
    "Authorization", "X-Shopify-Hmac-Sha256", "X-WC-Webhook-Signature", "Typeform-Signature", "X-Hub-Signature",
    "X-Delighted-Webhook-Signature", "Stripe-Signature", "X-Zendesk-Webhook-Signature",
    "X-Zendesk-Webhook-Signature-Timestamp", "webhook-id", "webhook-timestamp", "webhook-signature",
)  # fmt: skip
PIECES = st.sampled_from([
    "sha256=", "sha1=", "t=1800000000", "v1=", "v1,", ",", " ", "Bearer ", "Basic ", "1800000000", "=", "00ff", "AAAA",
    "2027-01-15T08:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "\udcff", "é", "²",
])  # fmt: skip
VALUES = st.lists(st.one_of(PIECES, st.text(max_size=5)), max_size=6).map("".join)


@settings(max_examples=examples(1_000))
@given(st.sampled_from(SCHEMES), st.dictionaries(st.sampled_from(NAMES), VALUES), VALUES, st.binary(max_size=20))
@example("zendesk", {NAMES[7]: "x", NAMES[8]: "0001-01-01T00:00:00+23:59"}, "", b"")
@example("zendesk", {NAMES[7]: "x", NAMES[8]: "9999-12-31T23:59:59-23:59"}, "", b"")
@example("stripe", {"Stripe-Signature": "t=99999999999,v1=\udcff"}, "", b"")
def test_no_header_is_an_error(scheme: str, headers: dict[str, str], token: str, body: bytes) -> None:
    """Nor is it a proof."""
    sent = Sent(CIMultiDict(headers), token, body)
    assert verify(scheme, [key_of(scheme, secret_of(scheme))], sent, NOW_MS) in set(Finding) - {Finding.PROVEN}
