"""Lineage of the state: the topics it was made from, kept in one record per partition of nps.journeys.

Versions are offsets, so the records of a topic that was deleted and recreated would be taken for old ones and skipped
in silence.  Kafka gives each topic an id for life: when an id differs under the same epoch, the worker stops.
"""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from streams.errors import BadTopics

KEY = b"\xff"
"""Key of the record in nps.journeys: invalid as UTF-8, so never a customer's."""


class Lineage(NamedTuple):
    """The topics' epoch, and their ids by name; empty where the broker does not report ids."""

    epoch: int
    topics: Mapping[str, str]

    def follow(self, earlier: "Lineage") -> None:
        """Check that the state made from `earlier` can be continued.  Raises BadTopics when it cannot."""
        if self.epoch < earlier.epoch:
            raise BadTopics(
                f"NPS_TOPIC_EPOCH is {self.epoch}, but the state was made under {earlier.epoch}: its records would "
                f"beat all new ones, set NPS_TOPIC_EPOCH={earlier.epoch}"
            )
        common = self.topics.keys() & earlier.topics.keys()
        recreated = sorted(name for name in common if self.topics[name] != earlier.topics[name])
        if recreated and self.epoch == earlier.epoch:
            raise BadTopics(
                f"{', '.join(recreated)} was made anew since the state was: its records would be taken for old ones "
                f"and skipped, set NPS_TOPIC_EPOCH={self.epoch + 1}"
            )


encode = msgspec.msgpack.Encoder().encode
"""The value of the record for a lineage."""

_decode = msgspec.msgpack.Decoder(tuple[int, dict[str, str]]).decode


def decode(value: bytes) -> Lineage:
    """The lineage in a record's value.  Raises ValueError for other bytes."""
    try:
        return Lineage(*_decode(value))
    except msgspec.DecodeError as error:
        raise ValueError(f"nps.journeys does not say what it was made from: {error}") from error
