"""Which topics was the state made from?  The state says so itself, in one record per partition of its topic.

Versions are offsets, so a topic that was deleted and made anew would have its records taken for old ones, and skipped
in silence.  Kafka gives each topic an id for life: when one differs under the same epoch, the worker stops.
"""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from streams.errors import BadTopics

KEY = b"\xff"
"""The record's key in nps.journeys: no UTF-8, so never a customer."""


class Lineage(NamedTuple):
    """The topics' epoch, and their ids by name; a broker that knows no ids tells none."""

    epoch: int
    topics: Mapping[str, str]

    def follow(self, earlier: "Lineage") -> None:
        """Take over the state that was made from `earlier`.  Raises BadTopics when it does not fit."""
        if self.epoch < earlier.epoch:
            raise BadTopics(
                f"NPS_TOPIC_EPOCH is {self.epoch}, but the state was made under {earlier.epoch}: its records would "
                f"beat all new ones, set NPS_TOPIC_EPOCH={earlier.epoch}"
            )
        known = self.topics.keys() & earlier.topics.keys()
        anew = sorted(name for name in known if self.topics[name] != earlier.topics[name])
        if anew and self.epoch == earlier.epoch:
            raise BadTopics(
                f"{', '.join(anew)} was made anew since the state was: its records would be taken for old ones and "
                f"skipped, set NPS_TOPIC_EPOCH={self.epoch + 1}"
            )


encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[int, dict[str, str]]).decode


def decode(value: bytes) -> Lineage:
    """The origin in a record.  Raises ValueError."""
    try:
        return Lineage(*_decode(value))
    except msgspec.DecodeError as error:
        raise ValueError(f"nps.journeys does not say what it was made from: {error}") from error
