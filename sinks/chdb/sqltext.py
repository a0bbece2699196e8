"""Splitter of SQL text: a script into its statements, an INSERT from the data posted behind it.

Quoted strings, quoted names and comments are stepped over whole, so a semicolon or a keyword inside one means nothing.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

_TOKEN = re.compile(
    rb"""
      (?P<space>\s+|--[^\n]*|\#[ !][^\n]*|/\*.*?\*/)
    | (?P<quoted>'(?:[^'\\]|\\.|'')*'|`(?:[^`\\]|\\.)*`|"(?:[^"\\]|\\.)*"|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
    | (?P<word>[A-Za-z_]\w*)
    | (?P<mark>.)
    """,
    re.DOTALL | re.VERBOSE,
)
_BEFORE_DATA = re.compile(rb"[ \t\f]*;?[ \t\f]*\r?\n?")
_WITHOUT_DATA = {b"SELECT", b"WITH", b"VALUES", b"INFILE", b"WATCH"}


@dataclass(frozen=True, slots=True)
class Insert:
    """An INSERT whose data follows the statement: `head` ends before FORMAT."""

    head: str
    format: str
    data: memoryview


def statements(text: str) -> list[str]:
    """Split a script into its statements, without their semicolons; comments alone are no statement."""
    parts, start, has_code = [], 0, False
    raw = text.encode()
    for token in _TOKEN.finditer(raw):
        if token["mark"] == b";":
            if has_code:
                parts.append(raw[start : token.start()].decode().strip())
            start, has_code = token.end(), False
        elif token["space"] is None:
            has_code = True
    if has_code:
        parts.append(raw[start:].decode().strip())
    return parts


def insert_with_data(query: bytes) -> Insert | None:
    """Split an INSERT from its posted data; None for a statement that carries none (INSERT … SELECT, SELECT, DDL)."""
    words = _top_level_words(query)
    if next(words, (b"", 0, 0))[0] != b"INSERT":
        return None
    for word, start, _ in words:
        if word in _WITHOUT_DATA:
            return None
        if word == b"FORMAT":
            name, begin, end = next(words, (b"", 0, 0))
            gap = _BEFORE_DATA.match(query, end)
            data = memoryview(query)[gap.end() if gap else end :]
            return Insert(query[:start].decode(), query[begin:end].decode(), data) if name else None
    return None


def writes_a_file(query: bytes) -> bool:
    """True for a query INTO OUTFILE, which a server leaves to its clients; the engine itself would write the file."""
    words = [word for word, _, _ in _top_level_words(query)]
    return (b"INTO", b"OUTFILE") in pairwise(words)


def _top_level_words(query: bytes) -> Iterator[tuple[bytes, int, int]]:
    depth = 0
    for token in _TOKEN.finditer(query):
        if token["mark"] in (b"(", b")"):
            depth += 1 if token["mark"] == b"(" else -1
        elif token["word"] and depth == 0:
            yield token["word"].upper(), token.start(), token.end()
