"""The two tables of one partition of the customer's side: journeys, and the tallies of panes.

Every value carries `applied_version`: the version (topic epoch << 48 | offset) of the last source record that it
includes.  A version at or below it is already in.  Values live in memory as bytes; the compacted topics `nps.journeys`
and `nps.panes` are their durable copy, written in the order that `streams.processing.partition` keeps.

    BadState   a state record cannot be read; the worker must not go on without it
"""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from schemas.events import PaneTally
from schemas.topics import INBOUND
from streams.domain.nps import EMPTY, Tally
from streams.domain.panes import Pane, Resolution
from streams.domain.state import NEW, Journey
from streams.errors import BadState
from streams.kafka.ports import KafkaRecord

_FORMAT = b"\x01"
_TOPICS = len(INBOUND)
_UNSEEN = (-1,) * _TOPICS


class JourneyEntry(NamedTuple):
    """A journey and what it includes.

    `applied_version` is one version for each inbound topic, in the order of `schemas.topics.INBOUND`, -1 for none;
    `timer_ms` is when the customer must be looked at though nothing comes.
    """

    applied_version: tuple[int, ...]
    timer_ms: int | None
    journey: Journey


class _Head(NamedTuple):
    applied_version: tuple[int, ...]
    timer_ms: int | None
    journey: msgspec.Raw


BLANK = JourneyEntry(_UNSEEN, None, NEW)
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(JourneyEntry).decode
_decode_head = msgspec.msgpack.Decoder(_Head).decode


class JourneyTable:
    """Journeys by customer key.  `put` takes what was made durable."""

    def __init__(self) -> None:
        self._values: dict[bytes, bytes] = {}

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: bytes) -> JourneyEntry:
        """The customer's entry, blank for an unknown one.  Raises BadState for a journey that cannot be read."""
        return decode(self._values.get(key))

    def timer_ms(self, key: bytes) -> int | None:
        """When the customer must be looked at, without decoding the journey."""
        value = self._values.get(key)
        return _decode_head(value[1:]).timer_ms if value is not None else None

    def put(self, key: bytes, value: bytes | None) -> None:
        """Keep a value that is durable; None forgets the customer."""
        if value is None:
            self._values.pop(key, None)
        else:
            self._values[key] = value

    def restore(self, record: KafkaRecord) -> None:
        """Take one record of nps.journeys.  Raises BadState."""
        offset, _, key, value, _ = record
        if key is None:
            raise BadState(f"nps.journeys has a record without a key at offset {offset}")
        if value is not None and not value.startswith(_FORMAT):
            raise BadState(f"nps.journeys offset {offset} has format {value[:1].hex()}, not 01")
        self.put(key, value)

    def timers(self) -> Iterator[tuple[bytes, int]]:
        """Who must be woken when.  Raises BadState for a journey that cannot be read."""
        for key, value in self._values.items():
            try:
                due_ms = _decode_head(value[1:]).timer_ms
            except msgspec.DecodeError as error:
                raise BadState(f"nps.journeys has an unreadable journey: {error}") from error
            if due_ms is not None:
                yield key, due_ms


def decode(value: bytes | None) -> JourneyEntry:
    """The entry in these bytes, blank for none.  Raises BadState for what cannot be read."""
    if value is None:
        return BLANK
    try:
        entry = _decode(value[1:])
    except msgspec.DecodeError as error:
        raise BadState(f"nps.journeys has an unreadable journey: {error}") from error
    return entry if len(entry[0]) == _TOPICS else _of_all_topics(entry)


def _of_all_topics(entry: JourneyEntry) -> JourneyEntry:
    """The entry of a version that knew fewer inbound topics.  Raises BadState for one that knew more."""
    known = len(entry.applied_version)
    if known > _TOPICS:
        raise BadState(f"nps.journeys has a journey of {known} inbound topics, written by a newer version than this")
    return entry._replace(applied_version=entry.applied_version + _UNSEEN[known:])


def encode(entry: JourneyEntry | tuple[tuple[int, ...], int | None, Journey]) -> bytes:
    """The bytes of an entry, or of its fields: a name for them takes longer than their encoding."""
    return _FORMAT + _encode(entry)


class PaneValue(NamedTuple):
    """A pane's tally as far as this partition counted, and the version up to which it did."""

    applied_version: int
    tally: Tally


UNCOUNTED = PaneValue(-1, EMPTY)


class PaneTable:
    """Tallies by pane, counted from one partition of nps.responses."""

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self._values: dict[Pane, PaneValue] = {}

    def __len__(self) -> int:
        return len(self._values)

    @property
    def high(self) -> int:
        """The highest version in any pane: up to it, answers may have been counted already; -1 for none."""
        return max((value.applied_version for value in self._values.values()), default=-1)

    def get(self, pane: Pane) -> PaneValue:
        """The pane's value, uncounted for an unknown one."""
        return self._values.get(pane, UNCOUNTED)

    def put(self, pane: Pane, value: PaneValue) -> None:
        """Keep a value that is durable."""
        self._values[pane] = value

    def restore(self, record: PaneTally) -> None:
        """Take one record of nps.panes; the highest version of a pane stays."""
        pane = Pane(record.segment, Resolution(record.resolution), record.start_ms)
        if record.version > self.get(pane).applied_version:
            self.put(pane, PaneValue(record.version, Tally(record.promoters, record.passives, record.detractors)))
