"""A warehouse that fails half-way on command, for tests of what a crash leaves behind.  Never used unless armed."""

from collections.abc import Callable, Sequence

from sinks.warehouse import Row, Warehouse


class FailingWarehouse:
    """Wraps a warehouse.  `reach` is called with `mid-insert` and `after-insert`, and fails where it is told to."""

    def __init__(self, warehouse: Warehouse, reach: Callable[[str], None]) -> None:
        self._warehouse = warehouse
        self._reach = reach

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Write these rows in two halves, durable on return.  Raises as the warehouse does."""
        half = len(rows) // 2
        if half:
            self._warehouse.insert(table, columns, rows[:half])
            self._reach("mid-insert")
        self._warehouse.insert(table, columns, rows[half:])
        self._reach("after-insert")
