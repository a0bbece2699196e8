"""What a worker that died wrote and did not remember is found again, and replayed before anything else."""

import asyncio

from schemas.codec import Codec
from schemas.events import Decision, Purchase, SupportCase
from schemas.topics import DECISIONS, JOURNEYS, PURCHASES, RESPONSES, SUPPORT
from streams.engine.fuse import Fuse, FuseLimits
from streams.kafka.memory import MemoryLog
from streams.kafka.ports import KafkaRecord
from streams.processing.journeys import Journeys
from streams.processing.partition import PartitionProcessor
from streams.program import parse
from streams.state.recovery import BatchInDoubt, Recovery, output_partitions
from tests.support.programs import program

CODEC = Codec()
NOW_MS = 1_800_000_000_000
PROGRAM = parse(
    program(
        {"name": "bought"}, {"name": "solved", "on": ["case.solved"]}, quarantine="90d", dimensions=(), combinations=()
    ),
    "test",
)
BOUGHT = Purchase("shop", "o", "order.delivered", NOW_MS, "c", "o", None, None, {})
SOLVED = SupportCase("desk", "k", "case.solved", NOW_MS, "c", "k", {})
BLOCKS = {
    PURCHASES.name: [KafkaRecord(7, NOW_MS, b"c", CODEC.encode(BOUGHT))],
    SUPPORT.name: [KafkaRecord(3, NOW_MS, b"c", CODEC.encode(SOLVED))],
}


def blank(number: int, _: int) -> PartitionProcessor:
    """A blank one."""
    return PartitionProcessor(number, PROGRAM, CODEC, lambda _: 0, lambda: NOW_MS)


def restored(log: MemoryLog) -> tuple[PartitionProcessor, BatchInDoubt | None]:
    """What a new worker knows."""
    processor = blank(0, 1)
    for _, record in log.read([(JOURNEYS, 0)]):
        processor.journeys.restore(record)
    processor.restored()
    recovery = Recovery(CODEC, {0: processor.journeys})
    for (topic, number), record in log.read(output_partitions([0])):
        recovery.take(topic, number, record)
    return processor, recovery.batch_in_doubt(0)


def stepped(processor: PartitionProcessor, log: MemoryLog, topic: str, *, dies: bool = False) -> None:
    """Take the topic's batch; when it dies, all outputs are durable and nothing else."""
    outputs = processor.decide(topic, BLOCKS[topic])
    if dies:
        log.send_all(outputs.records)
    else:
        asyncio.run(processor.make_durable(outputs, log, lambda: None))


def owning(processor: PartitionProcessor, in_doubt: BatchInDoubt | None) -> Journeys:
    """The agent that has taken the partition over, nothing of which was ever committed."""
    journeys = Journeys(MemoryLog(), CODEC, Fuse(FuseLimits()), lambda: None, lambda: NOW_MS, blank)
    journeys.assign(processor, lambda topic: range(BLOCKS[topic][-1].offset + 1 if topic in BLOCKS else 0), in_doubt)
    return journeys


def asked(log: MemoryLog) -> list[tuple[str, str]]:
    """The rules and outcomes of all decisions, each once."""
    decisions = [CODEC.decode(Decision, record.value) for _, record in log.read([(DECISIONS.name, 0)])]
    return sorted({(decision.rule or "", decision.outcome) for decision in decisions})


def test_what_was_written_and_not_remembered_is_in_doubt() -> None:
    """The topic and the version of the last output whose event is not in its journey."""
    log = MemoryLog()
    processor, in_doubt = restored(log)
    assert in_doubt is None
    stepped(processor, log, PURCHASES.name, dies=True)
    processor, in_doubt = restored(log)
    assert in_doubt == (PURCHASES.name, 7)
    assert owning(processor, in_doubt).replaying == {0: PURCHASES.name}
    stepped(processor, log, PURCHASES.name)
    processor, in_doubt = restored(log)
    assert in_doubt is None
    assert owning(processor, in_doubt).replaying == {}


def test_in_doubt_first_nobody_is_asked_twice() -> None:
    """Two triggers race one quarantine: decided in the first order again, one asks and the other does not."""
    log = MemoryLog()
    stepped(restored(log)[0], log, PURCHASES.name, dies=True)
    processor, in_doubt = restored(log)
    assert in_doubt is not None
    for topic in (in_doubt[0], SUPPORT.name):
        stepped(processor, log, topic)
    assert asked(log) == [("bought", "sent"), ("solved", "suppressed")]


def test_in_another_order_somebody_would_be_asked_twice() -> None:
    """The same with the other batch first: what the order is for."""
    log = MemoryLog()
    stepped(restored(log)[0], log, PURCHASES.name, dies=True)
    processor, _ = restored(log)
    for topic in (SUPPORT.name, PURCHASES.name):
        stepped(processor, log, topic)
    assert {("bought", "sent"), ("solved", "sent")} <= set(asked(log))


def test_what_is_committed_is_not_waited_for() -> None:
    """A doubt about what is not unread any more holds nothing back."""
    processor, _ = restored(MemoryLog())
    assert owning(processor, (RESPONSES.name, 5)).replaying == {}
