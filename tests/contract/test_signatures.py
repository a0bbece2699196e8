"""Each scheme of webhooks against signatures of openssl and of the senders' own libraries and documents."""

import json
from base64 import b64encode
from datetime import UTC, datetime

import pytest
from multidict import CIMultiDict
from standardwebhooks import Webhook

from streams.clock import wall_ms
from streams.collector.signatures import SCHEMES, SIGNATURE_HEADERS, TOLERANCE_MS, Finding, Sent, key_of, verify
from streams.sources.language import SIGNATURES
from tests.support.signing import SECRET, STANDARD_SECRET, secret_of, signed

BODY = '{"id": 1, "note": "Grüße"}\n'.encode()
TIMED = ("stripe", "zendesk", "standard")
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


def finding_of(
    scheme: str, headers: dict[str, str], body: bytes = BODY, secrets: tuple[str, ...] = (), token: str = ""
) -> Finding:
    """What is found of a request now, under one or more secrets."""
    keys = [key_of(scheme, secret) for secret in secrets or (secret_of(scheme),)]
    return verify(scheme, keys, Sent(CIMultiDict(headers), token, body), wall_ms())


def test_the_schemes_are_those_of_the_mapping_files() -> None:
    """Every word of `verify` is known, and the headers of all are kept from the topic."""
    assert sorted(SCHEMES) == sorted(SIGNATURES)
    for scheme in SCHEMES:
        assert {name.lower() for name in signed(scheme, b"") if "ignature" in name} <= SIGNATURE_HEADERS | {
            "x-zendesk-webhook-signature-timestamp"
        }


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_signature_of_openssl_proves(scheme: str) -> None:
    """In any case of the header's name, of any bytes, and of none."""
    for body in (BODY, b"", b"\x00\xff" * 500):
        headers = signed(scheme, body)
        assert finding_of(scheme, headers, body) is Finding.PROVEN
        assert finding_of(scheme, {name.upper(): value for name, value in headers.items()}, body) is Finding.PROVEN


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_is_wrong_or_missing_is_refused(scheme: str) -> None:
    """Another body, another secret, a signature that is cut, is of nothing, or is not there."""
    headers = signed(scheme, BODY)
    if scheme != "token":  # which proves no body
        assert finding_of(scheme, headers, BODY[:-1]) is Finding.FORGED
        assert finding_of(scheme, headers, BODY + b" ") is Finding.FORGED
    assert finding_of(scheme, signed(scheme, BODY, OTHER)) is Finding.FORGED
    assert finding_of(scheme, {}) is Finding.MISSING
    proof = max(headers, key=lambda name: len(headers[name]))
    for wrong in ("", "=", "sha256=", "v1,", "t=1,v1=", "Bearer ", "\udcff", "é", "x" * 8_000):
        assert finding_of(scheme, {**headers, proof: wrong}) is not Finding.PROVEN
    if scheme != "stripe":  # whose last signature is of a scheme that is not looked at
        assert finding_of(scheme, {**headers, proof: headers[proof][:-1]}) is Finding.FORGED
        assert finding_of(scheme, {**headers, proof: headers[proof] + "0"}) is Finding.FORGED


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_old_secret_holds_while_it_is_replaced(scheme: str) -> None:
    """Two are valid, in either order, and a third is not."""
    old, third = secret_of(scheme), OTHER[:-4] + "AAAA"
    for secrets in ((OTHER, old), (old, OTHER)):
        for secret in secrets:
            assert finding_of(scheme, signed(scheme, BODY, secret), secrets=secrets) is Finding.PROVEN
        assert finding_of(scheme, signed(scheme, BODY, third), secrets=secrets) is Finding.FORGED


