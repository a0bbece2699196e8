"""Sources that are behind: what they have not mapped yet lies in the past, by Kafka time, and may cancel what is due.

An event of a source has the Kafka timestamp of its foreign record; the header `nps-at` says when it was made of it.
While the two lie far apart, the source is reading a backlog, and more of that time will come.
"""

from collections.abc import Iterable

from schemas.topics import MAPPED_AT_HEADER, ORIGIN_HEADER
from streams.kafka.ports import FetchedRecord

BEHIND_MS = 5_000
"""From this distance on, in milliseconds, a record was mapped out of a backlog rather than as it came."""

QUIET_MS = 5_000
"""After so long without another event a source has read all that it was behind with, or has stopped."""

LONGEST_MS = 600_000
"""After so long on the wall clock a source that is still behind is taken to be so for good, and waited for no more."""

MOST_ORIGINS = 1_000
"""The most foreign partitions that are remembered."""


class SourcesBehind:
    """Foreign partitions of which a backlog is being mapped, as far as one partition of ours knows."""

    def __init__(self) -> None:
        self._origins: dict[bytes, tuple[int, int, int]] = {}
        """Of each: latest Kafka timestamp, latest time of mapping, and the wall clock when it was first seen."""

    def take(self, records: Iterable[tuple[str, FetchedRecord]], now_ms: int) -> None:
        """Note the records that are decided next; `now_ms` is the wall clock."""
        for _, record in records:
            if record.headers and (mapped := _mapped(record)) is not None:
                self._note(*mapped, record.timestamp, now_ms)

    def safe_ms(self, safe_ms: int, is_complete: bool, now_ms: int) -> int:
        """The part of `safe_ms` before which nothing can come any more, out of a source's backlog either.

        `is_complete` when all that Kafka had at `safe_ms` was taken; `now_ms` is the wall clock.
        """
        earliest_ms = safe_ms
        for origin, (latest_ms, mapped_ms, since_ms) in list(self._origins.items()):
            if is_complete and safe_ms - mapped_ms >= QUIET_MS:
                del self._origins[origin]
            elif now_ms - since_ms < LONGEST_MS:
                earliest_ms = min(earliest_ms, latest_ms)
        return earliest_ms

    def _note(self, mapped_ms: int, origin: bytes, at_ms: int, now_ms: int) -> None:
        if mapped_ms - at_ms < BEHIND_MS:
            self._origins.pop(origin, None)
            return
        latest_ms, _, since_ms = self._origins.get(origin, (at_ms, mapped_ms, now_ms))
        self._origins[origin] = max(latest_ms, at_ms), mapped_ms, since_ms
        if len(self._origins) > MOST_ORIGINS:
            del self._origins[next(iter(self._origins))]


def backlog_ms(record: FetchedRecord) -> int | None:
    """Kafka timestamp of a record that was mapped out of a backlog; None for any other."""
    mapped = _mapped(record) if record.headers else None
    return record.timestamp if mapped is not None and mapped[0] - record.timestamp >= BEHIND_MS else None


def _mapped(record: FetchedRecord) -> tuple[int, bytes] | None:
    """Time at which a source's event was made, and the foreign partition of its record; None for other records."""
    found = dict(record.headers)
    at, origin = found.get(MAPPED_AT_HEADER), found.get(ORIGIN_HEADER)
    if not at or not origin or len(at) > 15 or not at.isdigit():
        return None
    return int(at), b" ".join(origin[:300].split()[:2])
