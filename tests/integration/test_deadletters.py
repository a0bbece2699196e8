"""`nps deadletters` over a broker: letters are chosen, shown, put back as they were, corrected and dropped, once."""

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from confluent_kafka import Producer

from schemas.codec import Codec
from schemas.deadletters import Death, Header, identify, wrap
from schemas.events import Erasure, LetterAction, SurveyResponse
from schemas.topics import (
    DEAD_LETTERS,
    ERASURES,
    INBOUND,
    LETTER_ACTIONS,
    LETTER_HEADER,
    MAPPED_AT_HEADER,
    ORIGIN_HEADER,
    PURCHASES,
    RESPONSES,
)
from streams.clock import wall_ms
from streams.kafka.ports import KafkaRecord
from streams.kafka.reader import KafkaReader
from streams.local.servers import local_broker
from tests.support.commands import done, run
from tests.support.histories import purchase, response
from tests.support.programs import program

CODEC = Codec()
NOW_MS = wall_ms()
SAID = response("r1", NOW_MS - 60_000, 9)
DEATH = Death("placeholder", "is one of events.placeholders", "nps.responses", 2, 7, NOW_MS - 60_000)
TRACE: Header = ("trace", b"\x00\xff")


class Letters(NamedTuple):
    """A broker with topics and nothing in them, and what commands need to reach it."""

    environ: dict[str, str]

    def bury(
        self, value: bytes | None, death: Death, key: bytes | None = b"c1", headers: Sequence[Header] = ()
    ) -> None:
        """Write a dead letter as workers do."""
        self.write(DEAD_LETTERS, value, key, wrap(headers, death))

    def write(self, topic: str, value: bytes | None, key: bytes | None, headers: Sequence[Header] = ()) -> None:
        """Write a record."""
        producer = Producer({"bootstrap.servers": self.environ["NPS_BROKERS"], "log_level": 0})
        told: list[tuple[str, str | bytes | None]] = [*headers]
        producer.produce(topic, value, key, headers=told)
        assert producer.flush(30) == 0

    def said(self, *words: str) -> str:
        """What `nps deadletters` printed; it went well."""
        return done("deadletters", *words, environ=self.environ)

    def refused(self, *words: str) -> str:
        """The one line of a command that ended with 2."""
        ended = run("deadletters", *words, environ=self.environ)
        assert (ended.returncode, ended.stdout) == (2, ""), ended
        assert ended.stderr.count("\n") == 1
        return ended.stderr

    def rows(self, *words: str) -> list[list[str]]:
        """The cells of the table that a command printed."""
        lines = [line.strip("│") for line in self.said(*words).splitlines() if line.startswith("│")]
        return [[cell.strip() for cell in line.split("│")] for line in lines]

    def read(self, topic: str) -> list[KafkaRecord]:
        """All that lies on a topic."""
        with closing(KafkaReader(self.environ["NPS_BROKERS"], {})) as reader:
            return [record for _, record in reader.read(reader.partitions_of(topic))]

    def actions(self) -> list[LetterAction]:
        """All that was done."""
        return [CODEC.decode(LetterAction, record.value) for record in self.read(LETTER_ACTIONS.name)]


@pytest.fixture
def letters(tmp_path: Path) -> Iterator[Letters]:
    """A broker of its own: letters are told apart by their offset alone."""
    file = tmp_path / "nps.toml"
    file.write_text(program({"send_within": "1h"}), encoding="utf-8")
    with local_broker() as broker:
        environ = {
            "NPS_BROKERS": broker.address, "NPS_PARTITIONS": "3", "NPS_SERVER_WAIT_S": "10", "NPS_PROGRAM": str(file)
        }  # fmt: skip
        done("topics", environ=environ)
        yield Letters(environ)


