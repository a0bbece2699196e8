"""Agents that a worker runs on its partitions, each with its own state, which is read back at every assignment."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from schemas.codec import Codec, Undecodable
from schemas.events import PaneTally
from schemas.ours import decode_ours
from schemas.topics import JOURNEYS, PANES, blank_pane
from streams import metrics
from streams.kafka.foreign import pass_over
from streams.kafka.ports import Batch, FetchedRecord, KafkaRecord, Reader, TopicPartition
from streams.state.lineage import Lineage

MOST_ANSWERS = 1 << 48
"""More answers than a pane can have: a tally beyond is none of ours."""

PROGRESS_RECORDS = 10_000
"""Records between two updates of nps_last_progress_seconds while state is read back."""


class Assignment(NamedTuple):
    """Partitions that the group assigned to this worker.

    `partitions` are numbers, the same for all topics; `segment_partitions` is the partition count of nps.panes.
    """

    partitions: frozenset[int]
    segment_partitions: int
    lineage: Lineage


class Feed(Protocol):
    """Port to the engine, which reads the topics."""

    def applied(self, topic: str, partition: int, offset: int) -> None:
        """Let everything before `offset` be committed: its effects are durable."""

    def caught_up_ns(self, topic: str, partition: int) -> int:
        """Monotonic time at which the last fetch was asked that found nothing behind what was handed over; -1 for none.

        All that Kafka had acknowledged by then has been handed over.
        """

    def tell_when_empty(self) -> None:
        """Have agents resumed after the next fetch that found nothing in some partition."""


class Restore(Protocol):
    """An agent's state for one assignment while it is read back, apart from the agent's present state.

    A newer assignment may cancel it: then nothing of it is put in place.
    """

    def take(self, topic: str, partition: int, record: KafkaRecord, pane: PaneTally | None) -> None:
        """Take one record of a state topic.

        `pane` is the decoded record of nps.panes; of a tombstone, whose record has no value, the blank pane that goes.
        """

    def complete(self) -> None:
        """Prepare the state once every record was taken.  May take long; runs off the event loop."""

    async def put_in_place(self) -> Mapping[TopicPartition, int]:
        """Replace the agent's state by this one; returns the offsets to read on from, where the state knows them."""


class Agent(Protocol):
    """One side of the worker.  Of each assignment `restore` is called first and `revoke` last."""

    topics: tuple[str, ...]
    """Topics whose batches this agent takes."""

    def restore(self, assignment: Assignment) -> Restore:
        """Begin to read the state of these partitions back."""

    def wants(self, topic: str, partition: int) -> bool:
        """True while there is room for more records of this partition."""

    def receive(self, batch: Batch) -> None:
        """Take a batch; the feed is told once its effects are durable."""

    def resume(self) -> None:
        """Go on: a fetch found nothing in some partition."""

    def tick(self) -> None:
        """Write the outputs that are due by the clock alone; called several times a second."""

    async def finish(self) -> None:
        """Finish the batches in hand and begin no more."""

    def revoke(self) -> None:
        """Drop the state of all partitions: they belong to other workers now."""


def pane_of(codec: Codec, partition: int, record: FetchedRecord) -> PaneTally | None:
    """Decode a record of nps.panes, of a tombstone the blank pane that goes; None for what we did not write.

    Raises RegistryAway.
    """
    if record.value is None:
        return blank_pane(record.key or b"")
    try:
        pane = decode_ours(codec, PaneTally, record.key, record.value)
    except Undecodable as error:
        pass_over(PANES.name, partition, record.offset, error)
        return None
    fewest = -MOST_ANSWERS if pane.supplement else 0  # a correction of what a pane that is gone counted takes away
    if all(fewest <= count <= MOST_ANSWERS for count in (pane.promoters, pane.passives, pane.detractors)):
        return pane
    pass_over(PANES.name, partition, record.offset, "no tally of answers")
    return None


def read_back(reader: Reader, codec: Codec, assignment: Assignment, restores: Sequence[Restore]) -> int:
    """Read the state topics once into all restores; returns the number of their records.

    nps.panes is read whole: any partition of it may hold panes that ours count.  Raises BadState, BrokerAway.
    """
    count, partitions = 0, assignment.partitions
    state = [(JOURNEYS, number) for number in partitions]
    state += [(PANES.name, number) for number in range(assignment.segment_partitions)]
    our_key_endings = tuple(f"|{number}".encode() for number in partitions)
    for (topic, number), record in reader.read(state):
        count += 1
        if count % PROGRESS_RECORDS == 0:
            metrics.LAST_PROGRESS.set_to_current_time()
        pane = None
        if topic == PANES.name:
            if not (number in partitions or (record.key or b"").endswith(our_key_endings)):
                continue
            for header in codec.unread((record.value,)):
                codec.learn(header)
            pane = pane_of(codec, number, record)
            if pane is None:
                continue
        for restore in restores:
            restore.take(topic, number, record, pane)
    for restore in restores:
        restore.complete()
    return count
