"""What a worker runs on its partitions: agents, each with state of its own that is read back at every assignment."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from schemas.codec import Codec
from schemas.events import PaneTally
from schemas.topics import JOURNEYS, PANES
from streams import metrics
from streams.kafka.ports import Batch, KafkaRecord, Reader
from streams.state.lineage import Lineage
from streams.state.recovery import TAIL_RECORDS, output_partitions

PROGRESS_RECORDS = 10_000
"""Records between two signs of life while state is read back."""


class Assignment(NamedTuple):
    """What the group gave this worker.

    `partitions` are numbers, the same for all topics; `segment_partitions` is how many nps.panes has.  `unread` tells
    the offsets of a topic's partition that are there and not committed.
    """

    partitions: frozenset[int]
    segment_partitions: int
    lineage: Lineage
    unread: Callable[[str, int], range]


class Restore(Protocol):
    """An agent's state for one assignment while it is read back, apart from what the agent has now.

    A newer assignment may cut it short: then nothing of it is put in place.
    """

    def take(self, topic: str, partition: int, record: KafkaRecord, pane: PaneTally | None) -> None:
        """Take one record of a state topic, or of the last outputs; `pane` is what a record of nps.panes says."""

    def complete(self) -> None:
        """All was read: make ready.  May take long; not on the event loop."""

    async def put_in_place(self) -> None:
        """Let the agent go on with this state."""


class Agent(Protocol):
    """One side of the worker.  `restore` comes first at each assignment, `revoke` last; between them the others."""

    topics: tuple[str, ...]
    """The topics whose batches it handles."""

    def restore(self, assignment: Assignment) -> Restore:
        """Begin to read the state of these partitions back."""

    async def handle(self, batch: Batch) -> None:
        """Process one batch; returns when its effects are durable.  Raises what must end the worker."""

    def tick(self) -> None:
        """Write what the clock alone makes due; called several times a second."""

    def revoke(self) -> None:
        """Forget all partitions: they are somebody else's now."""


def read_back(reader: Reader, codec: Codec, assignment: Assignment, restores: Sequence[Restore]) -> int:
    """Give all restores the state topics of their partitions, each read once, then the last outputs; how many records.

    nps.panes is read whole: other partitions of it may hold panes that ours count.  Raises BadState, BrokerAway.
    """
    count, partitions = 0, assignment.partitions
    state = [(JOURNEYS, number) for number in partitions]
    state += [(PANES.name, number) for number in range(assignment.segment_partitions)]
    ours = tuple(f"|{number}".encode() for number in partitions)
    for (topic, number), record in reader.read(state):
        count += 1
        if count % PROGRESS_RECORDS == 0:
            metrics.LAST_PROGRESS.set_to_current_time()
        pane = None
        if topic == PANES.name:
            if record.value is None or not (number in partitions or (record.key or b"").endswith(ours)):
                continue
            pane = codec.decode(PaneTally, record.value)
        for restore in restores:
            restore.take(topic, number, record, pane)
    for (topic, number), record in reader.tail(output_partitions(partitions), TAIL_RECORDS):
        for restore in restores:
            restore.take(topic, number, record, None)
    for restore in restores:
        restore.complete()
    return count
