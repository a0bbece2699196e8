"""Security settings in librdkafka's names, translated to aiokafka's arguments: one set for both clients."""

import ssl
from collections.abc import Mapping

_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_NAMES = {
    "security.protocol",
    "sasl.mechanism",
    "sasl.mechanisms",
    "sasl.username",
    "sasl.password",
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.key.location",
    "ssl.key.password",
    "ssl.endpoint.identification.algorithm",
}


def for_aiokafka(security: Mapping[str, str]) -> dict[str, object]:
    """Keyword arguments that make an aiokafka client as secure as librdkafka with these settings.

    Reads the certificate files.  Raises ValueError that names the setting which is unknown, missing or wrong.
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


def _sasl_arguments(security: Mapping[str, str]) -> dict[str, object]:
    mechanism = security.get("sasl.mechanism", security.get("sasl.mechanisms", "PLAIN")).upper()
    if mechanism not in _MECHANISMS:
        raise ValueError(f"sasl.mechanism is {mechanism!r}: one of {', '.join(_MECHANISMS)}")
    for name in ("sasl.username", "sasl.password"):
        if not security.get(name):
            raise ValueError(f"{name} is needed for {mechanism}")
    return {
        "sasl_mechanism": mechanism,
        "sasl_plain_username": security["sasl.username"],
        "sasl_plain_password": security["sasl.password"],
    }


def _ssl_context(security: Mapping[str, str]) -> ssl.SSLContext:
    certificate = security.get("ssl.certificate.location")
    key = security.get("ssl.key.location")
    try:
        context = ssl.create_default_context(cafile=security.get("ssl.ca.location"))
        if certificate:
            context.load_cert_chain(certificate, key, security.get("ssl.key.password"))
    except (OSError, ssl.SSLError) as error:
        raise ValueError(f"cannot load the Kafka certificates: {error}") from error
    context.check_hostname = security.get("ssl.endpoint.identification.algorithm", "https").lower() != "none"
    return context
