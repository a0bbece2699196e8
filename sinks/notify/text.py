"""Text of incidents for people, cut to a service's limit before it is escaped, never within a character."""

import unicodedata
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import msgspec

from schemas.display import printable
from schemas.oncall import Facts, FallFacts, Member

T = TypeVar("T")

ELLIPSIS = "…"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_S = -62_135_596_800
"""Begin of the year 1, in seconds since 1970."""

LAST_S = 253_402_300_799
"""End of the year 9999, in seconds since 1970."""

ZERO_WIDTH_JOINER = "\u200d"


def clipped(
    text: str, most: int, escape: Callable[[str], str] = str, size: Callable[[str], int] = len, end: str = ELLIPSIS
) -> str:
    """Escape a text, cut so that no more than `most` remains of it as `size` measures; a cut one ends with `end`.

    `escape` must work letter by letter; a letter keeps the accents and joiners that follow it, or goes with them.
    """
    whole = escape(text)
    if size(whole) <= most:
        return whole
    room, pieces = most - size(end), []
    for cluster in _clusters(text):
        piece = escape(cluster)
        room -= size(piece)
        if room < 0:
            break
        pieces.append(piece)
    return "".join(pieces).rstrip() + end if most >= size(end) else ""


def _clusters(text: str) -> list[str]:
    """Split a text into letters with what belongs to each: accents, variation selectors, joined emoji."""
    clusters: list[str] = []
    for letter in text:
        belongs = unicodedata.category(letter) in ("Mn", "Me", "Mc") or letter == ZERO_WIDTH_JOINER
        if clusters and len(clusters[-1]) < 32 and (belongs or clusters[-1].endswith(ZERO_WIDTH_JOINER)):
            clusters[-1] += letter
        else:
            clusters.append(letter)
    return clusters


def utf8_bytes(text: str) -> int:
    """Size of a text in bytes of UTF-8; what is no character at all counts as it will be written out."""
    return len(text.encode("utf-8", "backslashreplace"))


def utf16_units(text: str) -> int:
    """Length of a text as JavaScript counts it: an emoji is two."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def one_line(text: str) -> str:
    """Write line ends and control characters out, so that a text stays one line and moves no cursor."""
    return printable(text)


def fitted(facts: Facts, build: Callable[[Facts], T], size: Callable[[T], int], most: int) -> T:
    """Build a message that is no larger than `most`: with fewer members where all are too many, then of shorter texts.

    The smallest version holds a dozen texts of 20 letters, which every service takes.
    """
    message = build(facts)
    for version in _smaller(facts):
        if size(message) <= most:
            break
        message = build(version)
    return message


def _smaller(facts: Facts) -> Iterator[Facts]:
    for shown in range(len(facts.members) - 1, -1, -1):
        yield _showing(facts, shown)
    for longest in (500, 100, 20):
        yield _of_short_texts(_showing(facts, 0), longest)


def _showing(facts: Facts, shown: int) -> Facts:
    hidden = len(facts.members) - shown
    return msgspec.structs.replace(facts, members=facts.members[:shown], more=facts.more + hidden)


def _of_short_texts(facts: Facts, longest: int) -> Facts:
    texts = {
        name: clipped(text, longest)
        for name in ("title", "route", "survey", "acknowledged_by", "assignee", "note")
        if (text := getattr(facts, name)) is not None
    }
    segments = tuple(clipped(segment, longest) for segment in facts.segments[: max(1, longest // 20)])
    fall = facts.fall and msgspec.structs.replace(facts.fall, segment=clipped(facts.fall.segment, longest))
    link = facts.link if len(facts.link) <= 5 * longest else ""  # half an address leads nowhere
    return msgspec.structs.replace(facts, **texts, segments=segments, fall=fall, link=link)


def headline(facts: Facts) -> str:
    """First line of a message: the title, after the state where it is not open; a test is marked as one."""
    mark = "[TEST] " if facts.kind == "test" else ""
    state = "" if facts.state in ("waiting", "open") else f"{facts.state.capitalize()}: "
    return one_line(f"{mark}{state}{facts.title.strip() or facts.kind}")


def details(facts: Facts) -> list[tuple[str, str]]:
    """Name and value of each fact that is known, in the order of their weight; without members."""
    pairs = [
        ("Severity", facts.severity),
        ("State", facts.state),
        ("Customers", str(facts.count) if facts.kind == "detractor" else ""),
        ("Survey", facts.survey or ""),
        ("Segments", ", ".join(facts.segments)),
        *_fall(facts.fall),
        ("Acknowledged by", facts.acknowledged_by or ""),
        ("Assigned to", facts.assignee or ""),
        ("Note", facts.note or ""),
        ("Opened", instant(facts.opened_ms)),
        ("Resolved", "" if facts.resolved_ms is None else instant(facts.resolved_ms)),
        ("Route", facts.route),
    ]
    return [(name, one_line(value)) for name, value in pairs if value]


def _fall(fall: FallFacts | None) -> list[tuple[str, str]]:
    if fall is None:
        return []
    return [
        ("NPS", f"{fall.before_nps:.1f} ({fall.n_before}) to {fall.after_nps:.1f} ({fall.n_after}) over {fall.window}"),
        ("Segment", fall.segment),
        ("Since", instant(fall.since_ms)),
    ]


def member_line(member: Member) -> str:
    """Line about one detractor: score, state, and the customer where the receiver may know; without the comment."""
    score = "withdrawn" if member.score is None else f"score {member.score}"
    customer = f", customer {member.customer_id}" if member.customer_id else ""
    return one_line(f"{score}, {member.severity}, {member.state}{customer}")


def plain(facts: Facts) -> str:
    """Whole message as plain text: headline, details, members with their comments, link."""
    lines = [headline(facts), "", *(f"{name}: {value}" for name, value in details(facts))]
    if facts.members:
        lines += ["", *(_plain_member(member) for member in facts.members)]
    if facts.more:
        lines.append(f"and {facts.more} more")
    if facts.link:
        lines += ["", facts.link]
    return "\n".join(lines) + "\n"


def _plain_member(member: Member) -> str:
    comment = f": {one_line(member.comment)}" if member.comment else ""
    return f"- {member_line(member)}{comment}"


def instant(at_ms: int) -> str:
    """Write an instant as ISO 8601 in UTC to the second, as 2026-01-31T09:00:00Z; kept within the years 1 to 9999."""
    at_s = min(max(at_ms // 1_000, FIRST_S), LAST_S)
    return (EPOCH + timedelta(seconds=at_s)).strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")
