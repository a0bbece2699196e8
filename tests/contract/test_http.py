"""HTTP clients: registry, ClickHouse and webhook obey one rule for proxies, and name a certificate that is at fault."""

import base64
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from schemas.codec import RegistryAway
from schemas.errors import BadInput
from schemas.events import Alert
from schemas.http import proxy_of, tls_context
from schemas.registry import ConfluentRegistry, RegistryPolicy
from sinks.clickhouse.client import connect
from sinks.notify.notifier import TryLater
from sinks.notify.webhook.notifier import WebhookNotifier
from sinks.warehouse import Misconfigured, Unavailable
from streams.local.servers import LocalServer
from tests.faults.harness.receiver import Receiver
from tests.support.certificates import Authority
from tests.support.front import front
from tests.support.registry_server import registry_server

SECRET = "whsec_" + "test" * 8
RECORD = '{"type": "record", "name": "Part", "fields": [{"name": "a", "type": "string"}]}'
ALERT = Alert(
    "a1", "s1", "open", "critical", "c1", "post", "delivered", "o1", 2, None, 1, 1_000, 2_000, ["all"], "p", 7
)
FAR = "http://server.invalid:8123"
"""An address that only a proxy can reach."""


class Client(NamedTuple):
    """A client of ours: the port of a server that it can use, its use at an address, and what it raises else."""

    port: int
    use: Callable[[str, str], object]
    away: type[Exception]


@pytest.fixture(params=["registry", "clickhouse", "webhook"])
def client(request: pytest.FixtureRequest, server: LocalServer) -> Iterator[Client]:
    """Each HTTP client there is; whoever adds one adds it here."""
    if request.param == "registry":
        with registry_server() as registry:
            yield Client(registry.server_port, ask_registry, RegistryAway)
    elif request.param == "webhook":
        with Receiver(SECRET) as receiver:
            yield Client(int(receiver.url.split(":")[2].split("/")[0]), post, TryLater)
    else:
        yield Client(int(server.address.rsplit(":", 1)[1]), query, Unavailable)


def ask_registry(url: str, ca: str) -> None:
    ConfluentRegistry(url, RegistryPolicy(tls=tls_context(ca))).id_of("nps.Part", RECORD)


def query(url: str, ca: str) -> None:
    with closing(connect(f"{url}/default", ca=ca, within_s=0.1)) as database:
        assert database.query("SELECT 1") == [(1,)]


def post(url: str, ca: str) -> None:
    WebhookNotifier(f"{url}/hook", SECRET).deliver(ALERT)


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ssl_cert_file"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_the_proxy_of_the_environment_is_used(client: Client, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """With its user and password; the server's name is the proxy's to find."""
    with front(client.port) as proxy:
        monkeypatch.setenv(name, f"http://ana:p%40ss@127.0.0.1:{proxy.server_port}")
        client.use(FAR, "")
        assert proxy.asked
        assert all(FAR in asked for asked in proxy.asked)
        assert proxy.users == {f"Basic {base64.b64encode(b'ana:p@ss').decode()}"}


@pytest.mark.parametrize(
    "excepted", ["server.invalid", ".invalid", "other.example,invalid", "server.invalid:8123", "*"]
)
def test_no_proxy_is_obeyed(client: Client, monkeypatch: pytest.MonkeyPatch, excepted: str) -> None:
    """The host is asked itself, which nobody finds; the proxy hears nothing."""
    with front(client.port) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.server_port}")
        monkeypatch.setenv("NO_PROXY", excepted)
        with pytest.raises(client.away):
            client.use(FAR, "")
        assert proxy.asked == []


def test_this_machine_needs_no_proxy(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The local servers are reached on a machine that has a proxy for all else."""
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    client.use(f"http://127.0.0.1:{client.port}", "")