def test_a_letter_is_put_back_as_it_was_and_once(letters: Letters) -> None:
    """Value, key, headers and Kafka timestamp; the fate says which letter, and the list shows it."""
    letters.bury(CODEC.encode(SAID), DEATH, headers=[TRACE, ("empty", None)])
    letters.bury(CODEC.encode(SAID), DEATH, headers=[TRACE, ("empty", None)])  # a worker that was killed says it twice
    planned = letters.said("redrive", "--reason", "placeholder", "--dry-run")
    assert "1 letters would be put back; nothing was written" in planned
    assert letters.read(RESPONSES.name) == []
    assert "1 letters put back" in letters.said("redrive", "--reason", "placeholder")
    (record,) = letters.read(RESPONSES.name)
    letter = identify((), DEATH)
    assert record[1:] == (
        NOW_MS - 60_000, b"c1", CODEC.encode(SAID),
        [TRACE, ("empty", None), (LETTER_HEADER, f"{letter.letter_id}/1".encode())],
    )  # fmt: skip
    (action,) = letters.actions()
    assert action[:-1] == (letter.letter_id, 0, "redriven", "placeholder", "nps.responses", 2, 7)
    assert NOW_MS <= action.time <= wall_ms()
    again = letters.said("redrive", "--reason", "placeholder")
    assert again == "no rows\n0 letters put back\n"
    assert len(letters.read(RESPONSES.name)) == 1
    assert [row[7] for row in letters.rows("list")] == ["redriven", "redriven"]


def test_a_letter_that_died_again_is_put_back_again(letters: Letters) -> None:
    """It waits once more, as the same letter, and its story is told whole."""
    letters.bury(CODEC.encode(SAID), DEATH)
    letters.said("redrive", "--offsets", "0")
    (record,) = letters.read(RESPONSES.name)
    letters.bury(CODEC.encode(SAID), replace(DEATH, offset=record.offset), headers=record.headers)
    assert [row[7] for row in letters.rows("list")] == ["redriven", "waiting"]
    assert [row[0] for row in letters.rows("list", "--state", "waiting")] == ["1"]
    assert "1 letters put back" in letters.said("redrive", "--topic", "responses")
    assert [(action.death, action.action) for action in letters.actions()] == [(0, "redriven"), (1, "redriven")]
    assert len({action.letter_id for action in letters.actions()}) == 1
    shown = letters.said("show", "--offsets", "1")
    assert [words for words in ("died as letter 0", "died again (1) as letter 1") if words not in shown] == []
    assert shown.count("redriven") == 2


def test_letters_are_chosen_by_what_they_say(letters: Letters) -> None:
    """Reason, topic, source, time and number; all must hold, of one given twice any."""
    letters.bury(CODEC.encode(SAID), DEATH)
    letters.bury(b"junk", replace(DEATH, reason="undecodable", offset=8))
    bought = purchase("p1", "order.delivered", NOW_MS)
    letters.bury(CODEC.encode(bought), replace(DEATH, topic="nps.purchases", reason="too_late", offset=9))
    numbers = {
        (): ["0", "1", "2"],
        ("--reason", "undecodable"): ["1"],
        ("--reason", "undecodable", "--reason", "too_late"): ["1", "2"],
        ("--reason", "undecodable", "--topic", "purchases"): [],
        ("--topic", "nps.purchases"): ["2"],
        ("--source", "shop"): ["2"],
        ("--source", "tool", "--source", "shop"): ["0", "2"],
        ("--offsets", "1"): ["1"],
        ("--offsets", "1-"): ["1", "2"],
        ("--offsets", "0-1"): ["0", "1"],
        ("--offsets", "99"): [],
        ("--since", "2000-01-01"): ["0", "1", "2"],
        ("--until", "2000-01-01"): [],
        ("--since", "2099-01-01T00:00+01:00"): [],
    }
    assert {words: [row[0] for row in letters.rows("list", *words)] for words in numbers} == numbers


