"""Mapping files of a command: which may be used together, what Kafka must have for them, and who may post to them."""

from collections.abc import Mapping, Sequence
from contextlib import closing

from schemas.topics import DEAD_LETTERS, ERASURES, LINKS, UNLINKED
from streams.collector.signatures import key_of
from streams.collector.webhooks import WebhookSource
from streams.commands.session import require_topics
from streams.domain.policy import Program
from streams.errors import BadSettings, BadTopics
from streams.kafka.reader import KafkaReader
from streams.settings import Settings
from streams.sources.language import SourceMapping
from streams.sources.reading import load

SHORTEST_SECRET_CHARACTERS = 16

OLD = "_OLD"
"""Ending of the environment variable with the secret that is being replaced and still holds."""


def webhook_mappings(settings: Settings, rules: Program) -> list[SourceMapping]:
    """Read the mapping files that the collector serves.  Raises BadMapping, BadSettings."""
    mappings = [load(path, rules.events) for path in settings.webhook_files]
    require_different(mappings)
    for mapping in mappings:
        if mapping.webhook is None:
            raise BadSettings(
                f"{mapping.file}: to take its webhooks, say how they are signed: [webhook] verify, secret"
            )
    return mappings


def webhook_sources(mappings: Sequence[SourceMapping], environ: Mapping[str, str]) -> dict[str, WebhookSource]:
    """Make the sources that are posted to, with their secrets from the environment.  Raises BadSettings."""
    return {
        mapping.name: WebhookSource(
            mapping.name, mapping.topic, mapping.format, mapping.webhook.verify, _keys(mapping, environ),
            is_packed=mapping.compressed is not None,
        )
        for mapping in mappings if mapping.webhook is not None
    }  # fmt: skip


def _keys(mapping: SourceMapping, environ: Mapping[str, str]) -> tuple[bytes, ...]:
    """Keys of a source's webhooks: the new one, and the old one while it is replaced."""
    if mapping.webhook is None:
        return ()
    name, scheme = mapping.webhook.secret, mapping.webhook.verify
    secrets = {variable: environ.get(variable, "") for variable in (name, name + OLD)}
    if not secrets[name]:
        raise BadSettings(
            f"{mapping.file}: [webhook] needs the environment variable {name}, with the secret of its sender"
        )
    keys = []
    for variable, secret in secrets.items():
        if 0 < len(secret) < SHORTEST_SECRET_CHARACTERS:
            raise BadSettings(f"{variable} must have {SHORTEST_SECRET_CHARACTERS} characters or more")
        try:
            keys += [key_of(scheme, secret)] if secret else []
        except ValueError as error:
            raise BadSettings(f"{variable} {error}") from None
    return tuple(keys)


def require_different(mappings: Sequence[SourceMapping]) -> None:
    """Refuse two files of one name: their groups would share the topic's partitions."""
    files: dict[str, str] = {}
    for mapping in mappings:
        if mapping.name in files:
            raise BadSettings(f"{files[mapping.name]} and {mapping.file} have the same name, {mapping.name!r}")
        files[mapping.name] = mapping.file


def require_foreign_topics(settings: Settings, mappings: Sequence[SourceMapping]) -> None:
    """Check that Kafka has the foreign topics and those that are written.  Raises BrokerAway, BadTopics."""
    written = {event.topic for mapping in mappings for event in mapping.events}
    of_links = {LINKS.name, UNLINKED.name, ERASURES.name} if any(mapping.has_links for mapping in mappings) else ()
    require_topics(settings, {*written, *of_links, DEAD_LETTERS})
    with closing(KafkaReader(settings.brokers, settings.security, settings.server_wait_s)) as reader:
        for mapping in mappings:
            if not reader.partitions_of(mapping.topic):
                raise BadTopics(f"{mapping.file}: Kafka has no topic {mapping.topic}: create it, or correct `topic`")
