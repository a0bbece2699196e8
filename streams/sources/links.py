"""Links: which customer an order, case or address belongs to, as records said that have both; on nps.links.

The topic is compacted and keyed by a digest; every process that needs links holds them all.  The first link of a key
stands, so that a record that is delivered again finds the customer that it found before.  An erasure takes its
customer's links away, as it comes or when it is read again, and nothing from before it teaches them anew.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from schemas.codec import Codec, Undecodable
from schemas.events import Erasure, Link
from schemas.ours import decode_ours
from schemas.topics import LINKS
from streams.kafka.foreign import pass_over
from streams.kafka.ports import KafkaRecord, Output, TopicPartition
from streams.sources.mapper import TaughtLink

MOST_LINKS = 1_000_000
"""The most links that are held, some 250 MB; beyond it the oldest are let go."""


class ErasureTable(Protocol):
    """Instants in milliseconds until which customers are erased, by the digest of their id."""

    def get(self, customer: str, /) -> int | None: ...  # noqa: D102
    def learn(self, customer: str, until_ms: int, /) -> None: ...  # noqa: D102


class Links:
    """Links by key, for all sources of a process; `digest` makes the key of `erased` of a customer's id."""

    def __init__(
        self, codec: Codec, erased: ErasureTable, digest: Callable[[object], str], most_links: int = MOST_LINKS
    ) -> None:
        self._codec, self._erased, self._digest, self._most_links = codec, erased, digest, most_links
        self._links: dict[str, tuple[str, int]] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._links)

    def __contains__(self, key: object) -> bool:
        return key in self._links

    def customer_of(self, key: str) -> str | None:
        """The customer to whom the link of a key leads; None for a link that is not known."""
        found = self._links.get(key)
        return None if found is None else found[0]

    def teach(self, taught: Sequence[TaughtLink], source: str, at_ms: int) -> list[Output]:
        """Take links that a record of this Kafka timestamp taught; the outputs that make them durable."""
        outputs: list[Output] = []
        with self._lock:
            for key, customer_id in taught:
                if key in self._links or self._is_erased(customer_id, at_ms):
                    continue
                self._links[key] = customer_id, at_ms
                outputs.append(self._output(Link(key, customer_id, source, at_ms)))
            outputs += self._let_go()
        return outputs

    def restated(self, taught: Sequence[TaughtLink], source: str) -> list[Output]:
        """The outputs that make these links durable, of those that stand as they were taught."""
        held = [
            (key, *self._links.get(key, ("", 0))) for key, customer_id in taught if self.customer_of(key) == customer_id
        ]
        return [self._output(Link(key, customer_id, source, at_ms)) for key, customer_id, at_ms in held]

    def take(self, records: Sequence[tuple[TopicPartition, KafkaRecord]]) -> list[Output]:
        """Take records of nps.links and nps.erasures, in any order; the outputs by which links end.

        Raises RegistryAway.
        """
        outputs: list[Output] = []
        with self._lock:
            erased: dict[str, int] = {}
            for (topic, partition), record in records:
                try:
                    if topic == LINKS.name:
                        outputs += self._take_link(record)
                    else:
                        self._take_erasure(record, erased)
                except Undecodable as error:
                    pass_over(topic, partition, record.offset, error)
            outputs += self._erase(erased) + self._let_go()
        return outputs

    def _output(self, link: Link) -> Output:
        return Output(LINKS.name, self._codec.encode(link), link.link.encode())

    def _take_link(self, record: KafkaRecord) -> list[Output]:
        if record.value is None:
            self._links.pop((record.key or b"").decode(errors="replace"), None)
            return []
        link = decode_ours(self._codec, Link, record.key, record.value)
        if self._is_erased(link.customer_id, link.time):
            self._links.pop(link.link, None)
            return [_tombstone(link.link)]
        self._links[link.link] = link.customer_id, link.time
        return []

    def _take_erasure(self, record: KafkaRecord, erased: dict[str, int]) -> None:
        erasure = decode_ours(self._codec, Erasure, record.key, record.value)
        until_ms = max(erasure.erased_ms, erasure.received_ms)
        self._erased.learn(self._digest(erasure.customer_id), until_ms)
        erased[erasure.customer_id] = max(until_ms, erased.get(erasure.customer_id, until_ms))

    def _erase(self, erased: Mapping[str, int]) -> list[Output]:
        """End the links of these customers that were taught until they were erased."""
        if not erased:
            return []
        ended = [
            key
            for key, (customer_id, at_ms) in self._links.items()
            if customer_id in erased and at_ms <= erased[customer_id]
        ]
        for key in ended:
            del self._links[key]
        return [_tombstone(key) for key in ended]

    def _is_erased(self, customer_id: str, at_ms: int) -> bool:
        until_ms = self._erased.get(self._digest(customer_id))
        return until_ms is not None and at_ms <= until_ms

    def _let_go(self) -> list[Output]:
        """End the oldest links beyond the bound."""
        ended = []
        while len(self._links) > self._most_links:
            key = next(iter(self._links))
            del self._links[key]
            ended.append(_tombstone(key))
        return ended


def _tombstone(key: str) -> Output:
    return Output(LINKS.name, None, key.encode())
