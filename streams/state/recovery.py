"""Recovery of the batch in doubt, whose outputs were flushed but whose state may not have been.

A batch's outputs are durable before its journeys.  A worker that dies in between leaves decisions and dispatches that
no journey knows of.  Decided again on the same journeys, the batch leads to the same outputs under the same ids;
decided after a batch of another topic it might not, and a customer would be surveyed twice.  So it is replayed before
any other topic of its partition.  One batch of a partition is written at a time, so the last outputs identify the batch
in doubt: their header names the topic of the event that caused them, their value holds its version.
"""

from collections.abc import Iterable, Mapping

from schemas.codec import Codec
from schemas.events import Alert, Answer, Decision, SurveyDispatch
from schemas.topics import ALERTS, ANSWERS, DECISIONS, DISPATCHES, INBOUND, RESPONSES
from streams.kafka.ports import Headers, KafkaRecord, TopicPartition
from streams.state.tables import TOPIC_INDEX, JourneyTable

_HEADER = "nps-cause"
_RECORDS: dict[str, type[Decision] | type[SurveyDispatch] | type[Answer] | type[Alert]] = {
    DECISIONS.name: Decision,
    DISPATCHES.name: SurveyDispatch,
    ANSWERS.name: Answer,
    ALERTS.name: Alert,
}

CAUSES: Mapping[str, Headers] = {
    topic.name: () if topic is RESPONSES else ((_HEADER, topic.name.encode()),) for topic in INBOUND
}
"""Headers of the outputs of a batch, by its topic; those of responses, the most frequent, have none."""

TAIL_RECORDS = 3_000
"""Outputs of each partition to look at: more than a batch, as a worker that keeps dying replays it in smaller ones."""

BatchInDoubt = tuple[str, int]
"""The batch whose outputs were flushed but whose state may not have been: (topic, highest version)."""


def output_partitions(numbers: Iterable[int]) -> list[TopicPartition]:
    """The topic partitions that hold the outputs of these partitions."""
    return [(topic, number) for number in numbers for topic in _RECORDS]


class Recovery:
    """Search for the batch in doubt of each partition whose journeys are restored, by its last outputs in any order."""

    def __init__(self, codec: Codec, journeys: Mapping[int, JourneyTable]) -> None:
        self._codec = codec
        self._journeys = journeys
        self._unapplied: dict[int, dict[str, tuple[int, int]]] = {}  # latest timestamp and highest version, by topic

    def take(self, topic: str, partition: int, record: KafkaRecord) -> None:
        """Take one output, to see if the journey of its customer includes the event that caused it."""
        cause_topic = _cause_topic(record.headers)
        version = self._codec.decode(_RECORDS[topic], record.value).version
        if version > self._journeys[partition].get(record.key or b"").applied_version[TOPIC_INDEX[cause_topic]]:
            by_topic = self._unapplied.setdefault(partition, {})
            latest_ms, highest = by_topic.get(cause_topic, (-1, -1))
            by_topic[cause_topic] = max(record.timestamp, latest_ms), max(version, highest)

    def batch_in_doubt(self, partition: int) -> BatchInDoubt | None:
        """The topic and highest version of the batch in doubt; None when outputs and journeys are consistent.

        Outputs of a customer who was erased since look unapplied too: the batch is then replayed needlessly.
        """
        by_topic = self._unapplied.get(partition)
        if not by_topic:
            return None
        topic = max(by_topic, key=lambda name: (by_topic[name][0], name == RESPONSES.name))
        return topic, by_topic[topic][1]


def _cause_topic(headers: Headers) -> str:
    return next(((value or b"").decode() for name, value in headers if name == _HEADER), RESPONSES.name)
