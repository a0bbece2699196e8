"""Histories that try everything: seeded, with records as they would lie on the inbound topics, in the order of writing.

    for sent in generate(seed, Mix(), end_ms): ...          days of history that end now, all to be written at once
    for sent in live(seed, rate=50, seconds=60, start_ms):  as it happens: written by `produce(..., paced=True)`
    for sent in recent(seed, visits=40): ...                what has just happened, to be written at once
    produce(bootstrap, sent)                                to Kafka, timestamps kept

Events come one to three times, at times much later, out of order within a customer, late, early, at absurd times;
answers are corrected up and down and withdrawn, before and after; persons and scanners click on links; cancels on
either topic race due times, triggers race quarantines; customers opt out, withdraw, bounce and are erased; two have one
event id, one never stops, some write without end; poison of every kind lies between.  The same seed, mix and end make
the same bytes.

A history is to be written before anybody reads it, as one: order of time is that of what lies there.  What is written
while workers read must be of just now, as `live` and `recent` traffic is.
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from heapq import merge
from pathlib import Path

from confluent_kafka import KafkaError, Message, Producer

from tests.faults.oracle.terms import PROGRAM, read_terms
from tests.faults.traffic.mix import CLEAN as CLEAN
from tests.faults.traffic.mix import DAY_MS
from tests.faults.traffic.mix import Mix as Mix
from tests.faults.traffic.mix import Sent as Sent
from tests.faults.traffic.stories import Stories

RECENT_S = 15.0
"""How far back recent traffic begins."""


def generate(seed: int, mix: Mix | None = None, end_ms: int | None = None, program: Path = PROGRAM) -> Iterator[Sent]:
    """A history that ends at `end_ms`, by default now, for this program; none of its records is younger."""
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
    mix = replace(
        mix or Mix(), visits=visits, customers=visits, span_ms=span_ms, spread_ms=8_000, jitter_ms=500, apart_ms=1_500
    )
    yield from generate(seed, mix, start_ms + span_ms, program)


def recent(seed: int, visits: int, mix: Mix | None = None, program: Path = PROGRAM) -> Iterator[Sent]:
    """Traffic of the last few seconds, to be written at once while workers read."""
    start_ms = time.time_ns() // 1_000_000 - round(RECENT_S * 1_000)
    yield from live(seed, visits / RECENT_S, RECENT_S, start_ms, mix, program)


def together(*histories: Iterable[Sent]) -> Iterator[Sent]:
    """Several histories as one, written side by side."""
    yield from merge(*histories, key=lambda sent: sent.timestamp_ms)


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
