"""A table of journeys with one record read back."""

from streams.domain.state import Journey
from streams.kafka.ports import KafkaRecord
from streams.state.tables import JourneyEntry, JourneyTable, encode


def restored(value: bytes | None) -> JourneyTable:
    """A table with this one record read back."""
    table = JourneyTable()
    table.restore(KafkaRecord(7, 0, b"c1", value))
    return table


def through_bytes(journey: Journey) -> Journey:
    """The journey as it comes back from its topic."""
    table = JourneyTable()
    table.put(b"c1", encode(JourneyEntry((1, 2, 3, 4, 5), None, journey)))
    return table.get(b"c1").journey
