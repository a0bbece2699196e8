"""Rows of the ledger for tests, made as the loader makes them: from records, by name."""

import time

from confluent_kafka import Message

from schemas.codec import Codec
from schemas.deadletters import Death, wrap
from schemas.events import Alert, Answer, Decision, Erasure, JudgedComment, Record, SurveyDispatch
from schemas.topics import ALERTS, ANSWERS, COMMENTS, DEAD_LETTERS, DECISIONS, DISPATCHES, ERASURES, RESPONSES
from sinks.clickhouse.client import ClickHouse
from sinks.memory import Memory
from sinks.rows import TABLES, decode
from sinks.warehouse import Row

CODEC = Codec()
LOADED_MS = time.time_ns() // 1_000_000
"""Now, because dead letters are kept for ninety days."""

TOPICS = {
    Decision: DECISIONS.name, SurveyDispatch: DISPATCHES.name, Answer: ANSWERS.name, Alert: ALERTS.name,
    Erasure: ERASURES.name, JudgedComment: COMMENTS.name,
}  # fmt: skip
DECIDED = Decision(
    "d1", "c1", "shop", "t1", "order.delivered", 1_000, "o1", "delivered", "delivery", "sent", None, None, "s1", 5_000,
    ["all", "country=BR"], "prog", "email", "nps", 1, 1.0, 4_000, 1,
)  # fmt: skip
ASKED = SurveyDispatch(
    "s1", "c1", "delivery", "delivered", "shop", "t1", 1_000, "o1", 5_000, 90_000, ["all", "country=BR"],
    {"country": "BR"}, "prog", "nps", 1, "email", "pt-BR", {"first_name": "Ada"}, "a-token", 0, 4_000, 1.0, 1,
)  # fmt: skip
ANSWERED = Answer(
    "s1", "c1", "delivery", "delivered", "o1", "survey-tool", "r1", 1, 9, "promoter", "fine", True, None, 5_000, 8_000,
    8_500, ["all", "country=BR"], {"country": "BR"}, "prog", 1,
)  # fmt: skip
ALERTED = Alert(
    "a1", "s1", "open", "critical", "c1", "delivery", "delivered", "o1", 0, "bad", 1, 8_000, 8_500, ["all"], "prog", 1
)
JUDGED = JudgedComment("s1", "c1", 1, ["delivery", "price"], "positive", 0.5, "model", 5_000, 8_000, 1)
ERASED = Erasure("e1", "c1", "crm", "u1", 10_000, 10_500, "prog", 1)


def put(warehouse: ClickHouse | Memory, *records: Record, loaded_ms: int = 20_000) -> None:
    """Write these records as rows, each beside its lineage; offsets are their places."""
    for offset, record in enumerate(records):
        table = TABLES[TOPICS[type(record)]]
        row = table.stored(record) if table.stored else record
        warehouse.insert(table.name, table.columns, [(*row, table.topic.name, 0, offset, loaded_ms)])


def dead_letter(key: bytes | None, value: bytes | None, offset: int = 0, topic: str = RESPONSES.name) -> Message:
    """A record that died on this topic."""
    headers = wrap([("trace", b"of Ada")], Death("wrong_key", "of Ada", topic, 0, offset, 50_000))
    return Message(topic=DEAD_LETTERS, partition=0, offset=offset, key=key, value=value, headers=headers)  # type: ignore[arg-type]  # a list of str | bytes, in the stubs


def rows_of(message: Message, loaded_ms: int = LOADED_MS) -> list[Row]:
    """The row that the loader makes of it."""
    parts, rejects = decode(CODEC, [message], loaded_ms)
    assert rejects == []
    return parts[message.topic() or ""].rows


def insert(warehouse: ClickHouse | Memory, topic: str, rows: list[Row]) -> None:
    """Write rows into the table of this topic."""
    warehouse.insert(TABLES[topic].name, TABLES[topic].columns, rows)