def test_what_may_not_go_back_says_why(letters: Letters) -> None:
    """Each kind in a line; nothing is written but what may go."""
    erasure = Erasure("e", "c9", "crm", "u", NOW_MS, NOW_MS, "p", 1)
    letters.write(ERASURES.name, CODEC.encode(erasure), b"c9")
    letters.bury(CODEC.encode(SAID._replace(customer_id="c9")), DEATH, key=b"c9")
    letters.bury(b"junk", replace(DEATH, offset=8))
    letters.bury(b"{}", replace(DEATH, offset=9, topic="shop.orders"))
    letters.write(DEAD_LETTERS, b"a stranger's", b"c1")
    letters.bury(CODEC.encode(SAID), replace(DEATH, offset=10))
    rows = letters.rows("redrive", "--offsets", "0-")
    assert [row[2:] for row in rows] == [
        ["kept, for it does not say where it lay", "1"],
        ["kept, for it is about a customer who was erased", "1"],
        ["kept, for it would die again: undecodable", "1"],
        ["put back", "1"],
        ["kept, for it lay on shop.orders: name the mapping file of its source by --mapping", "1"],
    ]
    assert [record.key for record in letters.read(RESPONSES.name)] == [b"c1"]
    assert [row[7] for row in letters.rows("list")] == ["waiting"] * 4 + ["redriven"]


def test_a_foreign_letter_goes_through_the_mapping_now_in_force(letters: Letters, tmp_path: Path) -> None:
    """A dry run shows the events; then they lie on their topic; a second time nothing is sent."""
    file = tmp_path / "shop.toml"
    file.write_text(
        'name = "shop"\ntopic = "shop.orders"\n[[events]]\nto = "purchases"\nsource = "shop"\nid = "/id"\n'
        'type = "order.delivered"\ntime = { at = "/at", as = "millis" }\ncustomer_id = "/customer"\norder_id = "/id"\n'
    )
    death = Death("missing_field", "shop.toml:9: purchases.customer_id", "shop.orders", 2, 7, NOW_MS - 60_000)
    letters.bury(b'{"id":"o1","at":%d,"customer":"C-1"}' % (NOW_MS - 60_000), death, key=b"theirs")
    letters.bury(b'{"id":"o2","at":%d}' % (NOW_MS - 60_000), replace(death, offset=8), key=b"theirs")
    planned = letters.said("redrive", "--topic", "shop.orders", "--mapping", str(file), "--dry-run")
    assert planned.startswith("letter 0:\n  nps.purchases\n    source         shop\n    id             o1\n")
    assert letters.read(PURCHASES.name) == []
    said = letters.said("redrive", "--topic", "shop.orders", "--mapping", str(file))
    assert "1 letters put back" in said
    assert "kept, for it would die again: missing_field: shop.toml:9: purchases.customer_id" in said
    (record,) = letters.read(PURCHASES.name)
    assert (record.timestamp, record.key) == (NOW_MS - 60_000, b"C-1")
    assert [name for name, _ in record.headers] == [MAPPED_AT_HEADER, ORIGIN_HEADER]
    assert "0 letters put back" in letters.said("redrive", "--topic", "shop.orders", "--mapping", str(file))
    assert len(letters.read(PURCHASES.name)) == 1
    assert [row[7] for row in letters.rows("list")] == ["redriven", "waiting"]


def test_a_corrected_letter_counts_in_the_place_of_its_own(letters: Letters, tmp_path: Path) -> None:
    """The line is shown, edited and put back; a line that is wrong sends nothing, not even those before it."""
    for offset, score in enumerate((11, 12)):
        value = CODEC.encode(SAID._replace(id=f"r{offset}", score=score))
        letters.bury(value, replace(DEATH, reason="invalid_score", offset=offset), headers=[TRACE])
    assert letters.said("redrive", "--reason", "invalid_score").endswith("0 letters put back\n")
    lines = [json.loads(line) for line in letters.said("show", "--offsets", "0-", "--format", "json").splitlines()]
    file = tmp_path / "edited.jsonl"
    file.write_text("\n".join(json.dumps({**line, "score": 9 + place}) for place, line in enumerate(lines)))
    assert "--edited names its letters itself" in letters.refused("redrive", "--edited", str(file), "--offsets", "1")
    wrong = tmp_path / "wrong.jsonl"
    wrong.write_text(file.read_text().replace('"id": "r1"', '"id": "r2"'))
    assert f"{wrong}:2: id was 'r1' and must stay" in letters.refused("redrive", "--edited", str(wrong))
    assert letters.read(RESPONSES.name) == []
    assert "2 letters put back" in letters.said("redrive", "--edited", str(file))
    found = letters.read(RESPONSES.name)
    assert sorted(CODEC.decode(SurveyResponse, record.value).score or 0 for record in found) == [9, 10]
    assert all(record.headers[0] == TRACE for record in found)
    assert letters.said("redrive", "--edited", str(file)).endswith("0 letters put back\n")


