"""Dead letters on ClickHouse: each counts once, by its newest death and what was done with that, as a recount says."""

import random
from collections import Counter

from confluent_kafka import Message

from schemas.codec import Codec
from schemas.deadletters import Death, Header, identify, put_back, wrap
from schemas.events import LetterAction
from schemas.topics import DEAD_LETTERS, LETTER_ACTIONS, key_of
from sinks.clickhouse.client import ClickHouse
from sinks.rows import TABLES, decode
from tests.support.histories import START_MS, response
from tests.support.ledger_rows import LOADED_MS

CODEC = Codec()
VIEW = "SELECT origin_topic, source, reason, state, letters FROM letters_by_reason"
Kind = tuple[str, str, str, str]
"""Topic, source, reason and state."""


class Topics:
    """Both topics of letters, as the loader reads them."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def write(self, topic: str, value: bytes | None, key: bytes | None, headers: list[Header]) -> None:
        """Append a record."""
        offset = sum(message.topic() == topic for message in self.messages)
        self.messages.append(
            Message(topic=topic, partition=0, offset=offset, key=key, value=value, headers=headers,  # type: ignore[arg-type]  # a list of str | bytes, in the stubs
                    timestamp=(1, START_MS + len(self.messages)))
        )  # fmt: skip

    def load(self, database: ClickHouse, r: random.Random) -> None:
        """Write the rows, some of them twice, in any order."""
        again = [message for message in self.messages if r.random() < 0.3]
        parts, rejects = decode(CODEC, [*self.messages, *again], LOADED_MS)
        assert rejects == []
        for topic, part in parts.items():
            rows = list(part.rows)
            r.shuffle(rows)
            for row in rows:
                database.insert(TABLES[topic].name, TABLES[topic].columns, [row])


def live(r: random.Random, topics: Topics, number: int) -> Kind:
    """Let one letter die and be put back some times, and perhaps be dropped; what it counts as in the end."""
    is_read = r.random() < 0.7
    value = CODEC.encode(response(f"r{number}", START_MS, 3)) if is_read else b"junk"
    headers: list[Header] = []
    for at in range(r.randrange(1, 4)):
        reason = r.choice(("too_late", "unknown_survey"))
        death = Death(reason, "", "nps.responses", 1, number * 10 + at, START_MS)
        letter = identify(headers, death)
        for _ in range(r.choice((1, 1, 2))):  # a worker that was killed writes it twice
            topics.write(DEAD_LETTERS, value, b"c1", wrap(headers, death))
        done = r.choice(("waiting", "redriven", "dropped"))
        if done != "waiting":
            fields = (*letter, done, reason, "nps.responses", 1, death.offset, START_MS)
            action = LetterAction(*fields)
            topics.write(LETTER_ACTIONS.name, CODEC.encode(action), key_of(action), [])
        if done != "redriven":
            break
        headers = put_back(headers, letter)
    else:
        done = "redriven"
    return "nps.responses", "tool" if is_read else "", reason, done


def test_each_letter_counts_once_by_its_newest_death(database: ClickHouse) -> None:
    """Whatever came twice, in any order, and before any merge."""
    for seed in range(3):
        r, topics = random.Random(seed), Topics()
        database.command("TRUNCATE TABLE dead_letters")
        database.command("TRUNCATE TABLE letter_actions")
        wanted = Counter(live(r, topics, number) for number in range(25))
        topics.load(database, r)
        assert {tuple(row[:-1]): row[-1] for row in database.query(VIEW)} == wanted
        assert {state for *_, state in wanted} == {"waiting", "redriven", "dropped"}
