"""Security settings in librdkafka's names, translated to aiokafka's arguments: one set for both clients."""

import socket
import ssl
from collections.abc import Mapping

from schemas.http import tls_context

_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
OAUTHBEARER = "OAUTHBEARER"
_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", OAUTHBEARER)
_OAUTH_NEEDS = (
    "sasl.oauthbearer.token.endpoint.url", "sasl.oauthbearer.client.id", "sasl.oauthbearer.client.secret",
)  # fmt: skip
_NAMES = {
    "security.protocol",
    "sasl.mechanism",
    "sasl.mechanisms",
    "sasl.username",
    "sasl.password",
    "sasl.oauthbearer.method",
    "sasl.oauthbearer.token.endpoint.url",
    "sasl.oauthbearer.client.id",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.scope",
    "https.ca.location",
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.key.location",
    "ssl.key.password",
    "ssl.endpoint.identification.algorithm",
}


def for_aiokafka(security: Mapping[str, str]) -> dict[str, object]:
    """Keyword arguments that make an aiokafka client as secure as librdkafka with these settings.

    For OAUTHBEARER it needs a provider of tokens beside them.  Reads the certificate files.  Raises ValueError that
    names the setting which is unknown, missing or wrong.
    """
    if unknown := sorted(set(security) - _NAMES):
        raise ValueError(f"unknown Kafka security setting {unknown[0]!r}: one of {', '.join(sorted(_NAMES))}")
    protocol = security.get("security.protocol", "PLAINTEXT").upper()
    if protocol not in _PROTOCOLS:
        raise ValueError(f"security.protocol is {protocol!r}: one of {', '.join(_PROTOCOLS)}")
    arguments: dict[str, object] = {"security_protocol": protocol}
    if protocol.startswith("SASL"):
        arguments |= _sasl_arguments(security)
    if protocol.endswith("SSL"):
        arguments["ssl_context"] = _ssl_context(security)
    return arguments


def mismatch(said: str) -> str:
    """Say which setting is probably wrong, by what librdkafka said of a connection; empty when nothing is known."""
    return next((advice for words, advice in _MISMATCHES.items() if words in said), "")


def silence(brokers: str, security: Mapping[str, str]) -> str:
    """Say what is probably wrong where brokers hang up without a word: they want TLS, as a look shows; else empty."""
    if "SSL" in security.get("security.protocol", "PLAINTEXT").upper():
        return ""
    return _WANTS_TLS if any(map(_speaks_tls, brokers.split(","))) else ""


def _speaks_tls(address: str) -> bool:
    """True when somebody at host:port shakes hands by TLS; whose certificate it is does not matter here."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    host, _, port = address.strip().rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _LOOK_S) as plain, context.wrap_socket(plain):
            return True
    except (OSError, ValueError, OverflowError):
        return False


_LOOK_S = 2.0
_WANTS_TLS = "this port wants TLS: set NPS_KAFKA_SECURITY_PROTOCOL to SSL or SASL_SSL"

_MISMATCHES = {
    "PLAINTEXT broker listener": "this port speaks no TLS: set NPS_KAFKA_SECURITY_PROTOCOL to PLAINTEXT or "
    "SASL_PLAINTEXT, or NPS_BROKERS to the port that does",
    "SSL listener": _WANTS_TLS,
    "SASL listener": "this port wants a user: set NPS_KAFKA_SECURITY_PROTOCOL to SASL_SSL or SASL_PLAINTEXT",
    "certificate verify failed": "its certificate is not trusted: set NPS_KAFKA_SSL_CA",
    "unable to get local issuer": "its certificate is not trusted: set NPS_KAFKA_SSL_CA",
    "certificate required": "it wants our certificate: set NPS_KAFKA_SSL_CERTIFICATE and NPS_KAFKA_SSL_KEY",
    "OIDC": "no token: see NPS_KAFKA_OAUTH_URL and what belongs to it",
    "OAUTHBEARER": "no token: see NPS_KAFKA_OAUTH_URL and what belongs to it",
}
"""Advice by words of librdkafka's; the first that fits holds."""


def _sasl_arguments(security: Mapping[str, str]) -> dict[str, object]:
    mechanism = security.get("sasl.mechanism", security.get("sasl.mechanisms", "PLAIN")).upper()
    if mechanism not in _MECHANISMS:
        raise ValueError(f"sasl.mechanism is {mechanism!r}: one of {', '.join(_MECHANISMS)}")
    for name in _OAUTH_NEEDS if mechanism == OAUTHBEARER else ("sasl.username", "sasl.password"):
        if not security.get(name):
            raise ValueError(f"{name} is needed for {mechanism}")
    if mechanism == OAUTHBEARER:
        _ = oauth_context(security)
        return {"sasl_mechanism": mechanism}
    return {
        "sasl_mechanism": mechanism,
        "sasl_plain_username": security["sasl.username"],
        "sasl_plain_password": security["sasl.password"],
    }


def oauth_context(security: Mapping[str, str]) -> ssl.SSLContext:
    """TLS context for the server of tokens.  Raises ValueError for a file that cannot be loaded."""
    return tls_context(security.get("https.ca.location", ""))


def _ssl_context(security: Mapping[str, str]) -> ssl.SSLContext:
    names = ("ssl.ca.location", "ssl.certificate.location", "ssl.key.location", "ssl.key.password")
    try:
        context = tls_context(*(security.get(name, "") for name in names))
    except ValueError as error:
        raise ValueError(f"cannot load the Kafka certificates: {error}") from error
    context.check_hostname = security.get("ssl.endpoint.identification.algorithm", "https").lower() != "none"
    return context