@pytest.mark.parametrize(
    ("url", "no_proxy", "is_proxied"),
    [
        ("https://db.example:8443", "", True), ("https://db.example", "example", False),
        ("https://db.example", "b.example", True), ("https://10.1.2.3:8443/x", "10.0.0.0/8", False),
        ("https://11.1.2.3", "10.0.0.0/8", True), ("https://[fd00::7]:8443", "fd00::/8", False),
        ("https://10.1.2.3", "10.1.2.3", False), ("https://10.1.2.3", "10.1.2.0/33,nonsense/8,", True),
        ("https://127.8.8.8", "", False), ("https://[::1]:1", "", False), ("https://localhost", "", False),
        ("https://localhost.example", "", True), ("http://db.example", "", False),
    ],
)  # fmt: skip
def test_hosts_that_are_proxied(monkeypatch: pytest.MonkeyPatch, url: str, no_proxy: str, is_proxied: bool) -> None:
    """By the address's own scheme; but for this machine, and what NO_PROXY names, networks too."""
    monkeypatch.setenv("HTTPS_PROXY", "proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert proxy_of(url) == ("http://proxy.example:3128" if is_proxied else None)


@pytest.mark.parametrize("proxy", ["socks5://h:1", "http://", "http://h:99999", "ftp://h"])
def test_a_proxy_that_is_none(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    """One line that names the variable, at the start."""
    monkeypatch.setenv("HTTP_PROXY", proxy)
    with pytest.raises(BadInput, match="HTTP_PROXY or ALL_PROXY must look like"):
        ConfluentRegistry(FAR)


def test_a_certificate_that_is_not_trusted_is_named(client: Client, tmp_path: Path) -> None:
    """The error says certificate, and which setting trusts its authority; with that it works."""
    authority = Authority(tmp_path)
    with front(client.port, server_side(authority)) as secure:
        url = f"https://127.0.0.1:{secure.server_port}"
        with pytest.raises((client.away, Misconfigured), match="certificate is not trusted: ") as raised:
            client.use(url, "")
        if client.use is not post:
            assert {ask_registry: "NPS_REGISTRY_SSL_CA", query: "NPS_CLICKHOUSE_CA"}[client.use] in str(raised.value)  # type: ignore[index]
            client.use(url, authority.path)
            assert secure.asked


def test_a_certificate_of_another_host_is_named(
    client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Trusted, but for a name that is not the server's."""
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", authority.path)
    with (
        front(client.port, server_side(authority, "elsewhere.example")) as secure,
        pytest.raises((client.away, Misconfigured), match=r"certificate is not trusted: .*not valid for"),
    ):
        client.use(f"https://127.0.0.1:{secure.server_port}", authority.path)


def test_tls_goes_through_the_proxy(client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By a tunnel, in which the certificate is the server's."""
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", authority.path)
    with front(client.port, server_side(authority, "server.invalid")) as secure, front(secure.server_port) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.server_port}")
        client.use("https://server.invalid:8443", authority.path)
        assert set(proxy.asked) == {"CONNECT server.invalid:8443"}
        assert secure.asked


def test_https_on_a_port_without_tls(client: Client) -> None:
    """No certificate is missing there: it says that there is no TLS."""
    with pytest.raises(client.away, match="no TLS with it"):
        client.use(f"https://127.0.0.1:{client.port}", "")


@pytest.mark.parametrize(("password", "given"), [("secret", ""), ("secret", "wrong")])
def test_an_encrypted_key_asks_nobody(tmp_path: Path, password: str, given: str) -> None:
    """Without its password, or with a wrong one, it is refused in one line; a terminal is not asked."""
    certified = Authority(tmp_path).certify("nps", password)
    with pytest.raises(ValueError, match=r"nps-key\.pem cannot be loaded") as raised:
        tls_context("", certified.certificate, certified.key, given)
    assert ("needs a password" in str(raised.value)) == (not given)
    assert given not in str(raised.value) or not given
    assert isinstance(tls_context("", certified.certificate, certified.key, password), ssl.SSLContext)


@pytest.mark.parametrize("text", [None, "no certificate"])
def test_an_authority_that_is_none(tmp_path: Path, text: str | None) -> None:
    """A file that is missing or holds something else is named."""
    path = tmp_path / "ca.pem"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=r"ca\.pem holds no certificate of an authority"):
        tls_context(str(path))


def server_side(authority: Authority, *hosts: str) -> ssl.SSLContext:
    certified = authority.certify("server", hosts=hosts or ("127.0.0.1",))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certified.certificate, certified.key)
    return context
