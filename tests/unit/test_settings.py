"""Settings: every name and value is checked when read, every mistake is one line, no secret is ever shown."""

import pytest

from streams.settings import Settings, rows, shown
from tests.support.settings import NAMES, complaint


def test_defaults_work_locally() -> None:
    """Nothing needs to be set, and what is not ours is not looked at."""
    assert Settings.from_env({}) == Settings() == Settings.from_env({"PATH": "/bin", "OTHER_NPS_BROKERS": "x"})
    assert Settings().brokers.startswith("127.0.0.1:")
    assert Settings().metrics_host == "127.0.0.1"


def test_every_setting_is_read() -> None:
    """From its own name, with its own type."""
    texts = {int: "77", float: "0.25", bool: "true"}
    for name, each in NAMES.items():
        text = texts.get(type(each.default), "http://h:1/d" if name.endswith("_URL") else "text")
        if name in ("NPS_KAFKA_SECURITY_PROTOCOL", "NPS_KAFKA_SASL_MECHANISM", "NPS_LINK_KEYS"):
            continue
        got = getattr(Settings.from_env({name: text}), each.name)
        assert got == {int: 77, float: 0.25, bool: True}.get(type(each.default), text)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("NPS_PARTITIONS", "six", "whole number"),
        ("NPS_PARTITIONS", "6.5", "whole number"),
        ("NPS_PARTITIONS", "", "whole number"),
        ("NPS_PARTITIONS", "0", "above 0"),
        ("NPS_REPLICATION", "-1", "above 0"),
        ("NPS_SINK_ROWS", "0", "above 0"),
        ("NPS_SERVER_WAIT_S", "0", "above 0"),
        ("NPS_FUSE_RATIO", "half", "a number"),
        ("NPS_FUSE_RATIO", "nan", "NPS_FUSE_RATIO"),
        ("NPS_FUSE_RATIO", "1.5", "NPS_FUSE_RATIO"),
        ("NPS_FUSE_IN_A_ROW", "0", "NPS_FUSE_IN_A_ROW"),
        ("NPS_TOPIC_EPOCH", "-1", "NPS_TOPIC_EPOCH"),
        ("NPS_TOPIC_EPOCH", "32768", "NPS_TOPIC_EPOCH"),
        ("NPS_METRICS_PORT", "70000", "NPS_METRICS_PORT"),
        ("NPS_METRICS_PORT", "-1", "NPS_METRICS_PORT"),
        ("NPS_FETCH_WAIT_MS", "0", "fetch_wait_ms"),
        ("NPS_SESSION_TIMEOUT_MS", "-5", "session_timeout_ms"),
        ("NPS_BROKERS", "", "brokers"),
        ("NPS_CLICKHOUSE_URL", "localhost:8123", "NPS_CLICKHOUSE_URL"),
        ("NPS_CLICKHOUSE_URL", "http://", "NPS_CLICKHOUSE_URL"),
        ("NPS_CLICKHOUSE_URL", "http://h:99999/d", "NPS_CLICKHOUSE_URL"),
        ("NPS_CLICKHOUSE_URL", "http://[h/d", "NPS_CLICKHOUSE_URL"),
        ("NPS_CLICKHOUSE_URL", "", "NPS_CLICKHOUSE_URL"),
        ("NPS_WEBHOOK_URL", "ftp://h/x", "NPS_WEBHOOK_URL"),
        ("NPS_COLLECTOR_URL", "nps.example.org", "NPS_COLLECTOR_URL"),
        ("NPS_REGISTRY_URL", "registry:8081", "NPS_REGISTRY_URL"),
        ("NPS_REGISTRY_AUTO_REGISTER_SCHEMAS", "yes", "must be true or false"),
        ("NPS_REGISTRY_USE_LATEST_VERSION", "", "must be true or false"),
        ("NPS_KAFKA_OAUTH_URL", "idp/token", "NPS_KAFKA_OAUTH_URL"),
        ("NPS_LINK_KEYS", "k1:short", "NPS_LINK_KEYS: the secret of key 'k1'"),
        ("NPS_COLLECTOR_PORT", "65536", "NPS_COLLECTOR_PORT"),
        ("NPS_COLLECTOR_PROXIES", "-1", "NPS_COLLECTOR_PROXIES"),
        ("NPS_COLLECTOR_LINK_RATE", "0", "above 0"),
        ("NPS_COLLECTOR_WAIT_MS", "0", "above 0"),
        ("NPS_KAFKA_SECURITY_PROTOCOL", "TLS", "TLS"),
    ],
)
def test_values_that_cannot_be_meant(name: str, text: str, says: str) -> None:
    """Each is refused at start, in one line that names what is wrong."""
    assert says in complaint({name: text})


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"NPS_REGISTRY_SUBJECT_NAME_STRATEGY": "topic"}, "TopicNameStrategy"),
        ({"NPS_REGISTRY_USE_LATEST_VERSION": "true"}, "auto-registration"),
        ({"NPS_REGISTRY_SSL_CA": "/nowhere.pem"}, "/nowhere.pem"),
        ({"NPS_REGISTRY_SSL_CERTIFICATE": "/nowhere.pem"}, "/nowhere.pem"),
        ({"NPS_REGISTRY_BASIC_AUTH_USER_INFO": "hunter2"}, "user:password"),
        ({"NPS_CLICKHOUSE_URL": "https://h/d", "NPS_CLICKHOUSE_CA": "/nowhere.pem"}, "NPS_CLICKHOUSE_CA: /nowhere.pem"),
    ],
)
def test_settings_that_do_not_go_together(more: dict[str, str], says: str) -> None:
    """Each is refused at start too, and no secret repeated."""
    said = complaint({"NPS_REGISTRY_URL": "https://registry.example", **more})
    assert says in said
    assert "hunter2" not in said


