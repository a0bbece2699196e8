"""Corrected dead letters: JSON lines, each with the letter that it corrects and the event as it should have been.

    {"letter": 4711, "topic": "responses", "source": "tool", "id": "r1", ..., "score": 9}

`nps deadletters show --format json` prints the lines to edit.  Source and id stay, for by them a copy is known.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from schemas.codec import Codec
from schemas.event_json import TOPICS, BadEvent, event_of
from schemas.events import IDENTITY, Inbound, Wakeup
from schemas.topics import key_of
from streams.commands.letters import Letter
from streams.commands.letters import event_of as event_of_letter

MOST_LINES = 10_000
"""The most lines of a file: they are held in memory, to be checked before the first is sent."""

_LONGEST_LINE = 262_144
_SHOWN_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class CorrectedLine:
    """A line of a file: its place as `file:number`, the offset of its letter, and the event's fields."""

    place: str
    letter: int
    fields: Mapping[str, Any]


def read(lines: Iterable[str], name: str) -> dict[int, CorrectedLine]:
    """Read the corrections in a file of this name, by the offset of their letter.  Raises BadEvent."""
    found: dict[int, CorrectedLine] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        one = _line(line, f"{name}:{number}")
        if one.letter in found:
            raise BadEvent(f"{one.place}: letter {one.letter} is corrected in {found[one.letter].place} already")
        found[one.letter] = one
        if len(found) > MOST_LINES:
            raise BadEvent(f"{name}: has more than {MOST_LINES} lines: split it")
    return found


def corrected(letter: Letter, line: CorrectedLine, codec: Codec) -> Letter:
    """The letter with the corrected event in the place of its own.  Raises BadEvent, RegistryAway."""
    topic = letter.death.topic.removeprefix("nps.")
    fields = dict(line.fields)
    told = str(fields.pop("topic", topic)).removeprefix("nps.")
    if topic not in TOPICS:
        raise BadEvent(f"{line.place}: letter {letter.offset} lay on {letter.death.topic}: no event is written there")
    if told != topic:
        raise BadEvent(f"{line.place}: letter {letter.offset} lay on {topic}, not on {told!r}: it stays there")
    try:
        event = event_of(fields, TOPICS[topic])
    except BadEvent as error:
        raise BadEvent(f"{line.place}: {error}") from None
    _require_same(letter, event, line, codec)
    return letter._replace(key=key_of(event), value=codec.encode(event))


def as_line(letter: Letter, codec: Codec) -> str:
    """Write a letter as the line to edit; of a record that cannot be read its text, which is to be replaced.

    Raises RegistryAway.
    """
    event = event_of_letter(letter, codec)
    fields: dict[str, Any] = {"letter": letter.offset, "topic": letter.death.topic.removeprefix("nps.")}
    if event is None:
        fields["unreadable"] = (letter.value or b"")[:_SHOWN_BYTES].decode(errors="backslashreplace")
    else:
        fields |= event._asdict()
    return json.dumps(fields, default=dict)


def _require_same(letter: Letter, event: Inbound, line: CorrectedLine, codec: Codec) -> None:
    """Check that the event is the one that died, as far as that can be read.  Raises BadEvent."""
    before = event_of_letter(letter, codec)
    if before is None or isinstance(before, Wakeup):
        return
    for name in IDENTITY[1:]:
        was = getattr(before, name, "")
        if was and was != getattr(event, name):
            raise BadEvent(f"{line.place}: {name} was {was!r} and must stay: by source and id a copy is known")


def _line(text: str, place: str) -> CorrectedLine:
    if len(text) > _LONGEST_LINE:
        raise BadEvent(f"{place}: is longer than {_LONGEST_LINE} characters: no event is")
    try:
        fields: Any = json.loads(text)
    except json.JSONDecodeError as error:
        raise BadEvent(f"{place}: not JSON: {error.msg} at column {error.colno}") from None
    except (ValueError, RecursionError) as error:
        raise BadEvent(f"{place}: {error}") from None
    if not isinstance(fields, dict):
        raise BadEvent(f"{place}: expected a JSON object")
    letter = fields.pop("letter", None)
    if type(letter) is not int or letter < 0:
        raise BadEvent(f"{place}: expected the letter's number, as `nps deadletters list` shows it - at `$.letter`")
    return CorrectedLine(place, letter, fields)
