"""One customer's story, from the ledger's tables: what happened, what was decided, said and alerted, in order of time.

Each table is asked by customer, which the bloom filter on its `customer_id` makes cheap; the customer's id is bound by
the server.  A row counts with its highest version, so the story is right before any merge has run.
"""

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from sinks.clickhouse.client import ClickHouse
from sinks.rows import digest, is_instant

Fields: TypeAlias = Mapping[str, object]


class StoryEntry(NamedTuple):
    """Entry of a customer's story: its instant in milliseconds, its table (`kind`), and the row's fields by name."""

    at_ms: int
    kind: str
    fields: Fields


_LAYOUTS = {
    "decisions": (
        "decided_at", "decision_id",
        ("triggered_at", "trigger_source", "trigger_id", "trigger_type", "correlation_id", "rule", "survey", "outcome",
         "reason", "cause_id", "channel", "probability", "lag_ms", "decided_at"),
    ),
    "dispatches": (
        "due_at", "survey_id, reminder",
        ("survey_id", "survey", "rule", "question", "question_version", "channel", "locale", "reminder", "lag_ms",
         "expires_at"),
    ),
    "answers": (
        "received_at", "survey_id, revision",
        ("survey_id", "survey", "revision", "score", "band", "comment", "counted", "flag", "answered_at"),
    ),
    "alerts": (
        "received_at", "alert_id", ("survey", "status", "severity", "score", "revision"),
    ),
    "dead_letters": (
        "origin_at", "origin_topic, origin_partition, origin_offset, reason",
        ("origin_topic", "origin_partition", "origin_offset", "reason", "detail"),
    ),
}  # fmt: skip
"""Layout of each table's entries: the column of their instant, the columns of a row's key, the columns shown."""


def story(database: ClickHouse, customer_id: str) -> list[StoryEntry]:
    """Read all that the warehouse knows of a customer, oldest first.  Raises WarehouseError.

    Of answers every revision that was not merged away yet, the last one always.
    """
    entries = [entry for table in _LAYOUTS for entry in _entries(database, table, customer_id)]
    return sorted([*entries, *_erasures(database, customer_id)], key=lambda entry: entry.at_ms)


def _entries(database: ClickHouse, table: str, customer_id: str) -> list[StoryEntry]:
    at, key, columns = _LAYOUTS[table]
    selected = ", ".join(f"toUnixTimestamp64Milli({name})" if is_instant(name) else name for name in columns)
    rows = database.query(
        f"SELECT toUnixTimestamp64Milli({at}), {selected} FROM {table} WHERE customer_id = {{customer:String}} "
        f"ORDER BY version DESC LIMIT 1 BY {key}",
        {"customer": customer_id},
    )
    return [StoryEntry(int(str(row[0])), table, dict(zip(columns, row[1:], strict=True))) for row in rows]


def _erasures(database: ClickHouse, customer_id: str) -> list[StoryEntry]:
    rows = database.query(
        "SELECT toUnixTimestamp64Milli(received_at), toUnixTimestamp64Milli(done_at), emptied_rows FROM erasures FINAL "
        "WHERE customer_sha256 = {digest:String}",
        {"digest": digest(customer_id)},
    )
    return [
        StoryEntry(int(str(at)), "erasures", {"done_at": done, "emptied_rows": emptied}) for at, done, emptied in rows
    ]
