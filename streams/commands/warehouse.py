"""Connection to ClickHouse, of the commands that need one: its driver is not loaded for the others."""

from sinks.clickhouse.client import ClickHouse, connect
from streams.settings import Settings


def warehouse_of(settings: Settings) -> ClickHouse:
    """Connect to the ClickHouse of these settings, which is waited for.  Raises WarehouseError, ValueError."""
    return connect(settings.clickhouse_url, ca=settings.clickhouse_ca, within_s=settings.server_wait_s)
