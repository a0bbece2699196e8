"""Settings of topics changed while they are there; topics that keep every record, for histories."""

from collections.abc import Iterable

from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource

from schemas.topics import INBOUND_RECORDS
from tests.support.commands import BOUND_S


def set_config(brokers: str, name: str, value: str, topics: Iterable[str] = INBOUND_RECORDS) -> None:
    """Change a setting of these topics, as kafka-configs.sh does."""
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    resources = [ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry]) for topic in topics]
    admin = AdminClient({"bootstrap.servers": brokers})
    for changed in admin.incremental_alter_configs(resources).values():
        changed.result(BOUND_S)


def keep_for_ever(brokers: str) -> None:
    """Keep every record of the inbound topics."""
    set_config(brokers, "retention.ms", "-1")
