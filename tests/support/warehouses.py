"""A warehouse in memory with the tables of the released migrations."""

from collections.abc import Sequence

from sinks.clickhouse.layout import PLAIN
from sinks.clickhouse.migrate import released
from sinks.memory import Memory
from sinks.warehouse import Refused, Row


def memory_warehouse() -> Memory:
    """A fresh one, empty."""
    return Memory(PLAIN.render(migration.text) for migration in released())


class Picky:
    """Refuses any insert with a negative number in it, and remembers the rest in order."""

    def __init__(self) -> None:
        self.written: list[Row] = []

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        if any(int(str(row[0])) < 0 for row in rows):
            raise Refused("negative")
        self.written += rows
