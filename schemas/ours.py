"""Records of our own topics: what we wrote there, told from what strangers did."""

from typing import TypeVar

from schemas.codec import Codec, Undecodable
from schemas.events import Record
from schemas.reasons import Reason
from schemas.topics import key_of

R = TypeVar("R", bound=Record)


def decode_ours(codec: Codec, cls: type[R], key: bytes | None, value: bytes | None) -> R:
    """Decode a record of a topic of ours: of type `cls`, under the key that such a record has.

    Raises Undecodable for what we did not write, RegistryAway when the registry is needed and away.
    """
    record = codec.decode(cls, value)
    if key != key_of(record):
        raise Undecodable(Reason.WRONG_KEY, f"the key is not that of its {cls.__name__}")
    return record
