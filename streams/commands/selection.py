"""Options of `nps deadletters` that choose letters, read as a `Selection`."""

import argparse
import re
from collections.abc import Sequence

from schemas.display import nearest
from schemas.reasons import Reason
from schemas.topics import BY_NAME, COLLECTOR
from streams.commands.letters import Selection
from streams.commands.session import instant_ms
from streams.errors import BadSettings


def selection_of(parsed: argparse.Namespace) -> Selection:
    """Make the selection that the options name.  Raises BadSettings for a word or number that is none."""
    first, last = _offsets(parsed.offsets) if parsed.offsets else (None, None)
    return Selection(
        frozenset(_known("--reason", word, [*map(str, Reason)]) for word in parsed.reason),
        frozenset(_topic(word) for word in parsed.topic),
        frozenset(parsed.source),
        instant_ms("--since", parsed.since) if parsed.since else None,
        instant_ms("--until", parsed.until) if parsed.until else None,
        first,
        last,
    )


def required_selection(parsed: argparse.Namespace) -> Selection:
    """Make the selection that the options name, which must be one.  Raises BadSettings."""
    chosen = selection_of(parsed)
    if chosen.is_everything:
        raise BadSettings("say which letters: --reason, --topic, --source, --since, --until or --offsets")
    return chosen


def _offsets(text: str) -> tuple[int, int | None]:
    """Parse `A`, `A-B` or `A-`, both ends included."""
    match = re.fullmatch(r"(\d{1,18})(-)?(\d{1,18})?", text, re.ASCII)
    if not match or (match[3] and not match[2]):
        raise BadSettings(f"--offsets {text!r} is none of 17, 17-25 and 17-")
    first = int(match[1])
    last = int(match[3]) if match[3] else None if match[2] else first
    if last is not None and last < first:
        raise BadSettings(f"--offsets {text!r} ends before it begins")
    return first, last


def _topic(word: str) -> str:
    """The full name of a topic; one that is not ours is that of a source."""
    return f"nps.{word}" if f"nps.{word}" in BY_NAME or f"nps.{word}" == COLLECTOR else word


def _known(option: str, word: str, known: Sequence[str]) -> str:
    if word not in known:
        raise BadSettings(f"{option} {word!r} is no reason{nearest(word, known)}: README's table has all")
    return word
