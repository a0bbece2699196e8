"""Records to rows: fields in order, lineage, and dead letters as rows of their own."""

import pytest
from confluent_kafka import Message

from schemas import topics
from schemas.codec import Codec
from schemas.deadletters import NAMES, Death, Header, identify, put_back, wrap
from schemas.events import PaneTally, Wakeup
from schemas.topics import DEAD_LETTERS, PANES, pane_key
from sinks.rows import LINEAGE, TABLES, decode
from sinks.warehouse import Row
from tests.support.histories import START_MS, response

CODEC = Codec()
PANE = PaneTally("all", "day", 0, 3, 1, 2, 3, "prog", 7)


def message(
    topic: str, value: bytes | None, headers: list[Header] | None = None, offset: int = 5, key: bytes = b"k"
) -> Message:
    return Message(topic=topic, partition=2, offset=offset, key=key, value=value, timestamp=(1, 1_234),
                   headers=headers)  # type: ignore[arg-type]  # a list of str | bytes, in the stubs  # fmt: skip


def named(topic: str, row: Row) -> dict[str, object]:
    return dict(zip(TABLES[topic].columns, row, strict=True))


def test_a_row_is_its_record_and_its_lineage() -> None:
    """The record's fields in order, then topic, partition, offset and load time; each row beside its message."""
    sent = message(PANES.name, CODEC.encode(PANE), key=pane_key(PANE))
    parts, rejects = decode(CODEC, [sent], loaded_ms=99)
    assert parts[PANES.name].rows == [(*PANE, PANES.name, 2, 5, 99)]
    assert (parts[PANES.name].messages, rejects) == ([sent], [])
    instants = ["start" if name == "start_ms" else name for name in PaneTally._fields]
    assert TABLES[PANES.name].columns == (*instants, *LINEAGE)


def test_one_bad_record_costs_only_itself() -> None:
    """What does not decode is rejected with the codec's reason; its neighbours pass, in order."""
    key = pane_key(PANE)
    good = [message(PANES.name, CODEC.encode(PANE._replace(version=n)), offset=n, key=key) for n in range(2)]
    bad = [message(PANES.name, b"junk"), message(PANES.name, CODEC.encode(Wakeup("c", 1))),
           message(PANES.name, CODEC.encode(PANE)[:-1]), message("nps.answers", None)]  # fmt: skip
    parts, rejects = decode(CODEC, [bad[0], good[0], bad[1], bad[2], good[1], bad[3]], loaded_ms=0)
    assert [row[8] for row in parts[PANES.name].rows] == [0, 1]
    assert [reject.reason for reject in rejects] == ["undecodable", "wrong_type", "undecodable", "no_value"]
    assert [reject.message for reject in rejects] == bad


def test_a_deletion_on_a_compacted_topic_is_passed_over() -> None:
    """Kafka may forget the pane; the warehouse keeps it."""
    parts, rejects = decode(CODEC, [message(PANES.name, None)], loaded_ms=0)
    assert (parts[PANES.name].rows, rejects) == ([], [])


def test_a_dead_letter_keeps_where_it_lay() -> None:
    """Origin, reason, bytes and original headers become columns; its own place is the lineage and the version."""
    death = Death("too_late", "8 days", "nps.responses", 4, 77, 555)
    value = CODEC.encode(response("a", START_MS, 3))
    parts, _ = decode(CODEC, [message(DEAD_LETTERS, value, wrap([("a", None)], death))], loaded_ms=0)
    row = named(DEAD_LETTERS, parts[DEAD_LETTERS].rows[0])
    assert (row["origin_topic"], row["origin_partition"], row["origin_offset"]) == ("nps.responses", 4, 77)
    assert (row["reason"], row["detail"], row["origin_at"]) == ("too_late", "8 days", 555)
    assert (row["key"], row["value"], row["headers"]) == (b"k", value, [("a", b"")])
    assert row["customer_id"] == "c1"
    assert (row["version"], row["kafka_topic"], row["kafka_offset"]) == (5, DEAD_LETTERS, 5)