def test_passwords_in_addresses_are_never_shown() -> None:
    """The host is shown, since it is what one looks for; user, password and path are not."""
    urls = {
        "NPS_CLICKHOUSE_URL": "https://ana:hunter2@click.example:8443/nps",
        "NPS_REGISTRY_URL": "https://ana:hunter2@registry.example",
        "NPS_WEBHOOK_URL": "https://hooks.example/services/T0/hunter2",
    }
    settings = Settings.from_env(urls)
    for name, url in shown(settings):
        if name in urls:
            assert "example" in url
        assert "hunter2" not in url
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in repr(Settings.from_env({"NPS_KAFKA_SASL_PASSWORD": "hunter2"}).engine())


def test_keys_of_links_are_never_shown() -> None:
    """Several are read, the first signs; neither repr nor `nps config` nor a complaint repeats one."""
    settings = Settings.from_env({"NPS_LINK_KEYS": "k2:hunter2hunter2hunter2,k1:hunter2hunter2hunter3"})
    assert settings.keys is not None
    assert list(settings.keys.secrets) == ["k2", "k1"]
    assert dict(shown(settings))["NPS_LINK_KEYS"] == "***"
    assert "hunter2" not in repr(settings) + repr(settings.keys)
    assert "hunter2" not in complaint({"NPS_LINK_KEYS": "hunter2hunter2hunter2"})
    assert Settings().keys is None


def test_a_wrong_address_is_not_repeated() -> None:
    """What is refused may hold a password."""
    assert "hunter2" not in complaint({"NPS_CLICKHOUSE_URL": "clickhouse://ana:hunter2@h/d"})
    assert "hunter2" not in complaint({"NPS_WEBHOOK_URL": "ftp://ana:hunter2@h/d"})


def test_every_setting_has_its_sentence() -> None:
    """The README table and `nps config` show the same names, all of them."""
    assert [name for name, _, _ in rows()] == [name for name, _ in shown(Settings())] == list(NAMES)
    assert all(meaning.endswith(".") for *_, meaning in rows())
