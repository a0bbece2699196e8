"""Security settings: librdkafka's names mean the same to both clients."""

import asyncio
import base64
import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from streams.engine.config import EngineConfig
from streams.engine.oauth import TokenProvider
from streams.errors import BadSettings, BrokerAway
from streams.kafka.security import for_aiokafka, silence
from streams.settings import Settings
from tests.support.certificates import Authority
from tests.support.front import front


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


OAUTH = {
    "security.protocol": "SASL_PLAINTEXT",
    "sasl.mechanism": "OAUTHBEARER",
    "sasl.oauthbearer.method": "oidc",
    "sasl.oauthbearer.token.endpoint.url": "http://127.0.0.1:9/token",
    "sasl.oauthbearer.client.id": "nps",
    "sasl.oauthbearer.client.secret": "s€cret",
    "sasl.oauthbearer.scope": "a b",
}


def test_tokens_by_client_credentials() -> None:
    """One of the clients is given a provider of tokens beside these; settings make both clients' alike."""
    assert for_aiokafka(OAUTH) == {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "OAUTHBEARER"}
    settings = Settings(
        kafka_security_protocol="SASL_PLAINTEXT", kafka_sasl_mechanism="OAUTHBEARER",
        kafka_oauth_url="http://127.0.0.1:9/token", kafka_oauth_client_id="nps", kafka_oauth_client_secret="s€cret",
        kafka_oauth_scope="a b",
    )  # fmt: skip
    assert settings.security == OAUTH
    assert "s€cret" not in repr(settings)


class Idp(BaseHTTPRequestHandler):
    """Gives one token after the other, for as long as `life_s`; `answers` come first."""

    life_s = 100.0
    answers: ClassVar[list[tuple[int, bytes]]] = []
    asked: ClassVar[list[tuple[str, str]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.asked.append((self.headers["Authorization"], body))
        told = json.dumps({"access_token": f"t{len(self.asked)}", "expires_in": self.life_s}).encode()
        status, text = self.answers.pop(0) if self.answers else (200, told)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def idp() -> Iterator[str]:
    """The address of a server of tokens."""
    Idp.answers, Idp.asked, Idp.life_s = [], [], 100.0
    with ThreadingHTTPServer(("127.0.0.1", 0), Idp) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/token"
        server.shutdown()


def test_one_token_serves_while_it_is_fresh(idp: str) -> None:
    """Asked for once by who we are, and again only when it is about to end."""

    async def ask() -> list[str]:
        provider = TokenProvider({**OAUTH, "sasl.oauthbearer.token.endpoint.url": idp})
        first = [*await asyncio.gather(*(provider.token() for _ in range(5))), await provider.token()]
        Idp.life_s = 0.0
        short = TokenProvider({**OAUTH, "sasl.oauthbearer.token.endpoint.url": idp})
        return [*first, await short.token(), await short.token()]

    assert asyncio.run(ask()) == ["t1"] * 6 + ["t2", "t3"]
    user = base64.b64encode("nps:s€cret".encode()).decode()
    assert set(Idp.asked) == {(f"Basic {user}", "grant_type=client_credentials&scope=a+b")}


@pytest.mark.parametrize(
    "answer",
    [(401, b'{"error": "invalid_client"}'), (500, b"oops"), (200, b"[]"), (200, b"<html>"), (200, b'{"expires_in": 9}'),
     (302, b""), (200, b'{"access_token": "t", "expires_in": "soon"}'), (200, b"[" * 100_000)],
)  # fmt: skip
def test_no_token_is_kafka_away(idp: str, answer: tuple[int, bytes]) -> None:
    """Tried again by whoever connects; the setting is named, and no secret told."""
    Idp.answers = [answer]
    provider = TokenProvider({**OAUTH, "sasl.oauthbearer.token.endpoint.url": idp})
    with pytest.raises(BrokerAway, match=f"no token from NPS_KAFKA_OAUTH_URL: it answered {answer[0]}") as raised:
        asyncio.run(provider.token())
    assert "s€cret" not in str(raised.value)
    assert asyncio.run(provider.token()) == "t2"


def test_nobody_gives_tokens() -> None:
    """A refused connection is named likewise."""
    with pytest.raises(BrokerAway, match=r"NPS_KAFKA_OAUTH_URL: .*no answer"):
        asyncio.run(TokenProvider(OAUTH).token())


def test_a_port_that_wants_tls_is_found_out(tmp_path: Path) -> None:
    """One of ours without TLS gets no word from it; a look tells, and only then."""
    certified = Authority(tmp_path).certify("server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certified.certificate, certified.key)
    with front(9, context) as secure, front(9) as plain:
        ports = [f"127.0.0.1:{server.server_port}" for server in (secure, plain)]
        assert "this port wants TLS" in silence(ports[0], {})
        assert "this port wants TLS" in silence(
            f"nowhere.invalid:1, {ports[0]}", {"security.protocol": "sasl_plaintext"}
        )
        assert silence(ports[0], {"security.protocol": "ssl"}) == ""
        for address in (ports[1], "127.0.0.1:1", "127.0.0.1", "[::1]:1", "h:99999999", ""):
            assert silence(address, {}) == ""


@pytest.mark.parametrize("password", ["", "wrong"])
def test_an_encrypted_key_without_its_password(tmp_path: Path, password: str) -> None:
    """Refused at start, in one line, for both clients; with it both have it."""
    certified = Authority(tmp_path).certify("nps", "hunter2")
    encrypted = {
        "NPS_KAFKA_SECURITY_PROTOCOL": "SSL",
        "NPS_KAFKA_SSL_CERTIFICATE": certified.certificate,
        "NPS_KAFKA_SSL_KEY": certified.key,
    }
    with pytest.raises(BadSettings, match="cannot load the Kafka certificates") as raised:
        Settings.from_env({**encrypted, "NPS_KAFKA_SSL_KEY_PASSWORD": password})
    assert "\n" not in str(raised.value)
    settings = Settings.from_env({**encrypted, "NPS_KAFKA_SSL_KEY_PASSWORD": "hunter2"})
    assert settings.security["ssl.key.password"] == "hunter2"
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize(
    ("security", "reason"),
    [
        ({"security.protcol": "SSL"}, "unknown Kafka security setting 'security.protcol'"),
        ({"security.protocol": "TLS"}, "security.protocol is 'TLS'"),
        ({"security.protocol": "SASL_SSL", "sasl.mechanism": "GSSAPI"}, "sasl.mechanism is 'GSSAPI'"),
        ({"security.protocol": "SASL_PLAINTEXT", "sasl.username": "nps"}, "sasl.password is needed"),
        ({**OAUTH, "sasl.oauthbearer.client.secret": ""}, "sasl.oauthbearer.client.secret is needed for OAUTHBEARER"),
        ({**OAUTH, "https.ca.location": "/nowhere.pem"}, "/nowhere.pem"),
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
