"""The fuse over a row of good and bad records."""

from schemas.errors import FuseBlown
from streams.engine.fuse import Fuse, FuseLimits


def blown_at(records: list[bool], limits: FuseLimits) -> int | None:
    """At which record (True is good) the fuse blows."""
    fuse = Fuse(limits)
    for at, good in enumerate(records):
        try:
            fuse.good() if good else fuse.bad()
        except FuseBlown:
            return at
    return None