def test_a_dead_letter_without_a_label_is_kept() -> None:
    """Whoever wrote it, it becomes a row at its own place."""
    parts, rejects = decode(CODEC, [message(DEAD_LETTERS, None, [("x", b"y")])], loaded_ms=0)
    row = named(DEAD_LETTERS, parts[DEAD_LETTERS].rows[0])
    assert (row["origin_topic"], row["origin_offset"], row["reason"], rejects) == (DEAD_LETTERS, 5, "unlabelled", [])
    assert (row["value"], row["headers"], row["origin_at"]) == (None, [], 1_234)


UNREADABLE = [b"\xff", b"a: Ada, mail: ada@shop", CODEC.encode(Wakeup("Ada", 1)), None]


@pytest.mark.parametrize("topic", ["nps.responses", "nps.answers"])
@pytest.mark.parametrize("value", UNREADABLE)
def test_what_nobody_can_read_stays_in_kafka(topic: str, value: bytes | None) -> None:
    """No erasure could find whom it names: the warehouse gets where it lies, why, and its key if the topic is ours."""
    death = Death("undecodable", "junk", topic, 4, 77, 555)
    parts, _ = decode(CODEC, [message(DEAD_LETTERS, value, wrap([("by", b"Ada")], death))], loaded_ms=0)
    row = named(DEAD_LETTERS, parts[DEAD_LETTERS].rows[0])
    key = b"k" if topic in topics.BY_NAME else None  # a foreign record's key may be an e-mail address
    assert (row["key"], row["value"], row["headers"], row["customer_id"]) == (key, None, [], (key or b"").decode())
    assert b"Ada" not in str(row).encode()


@pytest.mark.parametrize("topic", ["shop.orders", "nps.unknown", "collector", ""])
@pytest.mark.parametrize("reason", ["undecodable", "of Ada's own"])
@pytest.mark.parametrize("value", UNREADABLE)
def test_a_foreign_letter_brings_no_value_along(topic: str, reason: str, value: bytes | None) -> None:
    """A foreign payload may hold anything: place and reason are stored, and neither key, value, headers nor detail."""
    death = Death(reason, "email 'ada@shop' of Ada", topic, 4, 77, 555)
    sent = message(DEAD_LETTERS, value, wrap([("by", b"Ada")], death), key=b"Ada")
    parts, _ = decode(CODEC, [sent], loaded_ms=0)
    row = named(DEAD_LETTERS, parts[DEAD_LETTERS].rows[0])
    assert (row["origin_topic"], row["origin_offset"], row["customer_id"]) == (topic, 77, "")
    assert row["reason"] == ("undecodable" if reason == "undecodable" else "unlabelled")
    assert "ada" not in str(row).lower()


@pytest.mark.parametrize("numbers", [b"1", b"Ada"])
def test_a_letter_of_a_stranger_brings_no_value_along(numbers: bytes) -> None:
    """What lies there without our labels, or with labels that say something else."""
    headers: list[Header] = [("by", b"Ada"), *((name, numbers) for name in NAMES)] if numbers == b"Ada" else []
    parts, _ = decode(CODEC, [message(DEAD_LETTERS, b"Ada", headers, key=b"Ada")], loaded_ms=0)
    row = named(DEAD_LETTERS, parts[DEAD_LETTERS].rows[0])
    assert (row["origin_topic"], row["reason"], row["detail"]) == (DEAD_LETTERS, "unlabelled", "")
    assert "ada" not in str(row).lower()


def test_a_letter_is_told_apart_from_its_next_death() -> None:
    """One id through all deaths, and the source of the event; the instant is that of the death."""
    value = CODEC.encode(response("a", START_MS, 3))
    death = Death("edit_closed", "", "nps.responses", 4, 77, 555)
    letter = identify([], death)
    again = wrap(put_back([], letter), Death("too_late", "", "nps.responses", 4, 99, 555))
    sent = [message(DEAD_LETTERS, value, wrap([], death)), message(DEAD_LETTERS, value, again, offset=6)]
    parts, _ = decode(CODEC, sent, loaded_ms=0)
    rows = [named(DEAD_LETTERS, row) for row in parts[DEAD_LETTERS].rows]
    assert [(row["letter_id"], row["death"]) for row in rows] == [(letter.letter_id, 0), (letter.letter_id, 1)]
    assert {(row["source"], row["died_at"]) for row in rows} == {("tool", 1_234)}
