"""Dead letters as commands see them: which ones are meant, and what they say.  They go by one at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from schemas.codec import Codec, Undecodable
from schemas.deadletters import Death, Header, LetterDeath, identify, unwrap_any
from schemas.events import Record
from schemas.topics import BY_NAME, DEAD_LETTERS
from streams.kafka.ports import KafkaRecord, Reader

DEAD_PARTITION = (DEAD_LETTERS, 0)


class Letter(NamedTuple):
    """A dead letter: its offset in nps.dead-letters, when it died, which letter it is, and the record that died."""

    offset: int
    at_ms: int
    identity: LetterDeath
    death: Death
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """Choice of letters; an empty set or None chooses by nothing.

    `sources` are those of the events that died.  Of instants, in milliseconds UTC, and offsets in nps.dead-letters the
    first is in, the last instant out and the last offset in.
    """

    reasons: frozenset[str] = frozenset()
    topics: frozenset[str] = frozenset()
    sources: frozenset[str] = frozenset()
    since_ms: int | None = None
    until_ms: int | None = None
    first: int | None = None
    last: int | None = None

    @property
    def is_everything(self) -> bool:
        """True when no letter is left out."""
        return self == Selection()

    def has(self, letter: Letter, codec: Codec) -> bool:
        """True for a letter that is chosen.  Raises RegistryAway."""
        return (
            (not self.reasons or letter.death.reason in self.reasons)
            and (not self.topics or letter.death.topic in self.topics)
            and (self.since_ms is None or letter.at_ms >= self.since_ms)
            and (self.until_ms is None or letter.at_ms < self.until_ms)
            and (not self.sources or source_of(letter, codec) in self.sources)
        )


def letter_of(record: KafkaRecord) -> Letter:
    """Open a record of nps.dead-letters, whoever wrote it."""
    original, death = unwrap_any(record.headers, record.offset, record.timestamp)
    identity = identify(original, death)
    return Letter(record.offset, record.timestamp, identity, death, record.key, record.value, tuple(original))


def selected(reader: Reader, codec: Codec, selection: Selection) -> Iterator[Letter]:
    """Read the chosen letters, oldest first.  Raises BrokerAway, RegistryAway."""
    for _, record in reader.read_from(DEAD_PARTITION, selection.first or 0):
        if selection.last is not None and record.offset > selection.last:
            return
        letter = letter_of(record)
        if selection.has(letter, codec):
            yield letter


def event_of(letter: Letter, codec: Codec) -> Record | None:
    """Decode the record that died; None for one that is not of its topic.  Raises RegistryAway."""
    topic = BY_NAME.get(letter.death.topic)
    if topic is None or topic.record is None:
        return None
    try:
        event: Record = codec.decode(topic.record, letter.value)
    except Undecodable:
        return None
    return event


def source_of(letter: Letter, codec: Codec) -> str:
    """Find the source of the event that died; empty where it cannot be read or has none.  Raises RegistryAway."""
    return str(getattr(event_of(letter, codec), "source", ""))
