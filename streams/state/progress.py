"""Progress of one partition: how far each inbound topic is applied, and the batch in hand.

Kept in one record per partition of nps.journeys, beside the journeys that it belongs to: commits of a consumer group
expire, and a batch in hand must be decided again after a crash just as it was, on the same records in the same order.
Before the outputs of a batch are written, the record says where the batch ends; after its journeys, that it is applied.
"""

from typing import NamedTuple

import msgspec

from schemas.topics import INBOUND
from streams.errors import BadState

KEY = b"\xfe"
"""Key of the record in nps.journeys: invalid as UTF-8, so never a customer's."""

UNREAD = -1
"""Offset of a topic of which nothing is applied yet."""


class Progress(NamedTuple):
    """The next offset to apply of each inbound topic, in the order of `schemas.topics.INBOUND`, -1 for nothing yet.

    `times_ms` are the topics' times: the highest timestamp applied.  `in_hand` are the offsets behind the batch in
    hand, empty for none, and `wall_ms` is the wall clock at which that is decided.  `epoch` is the topics' epoch.
    """

    epoch: int = 0
    offsets: tuple[int, ...] = (UNREAD,) * len(INBOUND)
    times_ms: tuple[int, ...] = (0,) * len(INBOUND)
    in_hand: tuple[int, ...] = ()
    wall_ms: int = 0


encode = msgspec.msgpack.Encoder().encode
"""The value of the record."""

_decode = msgspec.msgpack.Decoder(Progress).decode


def decode(value: bytes) -> Progress:
    """The progress in a record's value; topics added since are unread.

    Raises ValueError for other bytes, BadState for those of a newer version.
    """
    try:
        progress = _decode(value)
    except msgspec.DecodeError as error:
        raise ValueError(f"nps.journeys does not say how far its topics are applied: {error}") from error
    missing = len(INBOUND) - len(progress.offsets)
    if missing < 0:
        raise BadState(f"nps.journeys was written with {-missing} inbound topics more, by a newer version than this")
    return progress._replace(
        offsets=progress.offsets + (UNREAD,) * missing,
        times_ms=progress.times_ms + (0,) * missing,
        in_hand=progress.in_hand + (UNREAD,) * missing if progress.in_hand else (),
    )
