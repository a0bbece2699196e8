"""Dead letters on a terminal: a line each for a list, or whole with their story; no more is kept than is shown."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from schemas.codec import Codec
from schemas.events import Record
from schemas.reasons import Reason
from streams.commands.fates import Fates, actions
from streams.commands.letters import Letter, Selection, event_of, selected
from streams.commands.session import cell, moment, out
from streams.kafka.ports import Reader

_LONGEST_WORD, _LONGEST_DETAIL, _LONGEST_VALUE, _MOST_HEADERS = 256, 2_000, 4_096, 20
Cells = tuple[str, ...]
"""Words that a list has for a letter."""


def listed(letter: Letter, fates: Fates) -> Cells:
    """Lay a letter out for a list: its number, when it died and why, where it lay, its size, state and detail."""
    death = letter.death
    place = (cut(death.topic), str(death.partition), str(death.offset), str(len(letter.value or b"")))
    told = (str(letter.offset), moment(letter.at_ms), cut(death.reason))
    return (*told, *place, fates.of(letter.identity), death.detail[:_LONGEST_DETAIL])


def whole(letter: Letter, codec: Codec) -> Table:
    """Lay a letter out: why and where it died, and its record, of an event each field."""
    death, event = letter.death, event_of(letter, codec)
    rows: list[tuple[str, object]] = [
        ("letter", letter.offset),
        ("died", f"{moment(letter.at_ms)}: {cut(death.reason)}, {_meaning(death.reason)}"),
        ("detail", death.detail[:_LONGEST_DETAIL]),
        ("lay at", f"{cut(death.topic)} partition {death.partition} offset {death.offset}"),
        ("key", _text(letter.key)),
        *((f"header {cut(name)}", _text(value)) for name, value in letter.headers[:_MOST_HEADERS]),
    ]
    if event is None:
        rows.append(("value", _text(letter.value)))
    else:
        rows += [(name, str(value)[:_LONGEST_VALUE]) for name, value in event._asdict().items()]
    table = Table.grid(padding=(0, 2))
    for name, value in rows:
        table.add_row(cell(name), cell(value))
    return table


def print_event(topic: str, event: Record) -> None:
    """Print an event field by field, maps as JSON and the time with its day."""
    out.print(f"  {topic}")
    for name, value in event._asdict().items():
        if value is not None and value != {}:
            out.print(f"    {name:<14} {cell(_shown(name, value))}", soft_wrap=True, highlight=False)


def _shown(name: str, value: Any) -> str:
    if name == "time":
        return f"{value} ({moment(value)} UTC)"
    return value if isinstance(value, str) else json.dumps(dict(value) if isinstance(value, Mapping) else value)


def story(reader: Reader, codec: Codec, wanted: set[str]) -> Mapping[str, Sequence[str]]:
    """Deaths and fates of these letters, in order of time, by letter.  Raises BrokerAway, RegistryAway."""
    found: dict[str, list[tuple[int, str]]] = {letter_id: [] for letter_id in wanted}
    for letter in selected(reader, codec, Selection()):
        if letter.identity.letter_id in found:
            number = letter.identity.number
            told = f"died {f'again ({number}) ' if number else ''}as letter {letter.offset}: {cut(letter.death.reason)}"
            found[letter.identity.letter_id].append((letter.at_ms, told))
    for action in actions(reader, codec):
        if action.letter_id in found:
            found[action.letter_id].append((action.time, action.action))
    return {
        letter_id: [f"{moment(at_ms)} {told}" for at_ms, told in sorted(lines)] for letter_id, lines in found.items()
    }


def _meaning(reason: str) -> str:
    return next((known.meaning for known in Reason if known == reason), "no reason of ours")


def _text(data: bytes | None) -> str:
    """Bytes as text, as far as they are shown."""
    if data is None:
        return "none"
    rest = f" ... {len(data)} bytes in all" if len(data) > _LONGEST_VALUE else ""
    return data[:_LONGEST_VALUE].decode(errors="backslashreplace") + rest


def cut(word: str) -> str:
    """The beginning of a word of a stranger's, as long as any of ours."""
    return word[:_LONGEST_WORD]
