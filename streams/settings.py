"""Settings of the pipeline, read once from the `NPS_*` names of the environment.

BadSettings   a name is unknown or a value wrong; the message is one line that names it and says what to do
"""

import re
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from schemas.display import nearest
from schemas.http import tls_context
from schemas.registry import RegistryPolicy
from streams.domain.links import Keys
from streams.engine.config import EngineConfig
from streams.errors import BadSettings

PREFIX = "NPS_"
RECEIVER_PREFIX = "NPS_RECEIVER_"
"""Begin of the names of receivers' secrets, which are checked with the program file's receivers."""


def _setting(default: Any, meaning: str, *, secret: bool = False) -> Any:
    return field(default=default, metadata={"meaning": meaning, "secret": secret}, repr=not secret)


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings.  A field `brokers` is read from `NPS_BROKERS`; every field has a default that works locally."""

    brokers: str = _setting("127.0.0.1:9092", "Kafka, host:port, several separated by commas.")
    group: str = _setting(
        "nps",
        "Prefix of consumer groups: <group>-worker, -sink, -notifier, -incidents, -comments, -notify-<receiver> ...",
    )
    instance: str = _setting("", "A name of this process that outlives restarts; Kafka then rebalances later.")
    program: str = _setting("", "Path of the program file; empty for the one that ships with the pipeline.")
    partitions: int = _setting(6, "Partitions of the topics that `nps topics` creates; fixed for their life.")
    replication: int = _setting(1, "Copies of each partition that `nps topics` asks for; 3 in production.")
    topic_epoch: int = _setting(0, "Raise by one whenever topics are recreated, so that new rows beat old ones.")
    registry_url: str = _setting(
        "", "Confluent-compatible schema registry; empty for single-object encoding.", secret=True
    )
    registry_basic_auth_user_info: str = _setting(
        "", "user:password for the registry; those in its address otherwise.", secret=True
    )
    registry_bearer_auth_token: str = _setting("", "Token for the registry, instead of a password.", secret=True)
    registry_ssl_ca: str = _setting("", "File with the authority that signed the registry's certificate.")
    registry_ssl_certificate: str = _setting("", "File with our certificate, where the registry wants one.")
    registry_ssl_key: str = _setting("", "File with that certificate's key.")
    registry_ssl_key_password: str = _setting("", "Password of that key, where it is encrypted.", secret=True)
    registry_subject_name_strategy: str = _setting(
        "RecordNameStrategy", "Subjects of our schemas: RecordNameStrategy, TopicNameStrategy, TopicRecordNameStrategy."
    )
    registry_auto_register_schemas: bool = _setting(
        True, "Whether our schemas are registered; false: they must be there, or versions that encode the same."
    )
    registry_use_latest_version: bool = _setting(
        False, "Write under the subject's latest version, which must encode as ours does."
    )
    session_timeout_ms: int = _setting(10_000, "After this silence Kafka gives a worker's partitions away.")
    rebalance_timeout_ms: int = _setting(60_000, "How long Kafka waits for all workers at a rebalance.")
    fetch_wait_ms: int = _setting(5, "How long Kafka may hold a fetch when nothing is new.")
    fetch_bytes: int = _setting(1_048_576, "The most that one fetch takes from one partition: the size of a batch.")
    commit_interval_ms: int = _setting(1_000, "How often finished batches are committed: what a crash reads again.")
    server_wait_s: int = _setting(60, "How long to wait for Kafka, ClickHouse or the registry before giving up.")
    stall_s: int = _setting(
        60, "How long records may lie in a partition without one being applied; then the worker ends."
    )
    kafka_security_protocol: str = _setting("PLAINTEXT", "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.")
    kafka_sasl_mechanism: str = _setting("", "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER.")
    kafka_sasl_username: str = _setting("", "User name for SASL.")
    kafka_sasl_password: str = _setting("", "Password for SASL.", secret=True)
    kafka_oauth_url: str = _setting("", "Where OAUTHBEARER gets its tokens, by client credentials.")
    kafka_oauth_client_id: str = _setting("", "Our client id there.")
    kafka_oauth_client_secret: str = _setting("", "Our client secret there.", secret=True)
    kafka_oauth_scope: str = _setting("", "Scope of the tokens, where one is needed.")
    kafka_oauth_ca: str = _setting("", "File with the authority that signed the certificate of that server.")
    kafka_ssl_ca: str = _setting("", "File with the authority that signed Kafka's certificate.")
    kafka_ssl_certificate: str = _setting("", "File with our certificate, where Kafka wants one.")
    kafka_ssl_key: str = _setting("", "File with our certificate's key.")
    kafka_ssl_key_password: str = _setting("", "Password of that key, where it is encrypted.", secret=True)
    clickhouse_url: str = _setting(
        "http://127.0.0.1:8123/nps", "ClickHouse, http(s)://user:password@host:port/database.", secret=True
    )
    clickhouse_ca: str = _setting("", "File with the authority that signed ClickHouse's certificate.")
    clickhouse_cluster: str = _setting(
        "", "Its cluster of one shard, where `nps migrate` makes replicated tables; empty for one server."
    )
    sink_rows: int = _setting(50_000, "Rows that make a batch.")
    sink_bytes: int = _setting(16_777_216, "Bytes that make a batch.")
    sink_age_ms: int = _setting(1_000, "Age at which a batch is written, whatever its size.")
    webhook_url: str = _setting("", "Where alerts are posted; empty prints them.", secret=True)
    webhook_secret: str = _setting(
        "", "Signs each post by Standard Webhooks: whsec_ and base64, or other text of 24 bytes or more.", secret=True
    )
    sources_key: str = _setting(
        "", "Key of the pseudonyms that mapping files ask for, 16 characters or more; another key, other customers.",
        secret=True,
    )  # fmt: skip
    link_keys: str = _setting(
        "",
        "Keys of survey links, id:secret, several separated by commas, the first signs; empty for none.",
        secret=True,
    )
    collector_host: str = _setting("127.0.0.1", "Address on which `nps collector` takes answers; loopback by default.")
    collector_port: int = _setting(8090, "Its port; 0 for any that is free.")
    collector_url: str = _setting(
        "", "Its address for customers, which links begin with; empty for http, host and port."
    )
    collector_key: str = _setting("", "Bearer key of its POST /responses; empty refuses them.", secret=True)
    collector_sources: str = _setting(
        "", "Mapping files whose webhooks it takes at POST /sources/<name>, paths separated by commas; empty for none."
    )
    collector_proxies: int = _setting(
        0, "Reverse proxies before it, each of which adds to X-Forwarded-For, or to Forwarded and drops the former."
    )
    collector_link_rate: int = _setting(60, "Requests a minute that it takes for one survey link.")
    collector_address_rate: int = _setting(600, "Requests a minute that it takes from one address.")
    collector_connections: int = _setting(500, "Connections that it holds; beyond them the longest idle is closed.")
    collector_address_connections: int = _setting(100, "Connections that it holds of one address, without proxies.")
    collector_wait_ms: int = _setting(3_000, "How long a person waits until Kafka has the answer.")
    page_host: str = _setting("127.0.0.1", "Address on which `nps page` shows the live page; loopback by default.")
    page_port: int = _setting(8091, "Its port; 0 for any that is free.")
    page_url: str = _setting("", "Its address for people, as their browsers name it; empty for http, host and port.")
    page_tokens: str = _setting(
        "", "Who may see it: name:role:sha256, several separated by commas; role viewer or responder.", secret=True
    )
    page_proxies: int = _setting(0, "Reverse proxies before it, as for the collector.")
    metrics_host: str = _setting("127.0.0.1", "Address on which Prometheus metrics are served.")
    metrics_port: int = _setting(0, "Port of the metrics; 0 serves none.")
    wakeups_per_s: int = _setting(
        2_000, "Customers a second whose due time a worker announces: how fast a backlog of surveys leaves."
    )
    fuse_in_a_row: int = _setting(1_000, "So many bad records in a row stop the worker.")
    fuse_ratio: float = _setting(0.5, "More than this share of bad records among the last 10,000 stops the worker.")

    def __post_init__(self) -> None:
        """Raises BadSettings for a value out of its range and for a malformed address, key or Kafka setting."""
        for name in (
            "partitions", "replication", "sink_rows", "sink_bytes", "sink_age_ms", "server_wait_s", "stall_s",
            "wakeups_per_s", "collector_link_rate", "collector_address_rate", "collector_wait_ms",
            "collector_connections", "collector_address_connections",
        ):  # fmt: skip
            if getattr(self, name) <= 0:
                raise BadSettings(f"{PREFIX}{name.upper()} must be above 0")
        for name, lowest, highest in (
            ("topic_epoch", 0, 32_767), ("metrics_port", 0, 65_535), ("fuse_in_a_row", 1, 1_000_000),
            ("fuse_ratio", 0, 1), ("collector_port", 0, 65_535), ("collector_proxies", 0, 100),
            ("page_port", 0, 65_535), ("page_proxies", 0, 100),
        ):  # fmt: skip
            if not lowest <= getattr(self, name) <= highest:
                raise BadSettings(f"{PREFIX}{name.upper()} must be {lowest} to {highest}")
        for broker in self.brokers.split(",") if self.brokers else ():
            if not _is_broker(broker.strip()):
                raise BadSettings(
                    f"NPS_BROKERS must be host:port, several separated by commas, not {broker!r}; "
                    "NPS_KAFKA_SECURITY_PROTOCOL says how to speak with them"
                )
        if not _is_http(self.clickhouse_url):
            raise BadSettings("NPS_CLICKHOUSE_URL must look like http://user:password@host:port/database")
        for name in ("webhook_url", "registry_url", "kafka_oauth_url", "collector_url", "page_url"):
            if getattr(self, name) and not _is_http(getattr(self, name)):
                raise BadSettings(f"{PREFIX}{name.upper()} must look like http://host:port or https://host")
        try:
            _ = self.registry
        except ValueError as error:
            raise BadSettings(f"registry settings: {error}") from None
        try:
            _ = tls_context(self.clickhouse_ca) if self.clickhouse_url.startswith("https") else None
        except ValueError as error:
            raise BadSettings(f"NPS_CLICKHOUSE_CA: {error}") from None
        try:
            _ = self.keys
        except ValueError as error:
            raise BadSettings(f"NPS_LINK_KEYS: {error}") from None
        try:
            self.engine()
        except ValueError as error:
            raise BadSettings(f"Kafka settings: {error}") from None

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Settings":
        """Read every `NPS_*` name.  Raises BadSettings for one that does not exist or does not parse."""
        known = {PREFIX + setting.name.upper(): setting for setting in fields(cls)}
        texts = {
            name: text
            for name, text in environ.items()
            if name.startswith(PREFIX) and not name.startswith(RECEIVER_PREFIX)
        }
        if unknown := sorted(set(texts) - set(known) - RESERVED):
            hint = nearest(unknown[0], known)
            raise BadSettings(f"{unknown[0]} is no setting{hint}; `nps config` lists them all")
        values: dict[str, Any] = {
            setting.name: _parse(name, texts[name], setting) for name, setting in known.items() if name in texts
        }
        return cls(**values)

    @property
    def security(self) -> dict[str, str]:
        """Kafka's security settings under librdkafka's names, without those that are not set."""
        options = {
            "security.protocol": self.kafka_security_protocol,
            "sasl.mechanism": self.kafka_sasl_mechanism,
            "sasl.username": self.kafka_sasl_username,
            "sasl.password": self.kafka_sasl_password,
            **(self._oauth if self.kafka_sasl_mechanism.upper() == "OAUTHBEARER" else {}),
            "ssl.ca.location": self.kafka_ssl_ca,
            "ssl.certificate.location": self.kafka_ssl_certificate,
            "ssl.key.location": self.kafka_ssl_key,
            "ssl.key.password": self.kafka_ssl_key_password,
        }
        return {name: value for name, value in options.items() if value}

    @property
    def _oauth(self) -> dict[str, str]:
        return {
            "sasl.oauthbearer.method": "oidc",
            "sasl.oauthbearer.token.endpoint.url": self.kafka_oauth_url,
            "sasl.oauthbearer.client.id": self.kafka_oauth_client_id,
            "sasl.oauthbearer.client.secret": self.kafka_oauth_client_secret,
            "sasl.oauthbearer.scope": self.kafka_oauth_scope,
            "https.ca.location": self.kafka_oauth_ca,
        }

    @property
    def registry(self) -> RegistryPolicy | None:
        """Use of the schema registry; None without any.  Raises ValueError for settings that do not go together."""
        if not self.registry_url:
            return None
        return RegistryPolicy(
            user_info=self.registry_basic_auth_user_info,
            token=self.registry_bearer_auth_token,
            tls=tls_context(
                self.registry_ssl_ca, self.registry_ssl_certificate, self.registry_ssl_key,
                self.registry_ssl_key_password,
            ),
            subject_name=self.registry_subject_name_strategy,
            auto_register=self.registry_auto_register_schemas,
            use_latest=self.registry_use_latest_version,
        )  # fmt: skip

    @property
    def keys(self) -> Keys | None:
        """Keys of survey links; None without any."""
        return Keys.parse(self.link_keys) if self.link_keys else None

    @property
    def collector_address(self) -> str:
        """Address with which survey links begin, without a slash at its end."""
        return self.collector_url.rstrip("/") or f"http://{self.collector_host}:{self.collector_port}"

    @property
    def program_path(self) -> Path | None:
        """Path of the program file; None for the file that ships with the pipeline."""
        return Path(self.program) if self.program else None

    @property
    def webhook_files(self) -> list[Path]:
        """Paths of the mapping files whose webhooks the collector takes."""
        return [Path(path.strip()) for path in self.collector_sources.split(",") if path.strip()]

    def engine(self) -> EngineConfig:
        """Configuration of a worker's engine.  Raises ValueError for Kafka settings that do not go together."""
        return EngineConfig(
            brokers=self.brokers,
            group=f"{self.group}-worker",
            client_id="nps-worker",
            instance_id=self.instance or None,
            security=self.security,
            session_timeout_ms=self.session_timeout_ms,
            rebalance_timeout_ms=self.rebalance_timeout_ms,
            fetch_wait_ms=self.fetch_wait_ms,
            partition_fetch_bytes=self.fetch_bytes,
            commit_interval_ms=self.commit_interval_ms,
            broker_wait_ms=self.server_wait_s * 1000,
            stall_ms=self.stall_s * 1000,
        )


