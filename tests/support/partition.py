"""A blank partition, records for it, good and bad, and what came of them."""

import asyncio
from collections.abc import Sequence

from schemas.codec import Codec
from schemas.events import Record as Event
from schemas.reasons import Reason
from streams.domain.panes import HOUR_MS
from streams.kafka.memory import MemoryLog
from streams.kafka.ports import FetchedRecord, KafkaRecord, Output
from streams.processing.merge import MergedBatch
from streams.processing.outputs import BatchOutputs
from streams.processing.partition import PartitionProcessor
from streams.state.progress import Progress
from tests.support.histories import OPEN, START_MS, case, purchase

CODEC = Codec()
NOW_MS = START_MS + HOUR_MS
HEADERS = [("trace", b"\x00\xff"), ("nps.dead.reason", b"not ours"), ("empty", None)]
KEY = b"c1"


def processor(epoch: int = 0) -> PartitionProcessor:
    """The work of partition 3, blank."""
    return PartitionProcessor(3, OPEN, CODEC, lambda segment: len(segment), epoch)


def batch_of(topic: str, records: Sequence[FetchedRecord], wall_ms: int = NOW_MS) -> MergedBatch:
    """A batch of one topic's records, decided at `wall_ms`."""
    return MergedBatch([(topic, record) for record in records], wall_ms, Progress())


def record(event: Event, offset: int = 0, at_ms: int = START_MS, key: bytes | None = KEY) -> KafkaRecord:
    """An event as it was fetched."""
    return KafkaRecord(offset, at_ms, key, CODEC.encode(event), HEADERS)


def published(outputs: BatchOutputs, topic: str) -> list[Output]:
    """What goes to a topic."""
    return [output for output in outputs.records if output.topic == topic]


def durable(one: PartitionProcessor, outputs: BatchOutputs) -> MemoryLog:
    """Written and taken into the tables."""
    log = MemoryLog()
    asyncio.run(one.make_durable(outputs, log, lambda: None))
    return log


SHOP = purchase("p", "order.delivered", START_MS)
GOOD = record(SHOP)
BAD: dict[str, tuple[KafkaRecord, Reason]] = {
    "null value": (GOOD._replace(value=None), Reason.NO_VALUE),
    "not Avro": (GOOD._replace(value=b"\x00{junk"), Reason.UNKNOWN_SCHEMA),
    "no header": (GOOD._replace(value=b'{"score": 9}'), Reason.UNDECODABLE),
    "empty": (GOOD._replace(value=b""), Reason.UNDECODABLE),
    "cut off": (GOOD._replace(value=(GOOD.value or b"")[:-1]), Reason.UNDECODABLE),
    "another type": (record(case("k", "case.solved", START_MS)), Reason.WRONG_TYPE),
    "another's key": (GOOD._replace(key=b"c2"), Reason.WRONG_KEY),
    "no key": (GOOD._replace(key=None), Reason.WRONG_KEY),
    "key not UTF-8": (GOOD._replace(key=b"\xff"), Reason.WRONG_KEY),
    "future timestamp": (GOOD._replace(timestamp=NOW_MS + 300_001), Reason.TOO_EARLY),
    "no timestamp": (GOOD._replace(timestamp=-1), Reason.TOO_EARLY),
    "late": (record(purchase("p", "order.delivered", START_MS - 8 * 24 * HOUR_MS)), Reason.TOO_LATE),
}
