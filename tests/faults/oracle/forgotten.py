"""Rows of customers who were erased: what names or quotes them goes within a minute, all else stays as it was."""

from collections.abc import Mapping

from schemas.events import Erasure, Record
from tests.faults.harness.reading import Fields, World
from tests.faults.oracle.outputs import ERASURES, Buried, Outputs

EMPTIED_WITHIN_MS = 90_000
NOTHING: Mapping[str, object] = {}
PERSONAL: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "answers": ("sent_ms", {"customer_id": "", "correlation_id": "", "response_id": "", "comment": None}),
    "decisions": ("trigger_ms", {"customer_id": "", "trigger_id": "", "correlation_id": "", "cause_id": None}),
    "dispatches": ("trigger_ms", {"customer_id": "", "trigger_id": "", "correlation_id": "", "locale": None}),
    "alerts": ("answered_ms", {"customer_id": "", "correlation_id": "", "comment": None}),
}
"""Of each table the instant that an erasure must not lie before, and what is left of the personal columns."""


class Forgotten:
    """The erasures in force, with the time by which all rows of a customer must be empty."""

    def __init__(self, world: World, outputs: Outputs) -> None:
        self._until_ms: dict[str, int] = {}
        self._now_ms, self._told_ms = world.now_ms, dict[str, int]()
        for row, value in outputs.told[ERASURES]:
            assert isinstance(value, Erasure)
            name = value.customer_id
            until_ms = max(value.erased_ms, value.received_ms)  # of the event or of its arrival, whichever is later
            self._until_ms[name] = max(self._until_ms.get(name, until_ms), until_ms)
            self._told_ms[name] = max(self._told_ms.get(name, 0), row.timestamp_ms)

    def emptied(self, table: str, record: Record) -> Mapping[str, object]:
        """What an erasure makes of the record's row, where one covers it."""
        since, emptied = PERSONAL.get(table, ("", NOTHING))
        until_ms = self._until_ms.get(getattr(record, "customer_id", ""))
        return emptied if until_ms is not None and getattr(record, since, 0) <= until_ms else NOTHING

    def is_overdue(self, table: str, record: Record, row: Fields) -> bool:
        """True when the row should have been emptied for some time and is not."""
        emptied = self.emptied(table, record)
        told_ms = self._told_ms.get(getattr(record, "customer_id", ""), self._now_ms)
        is_due = self._now_ms - told_ms > EMPTIED_WITHIN_MS
        return is_due and any(row[name] != value for name, value in emptied.items() if name in row)

    def is_buried(self, buried: Buried) -> bool:
        """True for a dead letter with the name of somebody who was erased anywhere in it."""
        held = (buried.row.key or b"") + (buried.row.value or b"")
        return any(name.encode() in held for name in self._until_ms)
