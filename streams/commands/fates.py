"""Fates of dead letters, as nps.letter-actions has them: what was done with which death of which letter."""

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from enum import StrEnum
from hashlib import blake2b

from schemas.codec import Codec, Undecodable
from schemas.deadletters import LetterDeath
from schemas.events import LetterAction
from schemas.ours import decode_ours
from schemas.topics import LETTER_ACTIONS
from streams.kafka.foreign import pass_over
from streams.kafka.ports import Reader

MOST_FATES = 2_000_000
"""The most fates that are known at once, 16 MB; beyond it the oldest half is forgotten.

A letter of which the fate is forgotten may be put back once more, which counts nothing twice.
"""


class Fate(StrEnum):
    """State of a letter: nothing was done with it, it was put back where it lay, or it was dropped."""

    WAITING = "waiting"
    REDRIVEN = "redriven"
    DROPPED = "dropped"


class Fates:
    """Fates by letter and death, in eight bytes each: among a million one in 10^13 is taken for another."""

    def __init__(self) -> None:
        self._keys = {fate: array("Q") for fate in (Fate.REDRIVEN, Fate.DROPPED)}

    @classmethod
    def read(cls, reader: Reader, codec: Codec) -> "Fates":
        """Read all fates.  Raises BrokerAway, RegistryAway."""
        fates = cls()
        for action in actions(reader, codec):
            fates.add(LetterDeath(action.letter_id, action.death), Fate(action.action))
        fates.sort()
        return fates

    def add(self, letter: LetterDeath, fate: Fate) -> None:
        """Take a fate; `of` knows it after `sort`."""
        keys = self._keys[fate]
        if len(keys) >= MOST_FATES:
            del keys[: MOST_FATES // 2]
        keys.append(_key(letter))

    def sort(self) -> None:
        """Sort what was added."""
        self._keys = {fate: array("Q", sorted(keys)) for fate, keys in self._keys.items()}

    def of(self, letter: LetterDeath) -> Fate:
        """The fate of a letter's death."""
        key = _key(letter)
        for fate, keys in self._keys.items():
            place = bisect_left(keys, key)
            if place < len(keys) and keys[place] == key:
                return fate
        return Fate.WAITING


def actions(reader: Reader, codec: Codec) -> Iterator[LetterAction]:
    """Read everything that was done with letters, oldest first.  Raises BrokerAway, RegistryAway."""
    topic = LETTER_ACTIONS.name
    for _, record in reader.read([(topic, 0)]):
        try:
            yield decode_ours(codec, LetterAction, record.key, record.value)
        except Undecodable as error:
            pass_over(topic, 0, record.offset, error)


def _key(letter: LetterDeath) -> int:
    return int.from_bytes(blake2b(f"{letter.letter_id}/{letter.number}".encode(), digest_size=8).digest())
