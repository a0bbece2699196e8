"""Which batch a worker may have left half done: it must be decided again before anything else touches its partition.

A batch's outputs are durable before its journeys.  Whoever dies in between leaves decisions and dispatches that no
journey knows of.  Decided again on the same journeys, the batch leads to the same outputs under the same ids; decided
after a batch of another topic it might not, and somebody would be asked twice.  One batch of a partition is written at
a time, so the last outputs tell which one is in doubt: their header names the topic that they came of, their value the
version.
"""

from collections.abc import Iterable, Mapping

from schemas.codec import Codec
from schemas.events import Alert, Answer, Decision, SurveyDispatch
from schemas.topics import ALERTS, ANSWERS, DECISIONS, DISPATCHES, INBOUND, RESPONSES
from streams.kafka.ports import Headers, KafkaRecord, TopicPartition
from streams.state.tables import JourneyTable

_HEADER = "nps-cause"
_RECORDS: dict[str, type[Decision] | type[SurveyDispatch] | type[Answer] | type[Alert]] = {
    DECISIONS.name: Decision,
    DISPATCHES.name: SurveyDispatch,
    ANSWERS.name: Answer,
    ALERTS.name: Alert,
}
_INDEX = {topic.name: index for index, topic in enumerate(INBOUND)}

CAUSES: Mapping[str, Headers] = {
    topic.name: () if topic is RESPONSES else ((_HEADER, topic.name.encode()),) for topic in INBOUND
}
"""The headers of what a batch of this topic leads to; most comes of responses, and goes without."""

TAIL_RECORDS = 3_000
"""How far to look back: more than a batch, for a worker that dies over and over decides it again in smaller ones."""

BatchInDoubt = tuple[str, int]
"""An inbound topic, and the version up to which it may have been decided without being remembered."""


def output_partitions(numbers: Iterable[int]) -> list[TopicPartition]:
    """Where the outputs of these partitions lie."""
    return [(topic, number) for number in numbers for topic in _RECORDS]


class Recovery:
    """What is in doubt of each partition whose journeys are restored; `take` its last outputs, in any order."""

    def __init__(self, codec: Codec, journeys: Mapping[int, JourneyTable]) -> None:
        self._codec = codec
        self._journeys = journeys
        self._found: dict[int, dict[str, tuple[int, int]]] = {}

    def take(self, topic: str, partition: int, record: KafkaRecord) -> None:
        """Look at one output: is the event that it came of in its customer's journey?"""
        cause = _cause(record.headers)
        version = self._codec.decode(_RECORDS[topic], record.value).version
        if version > self._journeys[partition].get(record.key or b"").applied_version[_INDEX[cause]]:
            causes = self._found.setdefault(partition, {})
            written_ms, highest = causes.get(cause, (-1, -1))
            causes[cause] = max(record.timestamp, written_ms), max(version, highest)

    def batch_in_doubt(self, partition: int) -> BatchInDoubt | None:
        """The topic that was decided last, and how far.  A customer who is forgotten since may look like a doubt."""
        causes = self._found.get(partition)
        if not causes:
            return None
        last = max(causes, key=lambda cause: (causes[cause][0], cause == RESPONSES.name))
        return last, causes[last][1]


def _cause(headers: Headers) -> str:
    return next(((value or b"").decode() for name, value in headers if name == _HEADER), RESPONSES.name)