@pytest.mark.parametrize("scheme", TIMED)
def test_a_signature_holds_for_five_minutes(scheme: str) -> None:
    """Before and after our clock; what is repeated later is refused, and so is a time that was exchanged."""
    for ago_ms, found in (
        (TOLERANCE_MS - 30_000, Finding.PROVEN), (30_000 - TOLERANCE_MS, Finding.PROVEN),
        (TOLERANCE_MS + 2_000, Finding.STALE), (-TOLERANCE_MS - 30_000, Finding.STALE), (86_400_000, Finding.STALE),
    ):  # fmt: skip
        assert finding_of(scheme, signed(scheme, BODY, at_ms=wall_ms() - ago_ms)) is found
    old, new = signed(scheme, BODY, at_ms=wall_ms() - 900_000), signed(scheme, BODY)
    times = {"stripe": "Stripe-Signature", "zendesk": "X-Zendesk-Webhook-Signature-Timestamp"}
    name = times.get(scheme, "webhook-timestamp")
    moved = {**old, name: new[name]}
    if scheme == "stripe":
        moved = {name: new[name].split(",")[0] + "," + old[name].split(",", 1)[1]}
    assert finding_of(scheme, moved) is Finding.FORGED


@pytest.mark.parametrize("scheme", TIMED)
@pytest.mark.parametrize("time", ["", "soon", "-1", "9" * 40, "1e9", "2026-01-01T00:00:00", "²", "0x10"])
def test_a_time_that_is_none_is_no_proof(scheme: str, time: str) -> None:
    """Whatever stands there."""
    headers = signed(scheme, BODY)
    name = {"zendesk": "X-Zendesk-Webhook-Signature-Timestamp", "standard": "webhook-timestamp"}.get(scheme)
    wrong = {**headers, name: time} if name else {"Stripe-Signature": f"t={time},v1={'0' * 64}"}
    assert finding_of(scheme, wrong) is Finding.MISSING


def test_the_library_of_standard_webhooks_signs_for_us() -> None:
    """With its own names and with Svix's; the example of the specification too, in its own time."""
    text = BODY.decode()
    signature = Webhook(STANDARD_SECRET).sign("m1", at := datetime.now(UTC), text)
    for prefix in ("webhook", "svix"):
        headers = {
            f"{prefix}-id": "m1",
            f"{prefix}-timestamp": str(int(at.timestamp())),
            f"{prefix}-signature": signature,
        }
        assert finding_of("standard", headers) is Finding.PROVEN
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }  # fmt: skip
    sent = Sent(CIMultiDict(headers), "", b'{"test": 2432232314}')
    keys = [key_of("standard", STANDARD_SECRET)]
    assert verify("standard", keys, sent, 1_614_265_330_000) is Finding.PROVEN
    assert verify("standard", keys, sent, wall_ms()) is Finding.STALE


def test_our_own_alerts_would_be_taken() -> None:
    """What the notifier sends is Standard Webhooks: the two doors agree."""
    text = json.dumps({"alert": 1})
    at = datetime.now(UTC)
    headers = {
        "webhook-id": "a", "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(STANDARD_SECRET).sign("a", at, text),
    }  # fmt: skip
    assert finding_of("standard", headers, text.encode()) is Finding.PROVEN


def test_a_token_comes_as_senders_can_send_it() -> None:
    """As a bearer, as the password of Basic, or in the address."""
    basic = b64encode(f"anybody:{SECRET}".encode()).decode()
    for headers, token in (
        ({"Authorization": f"bearer {SECRET}"}, ""), ({"Authorization": f"Basic {basic}"}, ""), ({}, SECRET)
    ):  # fmt: skip
        assert finding_of("token", headers, token=token) is Finding.PROVEN
    for headers, token in (
        ({"Authorization": f"Digest {SECRET}"}, ""), ({"Authorization": "Basic !"}, ""), ({}, ""),
        ({"Authorization": f"Basic {b64encode(SECRET.encode()).decode()}"}, ""),
    ):  # fmt: skip
        assert finding_of("token", headers, token=token) is Finding.MISSING
    assert finding_of("token", {"Authorization": "Bearer x"}, token=SECRET) is Finding.FORGED


def test_a_secret_of_standard_webhooks_is_base64() -> None:
    """A typo is no shorter key; other secrets are text, whatever they begin with."""
    with pytest.raises(ValueError, match="must be base64 after whsec_"):
        key_of("standard", "whsec_not base64!")
    assert key_of("stripe", STANDARD_SECRET) == STANDARD_SECRET.encode()
    assert key_of("standard", STANDARD_SECRET.rstrip("=")) == key_of("standard", STANDARD_SECRET)
