"""Tables of one partition in memory: journeys by customer, and the tallies of panes.

Every value carries `applied_version`: the version (topic epoch << 48 | offset) of the last source record that it
includes.  A version at or below it is included already.  Journeys live in memory as bytes; the durable copies are the
compacted topics `nps.journeys` and `nps.panes`, written in the order that `streams.processing.partition` keeps.

    BadState   a state record cannot be read; the worker must not go on without it
"""

from bisect import bisect_left, insort
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from hashlib import sha256
from itertools import islice
from sys import intern
from typing import NamedTuple

import msgspec

from schemas.events import PaneTally
from schemas.topics import INBOUND
from streams.domain.nps import EMPTY, Tally
from streams.domain.panes import RESOLUTIONS, Pane, Resolution
from streams.domain.state import NEW, Journey
from streams.errors import BadState
from streams.kafka.ports import KafkaRecord

_FORMAT = b"\x01"
_NEWEST_FORMAT = b"\x08"
"""Last of the bytes kept for formats to come: what begins with another is text, JSON, Avro, but no journey."""

_ERASED = b"\xfd"
"""First byte of the key of an erased customer, invalid in UTF-8; the SHA-256 of the customer's id follows."""

TOPIC_INDEX = {topic.name: index for index, topic in enumerate(INBOUND)}
"""Place of each inbound topic in an entry's `applied_version`."""

_TOPICS = len(INBOUND)
_UNSEEN = (-1,) * _TOPICS


class JourneyEntry(NamedTuple):
    """A journey with the versions it includes and its timer.

    `applied_version` is one version for each inbound topic, in the order of `schemas.topics.INBOUND`, -1 for none;
    `timer_ms` is the time at which the customer gets a wakeup, None for never.
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
    """Table of journeys by customer key, kept as bytes.  `put` takes values that are durable.

    The key of a customer of whom only the erasure is remembered is a digest: a compacted topic keeps its keys for ever.
    """

    def __init__(self) -> None:
        self._values: dict[bytes, bytes] = {}
        self._erased = 0

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: bytes) -> JourneyEntry:
        """The customer's entry, blank for an unknown one.  Raises BadState for a journey that cannot be read."""
        value = self._values.get(key)
        if value is None and self._erased:
            value = self._values.get(erased_key(key))
        return decode(value)

    def timer_ms(self, key: bytes) -> int | None:
        """The customer's timer, read without decoding the journey; None for no timer."""
        value = self._values.get(key)
        return _decode_head(value[1:]).timer_ms if value is not None else None

    def records(
        self, values: Iterable[tuple[bytes, bytes | None]], erased: Collection[bytes]
    ) -> list[tuple[bytes, bytes | None]]:
        """Key and value of the records that hold these customers' values, under digests for those in `erased`.

        A customer's new place comes before the tombstone of the old one, so that no crash leaves none.
        """
        if not erased and not self._erased:
            return list(values)
        records: list[tuple[bytes, bytes | None]] = []
        for key, value in values:
            places = (erased_key(key), key) if key in erased else (key, erased_key(key) if self._erased else None)
            records.append((places[0], value))
            if places[1] in self._values:
                records.append((places[1], None))
        return records

    def put(self, key: bytes, value: bytes | None) -> None:
        """Replace the value of a record that is durable; None removes it."""
        if key.startswith(_ERASED):
            self._erased += (value is not None) - (key in self._values)
        if value is None:
            self._values.pop(key, None)
        else:
            self._values[key] = value

    def restore(self, record: KafkaRecord) -> bool:
        """Take one record of nps.journeys; False for what we did not write.  Raises BadState for a newer format."""
        offset, _, key, value, _ = record
        if value is not None and _FORMAT < value[:1] <= _NEWEST_FORMAT:
            raise BadState(f"nps.journeys offset {offset} has format {value[:1].hex()}, not 01")
        if key is None or not (_is_text(key) or _is_erased(key)) or not (value is None or value.startswith(_FORMAT)):
            return False
        self.put(key, value)
        return True

    def timers(self) -> Iterator[tuple[bytes, int]]:
        """Customer keys and their timers in ms, where there is one.  Raises BadState for an unreadable journey."""
        for key, value in self._values.items():
            try:
                due_ms = _decode_head(value[1:]).timer_ms
            except msgspec.DecodeError as error:
                raise BadState(f"nps.journeys has an unreadable journey: {error}") from error
            if due_ms is not None:
                yield key, due_ms


def erased_key(key: bytes) -> bytes:
    """The key under which a customer is kept of whom only the erasure is remembered."""
    return _ERASED + sha256(key).digest()


def _is_erased(key: bytes) -> bool:
    return key[:1] == _ERASED and len(key) == 33


def _is_text(key: bytes) -> bool:
    """True for UTF-8, as every customer id is."""
    if key.isascii():
        return True
    try:
        key.decode()
    except UnicodeDecodeError:
        return False
    return True


