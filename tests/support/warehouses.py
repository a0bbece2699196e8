"""A warehouse in memory with the tables of the released migrations."""

from sinks.clickhouse.migrate import released
from sinks.memory import Memory


def memory_warehouse() -> Memory:
    """A fresh one, empty."""
    return Memory(migration.text for migration in released())