RESERVED = frozenset({"NPS_REQUIRE_CLIENTS", "NPS_REQUIRE_KAFKA"})
"""Names that are no settings and not refused: the tests read them."""


def rows() -> list[tuple[str, str, str]]:
    """Name, default and meaning of every setting: the table in the README and in `nps config`."""
    return [
        (PREFIX + setting.name.upper(), _text(setting.default), setting.metadata["meaning"])
        for setting in fields(Settings)
    ]


def shown(settings: Settings | Mapping[str, str]) -> list[tuple[str, str]]:
    """Name and value of every setting, secrets masked; of an environment the text as it is there, right or wrong."""
    names = {setting: PREFIX + setting.name.upper() for setting in fields(Settings)}
    if isinstance(settings, Settings):
        return [(name, _masked(setting, _text(getattr(settings, setting.name)))) for setting, name in names.items()]
    return [(name, _masked(setting, settings.get(name, _text(setting.default)))) for setting, name in names.items()]


def _masked(setting: Field[Any], value: str) -> str:
    if not setting.metadata["secret"] or not value:
        return value
    if not setting.name.endswith("_url") or not _is_http(value):
        return "***"
    url = urlsplit(value)
    return f"{url.scheme}://{'***@' if url.password else ''}{url.hostname}{f':{url.port}' if url.port else ''}/..."


def _text(value: object) -> str:
    """A value as it is written in the environment."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _is_broker(text: str) -> bool:
    """True for a host, an address of IPv6 in brackets, with a port from 1 to 65535 or without."""
    host = re.fullmatch(r"(?:\[[0-9A-Fa-f:.%\w]+\]|[\w.-]+)(?::(\d{1,5}))?", text)
    return host is not None and (host[1] is None or 1 <= int(host[1]) <= 65_535)


def _is_http(text: str) -> bool:
    """True for an address of http or https with a host and, where there is one, a valid port."""
    try:
        url = urlsplit(text)
        return url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        return False


def _parse(name: str, text: str, setting: Field[Any]) -> object:
    if isinstance(setting.default, bool):
        if text not in ("true", "false"):
            raise BadSettings(f"{name} must be true or false, not {text!r}")
        return text == "true"
    type_: type[str] | type[int] | type[float] = type(setting.default)  # type: ignore[assignment]  # never missing here
    try:
        return type_(text)
    except ValueError:
        expected = "a whole number" if type_ is int else "a number"
        raise BadSettings(f"{name} must be {expected}, not {text!r}") from None
