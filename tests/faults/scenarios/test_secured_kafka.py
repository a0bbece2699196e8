"""A Kafka that asks who we are, by SCRAM, certificate or token, and what we may: processes as operators run them."""

import base64
import json
import re
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.parse import parse_qs
from urllib.request import urlopen

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType
from confluent_kafka.admin._scram import (
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)

from schemas.codec import Codec
from schemas.events import Purchase
from schemas.topics import DECISIONS, PURCHASES
from streams.errors import ExitCode
from streams.local.servers import HOST, local_clickhouse
from tests.faults.harness.kafka import KafkaCluster
from tests.support.certificates import Authority, Certified
from tests.support.collector import Collecting, environ
from tests.support.commands import BOUND_S, ROOT, Service, done, run

pytestmark = pytest.mark.kafka

README = (ROOT / "README.md").read_text(encoding="utf-8")
ACLS = re.findall(r"kafka-acls\.sh --add --allow-principal User:(\w+) (--operation .*)", README)
"""Principal and the rest of each line in the README."""

CLIENT, SECRET, SCOPE = "nps-client", "client s€cret", "kafka"
JAAS = "org.apache.kafka.common.security."


class Secured(NamedTuple):
    """A broker with a listener for each kind, and settings of ours by kind for a user of any name."""

    cluster: KafkaCluster
    authority: Authority
    certified: Certified
    tokens: "TokenServer"

    def settings(self, kind: str, user: str = "nps") -> dict[str, str]:
        """What an operator exports to reach the listener of this kind."""
        common = {"NPS_BROKERS": self.cluster.address(kind.upper()), "NPS_PARTITIONS": "1", "NPS_SERVER_WAIT_S": "60"}
        tls = {"NPS_KAFKA_SSL_CA": self.authority.path}
        if kind == "scram":
            return {
                **common, **tls, "NPS_KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "NPS_KAFKA_SASL_USERNAME": user,
                "NPS_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512", "NPS_KAFKA_SASL_PASSWORD": f"{user}'s",
            }  # fmt: skip
        if kind == "mtls":
            return {
                **common, **tls, "NPS_KAFKA_SECURITY_PROTOCOL": "SSL", "NPS_KAFKA_SSL_KEY": self.certified.key,
                "NPS_KAFKA_SSL_CERTIFICATE": self.certified.certificate, "NPS_KAFKA_SSL_KEY_PASSWORD": "hunter2",
            }  # fmt: skip
        return {
            **common, "NPS_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "NPS_KAFKA_SASL_MECHANISM": "OAUTHBEARER",
            "NPS_KAFKA_OAUTH_URL": self.tokens.url, "NPS_KAFKA_OAUTH_CLIENT_ID": CLIENT,
            "NPS_KAFKA_OAUTH_CLIENT_SECRET": SECRET, "NPS_KAFKA_OAUTH_SCOPE": SCOPE,
        }  # fmt: skip


