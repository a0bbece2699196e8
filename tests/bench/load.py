"""What the benchmarks write and read: one purchase and one answer a customer, and quick Kafka clients."""

import random
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import confluent_kafka
from rich.console import Console
from rich.progress import track

from schemas.codec import Codec
from schemas.events import Purchase, SurveyResponse
from streams.domain.ids import survey_id
from streams.local.stack import PARTITIONS

SEGMENTS = (("BR", "DE", "FR", "IN", "US"), ("books", "food", "garden", "toys"))
SCORES = (0, 3, 6, 7, 8, 8, 9, 9, 9, 10, 10, 10)
DAY_MS = 86_400_000
TRIGGERS_EACH = 20
"""Of these the first is sent, the others are suppressed: 95 in a hundred."""

out = Console(width=110)


class Load:
    """So many customers, each with one purchase and one answer, 100 answers to a second of event time."""

    def __init__(self, answers: int) -> None:
        self.answers = answers
        self.codec = Codec()
        self.start_ms = time.time_ns() // 1_000_000 - 2 * DAY_MS
        self._random = random.Random(1)

    def purchase(self, i: int, at_ms: int) -> tuple[bytes, bytes, int]:
        """Key, value and timestamp of the i-th purchase."""
        attributes = {"country": SEGMENTS[0][i % 5], "category": SEGMENTS[1][i % 4]}
        event = Purchase("shop", f"p{i}", "order.delivered", at_ms, f"C{i}", f"o{i}", 1_000, "EUR", attributes)
        return f"C{i}".encode(), self.codec.encode(event), at_ms

    def answer(self, i: int, at_ms: int) -> tuple[bytes, bytes, int]:
        """Key, value and timestamp of the i-th answer."""
        survey = survey_id(f"C{i}", "shop", f"p{i}", "after-delivery")
        score, channel = self._random.choice(SCORES), ("email", "sms", "web")[i % 3]
        event = SurveyResponse("tool", f"r{i}", "survey.answered", at_ms, f"C{i}", survey, score, None, False, channel)
        return f"C{i}".encode(), self.codec.encode(event), at_ms

    def purchases(self) -> Iterator[tuple[bytes, bytes, int]]:
        """All purchases, at one time."""
        return (self.purchase(i, self.start_ms) for i in range(self.answers))

    def triggers(self) -> Iterator[tuple[bytes, bytes, int]]:
        """As many purchases of a twentieth of the customers, a minute apart: each is asked once and not again."""
        customers = max(1, self.answers // TRIGGERS_EACH)
        for i in range(self.answers):
            name = f"C{i % customers}"
            at_ms = self.start_ms + i // customers * 60_000
            attributes = {"country": SEGMENTS[0][i % 5], "category": SEGMENTS[1][i % 4]}
            event = Purchase("shop", f"t{i}", "order.delivered", at_ms, name, f"o{i}", 1_000, "EUR", attributes)
            yield name.encode(), self.codec.encode(event), at_ms

    def all_answers(self) -> Iterator[tuple[bytes, bytes, int]]:
        """All answers, a day later."""
        return (self.answer(i, self.start_ms + DAY_MS + i * 10) for i in range(self.answers))


def produce(brokers: str, topic: str, records: Iterator[tuple[bytes, bytes, int]], total: int, what: str) -> None:
    """Write records as fast as the broker takes them."""
    client = producer(brokers)
    for key, value, timestamp in track(records, what, total, console=out, disable=not out.is_terminal):
        while True:
            try:
                client.produce(topic, value, key, timestamp=timestamp)
                break
            except BufferError:
                client.poll(0.1)
    client.flush()


def producer(brokers: str) -> confluent_kafka.Producer:
    return confluent_kafka.Producer(
        {
            "bootstrap.servers": brokers, "partitioner": "murmur2_random", "linger.ms": 5,
            "queue.buffering.max.messages": 1_000_000, "log_level": 0,
        }
    )  # fmt: skip


def reader_of(brokers: str, *topics: str) -> confluent_kafka.Consumer:
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": brokers, "group.id": "bench", "fetch.queue.backoff.ms": 10, "fetch.wait.max.ms": 10,
            "queued.min.messages": 20_000, "log_level": 0,
        }
    )  # fmt: skip
    start = confluent_kafka.OFFSET_BEGINNING
    parts = [confluent_kafka.TopicPartition(topic, n, start) for topic in topics for n in range(PARTITIONS)]
    consumer.assign(parts)
    return consumer


@contextmanager
def programs() -> Iterator[tuple[Path, Path]]:
    """The shipped program with surveys sent at once and at any hour: with its five windows, and with the 1 h one."""
    text = (Path(__file__).parents[2] / "streams" / "nps.toml").read_text()
    text = re.sub(r'delay = "\w+"', 'delay = "0s"', text)
    text = re.sub(r'(?m)^hours = "[^"]*"', 'hours = "always"', text)
    with tempfile.TemporaryDirectory() as folder:
        five, one = Path(folder) / "five.toml", Path(folder) / "one.toml"
        five.write_text(text)
        one.write_text(re.sub(r"lengths = .*", 'lengths = ["1h"]', text))
        yield five, one
