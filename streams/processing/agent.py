"""Agents that a worker runs on its partitions, each with its own state, which is read back at every assignment."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from schemas.codec import Codec
from schemas.events import PaneTally
from schemas.topics import JOURNEYS, PANES, pane_of
from streams import metrics
from streams.kafka.ports import Batch, KafkaRecord, Reader
from streams.state.lineage import Lineage
from streams.state.recovery import TAIL_RECORDS, output_partitions

PROGRESS_RECORDS = 10_000
"""Records between two updates of nps_last_progress_seconds while state is read back."""


class Assignment(NamedTuple):
    """Partitions that the group assigned to this worker.

    `partitions` are numbers, the same for all topics; `segment_partitions` is the partition count of nps.panes.
    `unread` returns the offsets of a topic's partition that are there and not committed.
    """

    partitions: frozenset[int]
    segment_partitions: int
    lineage: Lineage
    unread: Callable[[str, int], range]


class Restore(Protocol):
    """An agent's state for one assignment while it is read back, apart from the agent's present state.

    A newer assignment may cancel it: then nothing of it is put in place.
    """

    def take(self, topic: str, partition: int, record: KafkaRecord, pane: PaneTally | None) -> None:
        """Take one record of a state topic, or of the last outputs.

        `pane` is the decoded record of nps.panes; of a tombstone, whose record has no value, the blank pane that goes.
        """

    def complete(self) -> None:
        """Prepare the state once every record was taken.  May take long; runs off the event loop."""

    async def put_in_place(self) -> None:
        """Replace the agent's state by this one."""


class Agent(Protocol):
    """One side of the worker.  Of each assignment `restore` is called first and `revoke` last."""

    topics: tuple[str, ...]
    """Topics whose batches this agent handles."""

    def restore(self, assignment: Assignment) -> Restore:
        """Begin to read the state of these partitions back."""

    async def handle(self, batch: Batch) -> None:
        """Process one batch; returns when its effects are durable.  An error ends the worker."""

    def tick(self) -> None:
        """Write the outputs that are due by the clock alone; called several times a second."""

    def revoke(self) -> None:
        """Drop the state of all partitions: they belong to other workers now."""


def read_back(reader: Reader, codec: Codec, assignment: Assignment, restores: Sequence[Restore]) -> int:
    """Read the state topics once, then the last outputs, into all restores; returns the number of state records.

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
            pane = pane_of(record.key or b"") if record.value is None else codec.decode(PaneTally, record.value)
        for restore in restores:
            restore.take(topic, number, record, pane)
    for (topic, number), record in reader.tail(output_partitions(partitions), TAIL_RECORDS):
        for restore in restores:
            restore.take(topic, number, record, None)
    for restore in restores:
        restore.complete()
    return count
