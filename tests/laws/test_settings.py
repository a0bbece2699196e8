"""Laws of settings: a name that is none is refused, and no secret is ever shown."""

from hypothesis import example, given
from hypothesis import strategies as st

from streams.settings import RESERVED, Settings, shown
from tests.support.settings import NAMES, complaint

SECRETS = [
    "NPS_KAFKA_SASL_PASSWORD", "NPS_KAFKA_SSL_KEY_PASSWORD", "NPS_KAFKA_OAUTH_CLIENT_SECRET", "NPS_WEBHOOK_SECRET",
    "NPS_COLLECTOR_KEY", "NPS_REGISTRY_BASIC_AUTH_USER_INFO", "NPS_REGISTRY_BEARER_AUTH_TOKEN",
    "NPS_REGISTRY_SSL_KEY_PASSWORD",
]  # fmt: skip


@given(st.from_regex(r"NPS_[A-Z_]{0,20}", fullmatch=True).filter(lambda name: name not in NAMES.keys() | RESERVED))
def test_unknown_names_are_refused(name: str) -> None:
    """A typo is not a default."""
    assert complaint({name: "1"}).startswith(f"{name} is no setting")


@example("NPS_WEBHOOK_SECRET", "//half/shown")
@example("NPS_WEBHOOK_SECRET", "//[")
@given(st.sampled_from(SECRETS), st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=4, max_size=30))
def test_secrets_are_never_shown(name: str, secret: str) -> None:
    """Neither by repr nor by `nps config`; not even a part of one that looks like an address."""
    settings = Settings.from_env({name: secret})
    assert getattr(settings, NAMES[name].name) == secret
    assert dict(shown(settings))[name] == "***"
    assert repr(settings) == repr(Settings())