class TokenServer(ThreadingHTTPServer):
    """Server of tokens by client credentials, without signatures, as a broker takes them by default."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__((HOST, 0), _TokenHandler)
        self.given = 0

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.server_port}/token"


class _TokenHandler(BaseHTTPRequestHandler):
    server: TokenServer

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        credentials = base64.b64decode(self.headers["Authorization"].removeprefix("Basic ")).decode()
        is_ours = credentials == f"{CLIENT}:{SECRET}" and form["scope"] == [SCOPE]
        self.send_response(200 if is_ours and form["grant_type"] == ["client_credentials"] else 401)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.server.given += 1
        self.wfile.write(json.dumps({"access_token": token(), "expires_in": 60, "token_type": "Bearer"}).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def token() -> str:
    """A token without a signature, which says that we are `nps`."""
    now_s = int(time.time())
    parts = {"alg": "none", "typ": "JWT"}, {"sub": "nps", "iat": now_s, "exp": now_s + 60, "scope": [SCOPE]}
    return ".".join(base64.urlsafe_b64encode(json.dumps(each).encode()).decode().rstrip("=") for each in parts) + "."


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """One broker; whoever comes by the plain port may do all, everybody else what ACLs allow."""
    folder = tmp_path_factory.mktemp("secured")
    authority = Authority(folder)
    broker, certified = authority.certify("broker"), authority.certify("nps", "hunter2")
    properties = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512,OAUTHBEARER",
        "listener.name.scram.sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.scram.scram-sha-512.sasl.jaas.config": f"{JAAS}scram.ScramLoginModule required;",
        "listener.name.oauth.sasl.enabled.mechanisms": "OAUTHBEARER",
        "listener.name.oauth.oauthbearer.sasl.jaas.config":
            f'{JAAS}oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";',
        "ssl.keystore.type": "PEM", "ssl.keystore.location": broker.both,
        "ssl.truststore.type": "PEM", "ssl.truststore.location": authority.path,
        "listener.name.mtls.ssl.client.auth": "required",
        "ssl.principal.mapping.rules": "RULE:^CN=(.*?)$/$1/,DEFAULT",
    }  # fmt: skip
    listeners = {"SCRAM": "SASL_SSL", "MTLS": "SSL", "OAUTH": "SASL_PLAINTEXT"}
    tokens = TokenServer()
    threading.Thread(target=tokens.serve_forever, args=(0.02,), daemon=True).start()
    with KafkaCluster(folder, properties=properties, listeners=listeners) as cluster:
        done("topics", environ={"NPS_BROKERS": cluster.bootstrap, "NPS_PARTITIONS": "1"})
        admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        for user in ("nps", "stranger", "noticer", "reader", "writer"):
            wanted: list[UserScramCredentialAlteration] = [
                UserScramCredentialUpsertion(user, info, f"{user}'s".encode())
            ]
            for future in admin.alter_user_scram_credentials(wanted).values():
                future.result(BOUND_S)
        for principal, rest in ACLS:
            allow(admin, principal, rest)
        yield Secured(cluster, authority, certified, tokens)
    tokens.shutdown()
    tokens.server_close()


def allow(admin: AdminClient, principal: str, rest: str) -> None:
    """Add the ACLs that a line of kafka-acls.sh adds."""
    words = re.findall(r"--(\S+)(?: (?!--)(\S+))?", rest)
    resource = next((kind, name) for kind, name in words if kind in ("topic", "group", "cluster"))
    prefixed = ("resource-pattern-type", "prefixed") in words
    pattern = ResourcePatternType.PREFIXED if prefixed else ResourcePatternType.LITERAL
    kind, name = (
        {"topic": ResourceType.TOPIC, "group": ResourceType.GROUP, "cluster": ResourceType.BROKER}[resource[0]],
        resource[1],
    )
    names = {"Read": "READ", "Write": "WRITE", "Create": "CREATE", "Describe": "DESCRIBE",
             "DescribeConfigs": "DESCRIBE_CONFIGS"}  # fmt: skip
    for operation in [text for kind_, text in words if kind_ == "operation"]:
        binding = AclBinding(
            kind, name or "kafka-cluster", pattern, f"User:{principal}", "*", AclOperation[names[operation]],
            AclPermissionType.ALLOW,
        )  # fmt: skip
        for future in admin.create_acls([binding]).values():
            future.result(BOUND_S)


def test_the_readme_has_the_acls() -> None:
    """What is added is what operators are told to add."""
    assert len(ACLS) >= 3


@pytest.mark.parametrize("kind", ["scram", "mtls", "oauth"])
def test_every_process_runs_by_the_acls_of_the_readme(secured: Secured, kind: str, tmp_path: Path) -> None:
    """Topics are verified, a purchase is decided, its row written, alerts read; whoever we are told by."""
    with local_clickhouse(tmp_path / "clickhouse") as clickhouse:
        environ = {**secured.settings(kind), "NPS_CLICKHOUSE_URL": f"{clickhouse.address}/nps"}
        assert "topics are as they should be" in done("topics", "--verify", environ=environ)
        done("migrate", environ=environ)
        names = ("worker", "sink", "notify")
        ready: dict[str, Service] = {}
        with (
            Service(names[0], environ, tmp_path / "worker.log") as worker,
            Service(names[1], environ, tmp_path / "sink.log") as sink,
            Service(names[2], environ, tmp_path / "notify.log") as notifier,
        ):
            ready = dict(zip(names, (worker, sink, notifier), strict=True))
            send(secured.cluster.bootstrap, f"{kind}-1")
            worker.until(lambda: decided(secured.cluster.bootstrap, f"{kind}-1"), "the purchase is decided")
            sink.until(lambda: f"{kind}-1" in query(environ), "its row is written")
            for service in ready.values():
                assert service.is_running(), service.said()
            for name, service in ready.items():
                assert service.stop() == ExitCode.OK, (name, service.said())
    assert kind != "oauth" or secured.tokens.given >= 4


def query(environ: Mapping[str, str]) -> str:
    return run("query", "SELECT trigger_id FROM decisions", environ=environ).stdout


def send(brokers: str, id_: str) -> None:
    now_ms = int(time.time() * 1000)
    event = Purchase("shop", id_, "order.delivered", now_ms, f"c-{id_}", id_, None, None, {})
    producer = Producer({"bootstrap.servers": brokers, "partitioner": "murmur2_random"})
    producer.produce(PURCHASES.name, Codec().encode(event), event.customer_id.encode())
    assert producer.flush(BOUND_S) == 0


def decided(brokers: str, id_: str) -> bool:
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "looking", "auto.offset.reset": "earliest"})
    try:
        consumer.subscribe([DECISIONS.name])
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            message = consumer.poll(0.5)
            if message is not None and message.error() is None and message.key() == f"c-{id_}".encode():
                return True
        return False
    finally:
        consumer.close()


@pytest.mark.parametrize("command", ["worker", "sink", "notify", "topics"])
def test_who_may_nothing_is_told_what_to_add(secured: Secured, command: str) -> None:
    """2, and the ACL in one line."""
    ended = run(command, environ=secured.settings("scram", "stranger"))
    assert ended.returncode == ExitCode.BAD_SETTINGS, ended
    assert re.search(r"ACLs do not allow us (Describe|Create) on topic nps\.", ended.stderr), ended
    assert "kafka-acls.sh --add --allow-principal User:... --operation " in ended.stderr


@pytest.mark.parametrize("command", ["worker", "sink", "notify"])
def test_a_group_that_acls_refuse_is_named(secured: Secured, command: str, tmp_path: Path) -> None:
    """All topics are ours to use, the group is not: 2, and the ACL of the group."""
    admin = AdminClient({"bootstrap.servers": secured.cluster.bootstrap})
    allow(
        admin,
        "noticer",
        "--operation Read --operation Write --operation Describe --topic nps. --resource-pattern-type prefixed",
    )
    with local_clickhouse(tmp_path / "clickhouse") as clickhouse:
        environ = {**secured.settings("scram", "noticer"), "NPS_CLICKHOUSE_URL": f"{clickhouse.address}/nps"}
        done("migrate", environ=environ)
        ended = run(command, environ=environ)
    group = {"worker": "nps-worker", "sink": "nps-sink", "notify": "nps-notifier"}[command]
    assert ended.returncode == ExitCode.BAD_SETTINGS, ended
    assert f"Kafka's ACLs do not allow us Read on group {group}: kafka-acls.sh --add" in ended.stderr
    assert f"--operation Read --group {group}" in ended.stderr


@pytest.mark.parametrize(
    ("user", "writable", "says"),
    [
        ("reader", [], "IdempotentWrite on cluster: kafka-acls.sh --add"),
        ("writer", ["nps.wakeups"], "Write on topic nps.journeys: kafka-acls.sh --add"),
    ],
)
def test_what_may_not_be_written_is_named(
    secured: Secured, user: str, writable: list[str], says: str, tmp_path: Path
) -> None:
    """All is ours to read, little or nothing to write: 2, and the ACL that is needed first."""
    admin = AdminClient({"bootstrap.servers": secured.cluster.bootstrap})
    allow(admin, user, "--operation Read --operation Describe --topic nps. --resource-pattern-type prefixed")
    allow(admin, user, "--operation Read --group nps- --resource-pattern-type prefixed")
    for topic in writable:
        allow(admin, user, f"--operation Write --topic {topic}")
    send(secured.cluster.bootstrap, f"for {user}")
    with Service("worker", secured.settings("scram", user), tmp_path / "worker.log") as worker:
        assert worker.ended() == ExitCode.BAD_SETTINGS, worker.said()
    assert f"Kafka's ACLs do not allow us {says}" in worker.said()


def test_a_collector_that_may_not_write_is_told_which_acl(secured: Secured, tmp_path: Path) -> None:
    """The person is asked to come back; whoever is on call reads what to add."""
    admin = AdminClient({"bootstrap.servers": secured.cluster.bootstrap})
    allow(admin, "reader", "--operation Describe --topic nps. --resource-pattern-type prefixed")
    told = environ(secured.cluster.bootstrap, secured.settings("scram", "reader"))
    with Collecting(told, tmp_path / "collector.log", partitions=1) as collector:
        with pytest.raises(HTTPError) as refused:
            urlopen(f"{collector.link()}?score=9")
        assert refused.value.code == 503
        collector.until(
            lambda: "Kafka's ACLs do not allow us Write on topic nps.responses: kafka-acls.sh" in collector.said(),
            "the ACL is named",
        )


@pytest.mark.parametrize("command", ["worker", "topics"])
@pytest.mark.parametrize(
    ("listener", "changed", "says"),
    [
        (None, {"NPS_KAFKA_SECURITY_PROTOCOL": "ssl"}, "this port speaks no TLS"),
        ("MTLS", {"NPS_KAFKA_SECURITY_PROTOCOL": "PLAINTEXT"}, "this port wants TLS"),
        ("SCRAM", {"NPS_KAFKA_SSL_CA": ""}, "its certificate is not trusted: set NPS_KAFKA_SSL_CA"),
        ("SCRAM", {"NPS_KAFKA_SASL_PASSWORD": "wrong"}, "uthentication"),
        ("OAUTH", {"NPS_KAFKA_OAUTH_CLIENT_SECRET": "wrong"}, "NPS_KAFKA_OAUTH_URL"),
    ],
)  # fmt: skip
def test_settings_that_do_not_fit_the_port(
    secured: Secured, command: str, listener: str | None, changed: dict[str, str], says: str
) -> None:
    """What is wrong is named, with the setting, within the bound."""
    environ = secured.settings((listener or "scram").lower()) | {"NPS_SERVER_WAIT_S": "8"} | changed
    environ |= {} if listener else {"NPS_BROKERS": secured.cluster.bootstrap}
    ended = run(command, environ=environ)
    assert ended.returncode == ExitCode.BROKER_AWAY, ended
    assert says in ended.stderr, ended
    assert "wrong" not in ended.stderr
