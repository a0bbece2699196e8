"""Extent of a rebuild: how far workers have come, from when on the inputs are whole, and who has been erased."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from schemas.codec import Codec
from schemas.events import ContactUpdate, Erasure
from schemas.topics import CONTACTS, INBOUND, JOURNEYS
from streams.domain.effects import Reject
from streams.domain.policy import Program
from streams.intake import accept
from streams.kafka.ports import Reader
from streams.kafka.reader import KafkaReader
from streams.processing.replay import TOPICS
from streams.state import progress
from streams.state.progress import UNREAD

NEWEST = 100
"""Records at the end of a partition of nps.journeys among which its progress lies: it is written last."""


class Deleted(NamedTuple):
    """A topic whose beginning Kafka has deleted, and the timestamp of the first record that is left."""

    topic: str
    first_ms: int


def applied(reader: Reader, partition: int, epoch: int) -> Sequence[int]:
    """The offsets of the inbound topics up to which a worker has decided, or decides just now; UNREAD for no worker.

    Whatever of the outputs was written before this is read came of records before these offsets.
    """
    found = None
    for _, record in reader.tail([(JOURNEYS, partition)], NEWEST):
        if record.key == progress.KEY:
            with suppress(ValueError):  # somebody else's
                found = progress.decode(record.value or b"")
    if found is None or found.epoch != epoch:
        return [UNREAD] * len(TOPICS)
    in_hand = found.in_hand or found.offsets
    return [max(0, *both) for both in zip(found.offsets, in_hand, strict=True)]


def deleted(reader: KafkaReader, partitions: int) -> list[Deleted]:
    """Inbound topics of which records are gone, each with the latest first timestamp of its partitions."""
    found = []
    for topic in INBOUND:
        firsts = [reader.deleted_before_ms((topic.name, number)) for number in range(partitions)]
        if gone := [first for first in firsts if first is not None]:
            found.append(Deleted(topic.name, max(gone)))
    return found


def exact_from_ms(deletions: Sequence[Deleted], program: Program) -> int:
    """The instant from which a rebuild is exact, in ms; 0 where nothing was deleted.

    What is decided then depends on nothing older than what is left: on no trigger, survey or quarantine that a journey
    still knew.
    """
    if not deletions:
        return 0
    waits_ms = max((rule.delay_ms for rule in program.rules), default=0) + program.limits.late_ms
    return max(first_ms for _, first_ms in deletions) + program.memory_ms + waits_ms


def erasures(reader: Reader, partitions: int, codec: Codec, program: Program, now_ms: int) -> Iterator[Erasure]:
    """Every erasure that lies in nps.contacts, which keeps all: who is erased must be known before a row is written."""
    latest_ms = now_ms + program.limits.early_ms
    for _, record in reader.read([(CONTACTS.name, number) for number in range(partitions)]):
        for header in codec.unread((record.value,)):
            codec.learn(header)
        event = accept(codec, ContactUpdate, record, latest_ms, program.is_placeholder)
        if not isinstance(event, Reject) and isinstance(event, ContactUpdate) and event.erased:
            received_ms = min(record.timestamp, now_ms)
            yield Erasure("", event.customer_id, event.source, event.id, event.time, received_ms, program.hash, 0)
