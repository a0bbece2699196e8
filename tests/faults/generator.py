"""Histories that try everything: seeded, with records as they would lie on the inbound topics, in the order of writing.

    for sent in generate(seed, Mix(), end_ms): ...          days of history that end now, all to be written at once
    for sent in live(seed, rate=50, seconds=60, start_ms):  as it happens: written by `produce(..., paced=True)`
    produce(bootstrap, sent)                                 to Kafka, timestamps kept

Events come one to three times, at times much later, out of order within a customer, late, early, at absurd times;
answers are corrected up and down and withdrawn, before and after; cancels race due times, triggers race quarantines;
poison of every kind lies between.  The same seed, mix and end make the same bytes.
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import KafkaError, Message, Producer

from tests.faults.oracle_terms import PROGRAM, read_terms

DAY_MS = 86_400_000


class Sent(NamedTuple):
    """A record to be written, `timestamp_ms` being the one that Kafka shall keep."""

    topic: str
    key: bytes | None
    value: bytes | None
    timestamp_ms: int
    headers: tuple[tuple[str, bytes | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Mix:
    """How much of what.  Ratios are of triggers or of answers, from 0 to 1; `visits` is how many triggers there are.

    `span_ms` is how long the history lasts, `spread_ms` how far answers, corrections and later copies lie apart,
    `jitter_ms` how far a record may be written out of turn.  A history must be shorter than `late` and the longest
    quarantine together: further than `late` apart, topics may be read with a quarantine forgotten in between.
    """

    visits: int = 600
    customers: int = 300
    span_ms: int = 10 * DAY_MS
    spread_ms: int = 2 * DAY_MS
    jitter_ms: int = 600_000
    answered_ratio: float = 0.75
    duplicated_ratio: float = 0.15
    reordered_ratio: float = 0.1
    corrected_ratio: float = 0.25
    voided_ratio: float = 0.06
    overtaking_ratio: float = 0.04
    late_ratio: float = 0.05
    absurd_ratio: float = 0.02
    cancelled_ratio: float = 0.1
    racing_ratio: float = 0.08
    opted_ratio: float = 0.05
    faulty_ratio: float = 0.03
    stray_ratio: float = 0.02
    poison_ratio: float = 0.03
    junk_bytes: int = 70_000
    hot_customers: int = 3
    hot_customer_ratio: float = 0.05
    hot_segment_ratio: float = 0.5

    def __post_init__(self) -> None:
        """Raises ValueError for a ratio that is none."""
        for name in self.__slots__:
            if name.endswith("_ratio") and not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be from 0 to 1, not {getattr(self, name)}")


CLEAN = Mix(
    duplicated_ratio=0, reordered_ratio=0, late_ratio=0, absurd_ratio=0, cancelled_ratio=0, racing_ratio=0,
    opted_ratio=0, faulty_ratio=0, stray_ratio=0, poison_ratio=0, voided_ratio=0, corrected_ratio=0, overtaking_ratio=0,
    hot_customer_ratio=0,
)  # fmt: skip
"""Nothing but triggers and their answers: to be told by `replace` what shall go wrong."""


def generate(seed: int, mix: Mix | None = None, end_ms: int | None = None, program: Path = PROGRAM) -> Iterator[Sent]:
    """A history that ends at `end_ms`, by default now, for this program; none of its records is younger."""
    from tests.faults.stories import Stories

    end_ms = time.time_ns() // 1_000_000 if end_ms is None else end_ms
    stories = Stories(random.Random(seed), mix or Mix(), read_terms(program), end_ms, name=f"{seed:x}")
    yield from stories.told()


def live(
    seed: int, rate: float, seconds: float, start_ms: int, mix: Mix | None = None, program: Path = PROGRAM
) -> Iterator[Sent]:
    """Traffic as it happens: `rate` triggers a second from `start_ms` on, most of them answered some seconds later.

    Most customers are new ones, so that quarantines seldom refuse.  The last triggers have no time to be answered.
    """
    visits = max(1, round(rate * seconds))
    span_ms = round(seconds * 1_000)
    mix = replace(mix or Mix(), visits=visits, customers=visits, span_ms=span_ms, spread_ms=8_000, jitter_ms=1_000)
    yield from generate(seed, mix, start_ms + span_ms, program)


class Undelivered(RuntimeError):
    """Kafka did not take every record."""


def produce(bootstrap: str, sent: Iterable[Sent], *, paced: bool = False, within_s: float = 300.0) -> Counter[str]:
    """Write the records in order, each with its own timestamp; how many Kafka acknowledged, by topic.

    `paced` writes none before its time.  Raises Undelivered when one was not taken `within_s` seconds after its turn.
    """
    taken: Counter[str] = Counter()
    refused: list[str] = []

    def delivered(error: KafkaError | None, message: Message) -> None:
        if error is None:
            taken[message.topic() or ""] += 1
        else:
            refused.append(f"{message.topic()}: {error.str()}")

    producer = _producer(bootstrap, within_s)
    for record in sent:
        while paced and (ahead_ms := record.timestamp_ms - time.time_ns() // 1_000_000) > 0:
            if ahead_ms > DAY_MS // 48:  # a clock that is wrong, and not to be waited for
                break
            producer.poll(min(ahead_ms, 50) / 1_000)
        _produce(producer, record, delivered)
    left = producer.flush(within_s)
    if left or refused:
        raise Undelivered(f"{left + len(refused)} records not taken by {bootstrap}: {refused[:1] or 'no answer'}")
    return taken


def _producer(bootstrap: str, within_s: float) -> Producer:
    return Producer(
        {
            "bootstrap.servers": bootstrap,
            "partitioner": "murmur2_random",
            "enable.idempotence": True,
            "message.timeout.ms": round(within_s * 1_000),
            "message.max.bytes": 4_000_000,
            "linger.ms": 10,
            "log_level": 0,
        }
    )


def _produce(producer: Producer, record: Sent, delivered: Callable[[KafkaError | None, Message], None]) -> None:
    topic, key, value, timestamp_ms, headers = record
    while True:
        try:
            producer.produce(
                topic, value, key, timestamp=timestamp_ms, headers=list(headers) or None, on_delivery=delivered
            )
        except BufferError:
            producer.poll(0.1)
        else:
            producer.poll(0)
            return
