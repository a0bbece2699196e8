"""Bounds of a journey, in bytes: whatever a customer does, all of it encoded stays below `LARGEST_JOURNEY_BYTES`.

Counts are policy (`CustomerBounds`); these bytes are not, as a record that Kafka refuses would end every worker.  Of a
journey's 256 KiB surveys may have 92, answers and clicks 60, known triggers and cancels 50, held responses 40 and
contacts 14.
"""

import json
from collections.abc import Sequence

from streams.domain.state import Cancel, Invitation, Journey, Parked

LARGEST_JOURNEY_BYTES = 262_144

LARGEST_SURVEYS_BYTES = 94_208
"""The most bytes of scheduled and known surveys with all that belongs to them; a trigger beyond is suppressed."""

GROWTH_BYTES = 150
"""Bytes by which a survey may grow: by its answer's counts, its reminders and what Kafka needs."""

LARGEST_COMMENTS_BYTES = 20_480
"""The most bytes of one customer's comments."""

LARGEST_COMMENT_BYTES = 16_384
"""The most bytes of one comment."""

MOST_PARTS, LEAST_PARTS = 512, 2
"""Parts of all answers of a customer; beyond them each answer remembers `LEAST_PARTS`."""

MOST_CLICKS, LEAST_CLICKS = 512, 3
"""Clicks on all surveys of a customer, and traps; beyond them each survey remembers `LEAST_CLICKS`."""

MOST_WAITING = 128
"""Clicks of a customer that wait; beyond them the oldest is confirmed at once."""

LARGEST_HELD_BYTES = 32_768
"""The most bytes of one customer's held responses."""

MOST_CANCELS, LARGEST_CANCELS_BYTES = 50, 8_192
"""The most remembered events that cancel, and their bytes."""

MOST_CONSENT_BYTES = 128
"""The longest name of a consent, purpose and channel."""


def is_full(journey: Journey, scheduled: int, invitations: int, new: object) -> bool:
    """True when one scheduled survey more, `new`, would be too many, or too many bytes."""
    known = len(journey.pending) + len(journey.invitations)
    if len(journey.pending) >= scheduled or known >= invitations or len(journey.asked) >= invitations:
        return True
    surveys = (journey.pending, journey.invitations, journey.reminders, journey.asked)
    return known >= _FEW and size_bytes((*surveys, new)) + known * GROWTH_BYTES > LARGEST_SURVEYS_BYTES


def size_bytes(value: object) -> int:
    """Bytes of a value as JSON: no fewer than its encoding has, but for floats, which `GROWTH_BYTES` makes up for."""
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def newest_cancels(cancels: Sequence[Cancel]) -> tuple[Cancel, ...]:
    """The newest of these, at least one, that fit."""
    kept: list[Cancel] = []
    left_bytes = LARGEST_CANCELS_BYTES
    for cancel in reversed(cancels[-MOST_CANCELS:]):
        left_bytes -= size_bytes(cancel)
        if kept and left_bytes < 0:
            break
        kept.append(cancel)
    return tuple(reversed(kept))


def given_up(held: Sequence[Parked], at_most: int) -> int:
    """Count the oldest of these held responses that do not fit any more."""
    left_bytes = LARGEST_HELD_BYTES
    for place, parked in enumerate(reversed(held)):
        left_bytes -= len(parked.raw)
        if left_bytes < 0 or place == at_most:
            return len(held) - place
    return 0


def comment_room(invitations: Sequence[Invitation]) -> int:
    """Bytes that one comment more may have, beside all that are kept of the customer's."""
    kept = 0
    for invitation in invitations:
        if (given := invitation.given) is not None and (given.comment is not None or given.others):
            kept += len((given.comment or "").encode()) + sum([len(text.encode()) for _, _, text in given.others])
    return max(0, min(LARGEST_COMMENT_BYTES, LARGEST_COMMENTS_BYTES - kept))


def cut(text: str, most_bytes: int) -> str:
    """The text itself or, when it has more bytes, its beginning up to a whole character."""
    if len(text) * 4 <= most_bytes or len(encoded := text.encode()) <= most_bytes:
        return text
    return encoded[:most_bytes].decode(errors="ignore")


def parts_room(invitations: Sequence[Invitation], at_most: int) -> int:
    """The most parts of one answer to remember."""
    known = sum([len(invitation.given.parts) for invitation in invitations if invitation.given is not None])
    return at_most if known < MOST_PARTS else LEAST_PARTS


def clicks_room(invitations: Sequence[Invitation], at_most: int) -> int:
    """The most clicks, and the most traps, of one survey to remember; of HEADs and persons it is a quarter."""
    clicks = [invitation.clicks for invitation in invitations if invitation.clicks is not None]
    known = sum([len(each.seen) + len(each.traps) + len(each.heads) + len(each.persons) for each in clicks])
    return at_most if known < MOST_CLICKS else LEAST_CLICKS


_FEW = 6
"""So few surveys are never too many bytes: what each has is bounded at the door."""
