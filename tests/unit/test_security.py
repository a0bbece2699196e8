"""Security settings: librdkafka's names mean the same to both clients."""

import ssl

import pytest

from streams.engine.config import EngineConfig
from streams.kafka.security import for_aiokafka


def test_plaintext_by_default() -> None:
    """No settings, no security."""
    assert for_aiokafka({}) == {"security_protocol": "PLAINTEXT"}


def test_scram_over_tls() -> None:
    """User, password and mechanism arrive, and the server's certificate and name are verified."""
    arguments = for_aiokafka(
        {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": "nps",
            "sasl.password": "secret",
        }
    )
    context = arguments.pop("ssl_context")
    assert arguments == {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "nps",
        "sasl_plain_password": "secret",
    }
    assert isinstance(context, ssl.SSLContext)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


@pytest.mark.parametrize(
    ("security", "reason"),
    [
        ({"security.protcol": "SSL"}, "unknown Kafka security setting 'security.protcol'"),
        ({"security.protocol": "TLS"}, "security.protocol is 'TLS'"),
        ({"security.protocol": "SASL_SSL", "sasl.mechanism": "GSSAPI"}, "sasl.mechanism is 'GSSAPI'"),
        ({"security.protocol": "SASL_PLAINTEXT", "sasl.username": "nps"}, "sasl.password is needed"),
        ({"security.protocol": "SSL", "ssl.ca.location": "/nowhere.pem"}, "cannot load the Kafka certificates"),
    ],
)
def test_wrong_settings_are_named(security: dict[str, str], reason: str) -> None:
    """What is wrong is refused when the configuration is made."""
    with pytest.raises(ValueError, match=reason):
        EngineConfig("localhost:9092", "nps", security=security)


def test_the_password_is_not_in_the_repr() -> None:
    """A configuration that is logged gives nothing away."""
    config = EngineConfig("localhost:9092", "nps", security={"sasl.password": "secret"})
    assert "secret" not in repr(config)