def test_dropped_letters_are_put_back_no_more(letters: Letters) -> None:
    """They stay to be seen; a dry run drops nothing."""
    letters.bury(CODEC.encode(SAID), DEATH)
    letters.bury(b"a request", replace(DEATH, reason="forged_token", topic="nps.collector", partition=-1))
    assert "2 letters would be dropped; nothing was written" in letters.said("drop", "--offsets", "0-", "--dry-run")
    assert letters.actions() == []
    assert "2 letters dropped" in letters.said("drop", "--offsets", "0-")
    assert [row[7] for row in letters.rows("list")] == ["dropped", "dropped"]
    assert letters.said("redrive", "--offsets", "0-") == "no rows\n0 letters put back\n"
    assert [(action.action, action.origin_partition) for action in letters.actions()] == [
        ("dropped", 2),
        ("dropped", -1),
    ]
    assert all(letters.read(topic.name) == [] for topic in INBOUND)


def test_a_budget_is_kept_and_late_triggers_are_counted(letters: Letters) -> None:
    """So many at most, oldest first; triggers past their rule's `send_within` are missed unless they are history."""
    for offset in range(3):
        bought = purchase(f"p{offset}", "order.delivered", NOW_MS - 7_200_000)
        letters.bury(
            CODEC.encode(bought), replace(DEATH, topic="nps.purchases", offset=offset, timestamp_ms=NOW_MS - 7_200_000)
        )
    said = letters.said("redrive", "--topic", "purchases", "--limit", "2")
    assert "2 letters put back; more wait: --limit" in said
    assert "2 of them ask for a survey that is too late by its rule's send_within, and are missed" in said
    said = letters.said("redrive", "--topic", "purchases", "--limit", "2", "--as-history")
    assert "1 letters put back\n" in said
    assert "too late" not in said
    last = letters.read(PURCHASES.name)[-1]
    assert [name for name, _ in last.headers] == [LETTER_HEADER, "nps-history"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["redrive"], "say which letters: --reason, --topic, --source, --since, --until or --offsets"),
        (["drop", "--dry-run"], "say which letters"),
        (["show"], "say which letters"),
        (["redrive", "--offsets", "0-", "--limit", "0"], "--limit must be 1 to 100000"),
        (["redrive", "--offsets", "0-", "--limit", "100001"], "--limit must be 1 to 100000"),
        (["show", "--offsets", "0-", "--limit", "101"], "--limit must be 1 to 100"),
        (["redrive", "--offsets", "5-1"], "--offsets '5-1' ends before it begins"),
        (["redrive", "--offsets=-1"], "--offsets '-1' is none of 17, 17-25 and 17-"),
        (["redrive", "--offsets", "\u0663"], "is none of 17, 17-25 and 17-"),
        (["list", "--reason", "too_lat"], "--reason 'too_lat' is no reason, did you mean 'too_late'?"),
        (["list", "--since", "soon"], "--since 'soon' is no time: write 2026-01-31"),
        (["redrive", "--edited", "/nowhere"], "/nowhere: cannot be read (No such file or directory)"),
        (["redrive", "--edited", "/dev/null"], "/dev/null: has no line"),
    ],
)
def test_wrong_options_are_one_line(words: list[str], says: str) -> None:
    """Before anything is read of Kafka."""
    ended = run("deadletters", *words, environ={"NPS_BROKERS": "127.0.0.1:1", "NPS_SERVER_WAIT_S": "1"})
    assert ended.returncode == 2
    assert says in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_topics_of_an_older_version_are_named() -> None:
    """Who has no nps.letter-actions yet is told to run `nps topics`, and no topic comes to be by itself."""
    with local_broker() as broker:
        environ = {"NPS_BROKERS": broker.address, "NPS_SERVER_WAIT_S": "10"}
        ended = run("deadletters", "redrive", "--offsets", "0-", environ=environ)
    assert ended.returncode == 2
    assert "is missing: run nps topics" in ended.stderr