def decode(value: bytes | None) -> JourneyEntry:
    """Decode an entry; blank for None.  Raises BadState for bytes that cannot be read."""
    if value is None:
        return BLANK
    try:
        entry = _decode(value[1:])
    except msgspec.DecodeError as error:
        raise BadState(f"nps.journeys has an unreadable journey: {error}") from error
    return entry if len(entry[0]) == _TOPICS else _with_all_topics(entry)


def _with_all_topics(entry: JourneyEntry) -> JourneyEntry:
    """Extend an entry written when there were fewer inbound topics.  Raises BadState when there were more."""
    count = len(entry.applied_version)
    if count > _TOPICS:
        raise BadState(f"nps.journeys has a journey of {count} inbound topics, written by a newer version than this")
    return entry._replace(applied_version=entry.applied_version + _UNSEEN[count:])


def encode(entry: JourneyEntry | tuple[tuple[int, ...], int | None, Journey]) -> bytes:
    """Encode an entry, or a tuple of its fields: making the named tuple takes longer than encoding it."""
    return _FORMAT + _encode(entry)


class PaneValue(NamedTuple):
    """A pane's tally of this partition's answers, and the version up to which they are counted."""

    applied_version: int
    tally: Tally


UNCOUNTED = PaneValue(-1, EMPTY)


_Together = tuple[int, int, Resolution]
"""Supplement, start and resolution of the panes that go together."""


class PaneTable:
    """Table of tallies by pane, counted from one partition of nps.responses.

    Panes that go together lie together, so that finding them costs only what is found, and a pane is one text and one
    value in memory.
    """

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self._buckets: dict[_Together, dict[str, PaneValue]] = {}
        self._starts: dict[Resolution, list[int]] = {resolution: [] for resolution in Resolution}
        self._supplements: list[_Together] = []

    def __len__(self) -> int:
        return sum(map(len, self._buckets.values()))

    def get(self, pane: Pane) -> PaneValue:
        """The pane's value, uncounted for an unknown one."""
        segment, resolution, start_ms, supplement = pane
        bucket = self._buckets.get((supplement, start_ms, resolution))
        return UNCOUNTED if bucket is None else bucket.get(segment, UNCOUNTED)

    def put(self, pane: Pane, value: PaneValue) -> None:
        """Replace a pane's value by one that is durable."""
        segment, resolution, start_ms, supplement = pane
        bucket = self._buckets.get((supplement, start_ms, resolution))
        if bucket is None:
            bucket = self._add_bucket((supplement, start_ms, resolution))
        bucket[intern(segment)] = value

    def restore(self, record: PaneTally, *, gone: bool = False) -> None:
        """Take one record of nps.panes; of a pane's records the highest version wins, until it is `gone`."""
        pane = Pane(record.segment, RESOLUTIONS[record.resolution], record.start_ms, record.supplement)
        if gone:
            self.forget([pane])
        elif record.version > self.get(pane).applied_version:
            self.put(pane, PaneValue(record.version, _tally(record.promoters, record.passives, record.detractors)))

    def expired(self, start_ms: Mapping[Resolution, int], supplement: int, at_most: int) -> list[Pane]:
        """Panes that start before `start_ms` of their resolution, and supplements below this number; oldest first.

        Costs what it finds, whatever else there is.
        """
        return list(islice(self._expired(start_ms, supplement), at_most))

    def forget(self, panes: Iterable[Pane]) -> None:
        """Remove panes that are gone; unknown ones are none."""
        for segment, resolution, start_ms, supplement in panes:
            bucket = self._buckets.get((supplement, start_ms, resolution))
            if bucket is not None and bucket.pop(segment, None) is not None and not bucket:
                self._remove_bucket((supplement, start_ms, resolution))

    def _expired(self, start_ms: Mapping[Resolution, int], supplement: int) -> Iterator[Pane]:
        for number, start, resolution in self._supplements:
            if number >= supplement:
                break
            for segment in self._buckets[number, start, resolution]:
                yield Pane(segment, resolution, start, number)
        for resolution, starts in self._starts.items():
            for start in starts:
                if start >= start_ms[resolution]:
                    break
                for segment in self._buckets[0, start, resolution]:
                    yield Pane(segment, resolution, start)

    def _add_bucket(self, name: _Together) -> dict[str, PaneValue]:
        supplement, start_ms, resolution = name
        if supplement:
            insort(self._supplements, name)
        else:
            insort(self._starts[resolution], start_ms)
        bucket = self._buckets[name] = {}
        return bucket

    def _remove_bucket(self, name: _Together) -> None:
        supplement, start_ms, resolution = name
        del self._buckets[name]
        if supplement:
            del self._supplements[bisect_left(self._supplements, name)]
        else:
            starts = self._starts[resolution]
            del starts[bisect_left(starts, start_ms)]


@lru_cache(maxsize=4_096)
def _tally(promoters: int, passives: int, detractors: int) -> Tally:
    """One tally of these counts for all panes: most hold a few answers."""
    return Tally(promoters, passives, detractors)
