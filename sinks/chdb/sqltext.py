"""Splitter of SQL text: a script into its statements, an INSERT from its posted data, a type into its arguments.

Quoted strings, quoted names and comments are stepped over whole, so a semicolon or a keyword inside one means nothing.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, pairwise

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
_READING = {b"SELECT", b"WITH", b"SHOW", b"DESCRIBE", b"DESC", b"EXPLAIN", b"EXISTS", b"UNION", b"FORMAT", b""}
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


def first_words(query: bytes) -> tuple[bytes, bytes]:
    """Return the first two words of a statement in capitals, empty where there are none; they say what it does."""
    words = (word for word, _, _ in _top_level_words(query))
    return next(words, b""), next(words, b"")


def reads_only(query: bytes) -> bool:
    """True for a statement that changes neither data nor session; one in parentheses has no first word."""
    words = (word for word, _, _ in _top_level_words(query))
    first = next(words, b"")
    return first in _READING and (first != b"WITH" or b"INSERT" not in words)


def uses_a_file(query: bytes) -> bool:
    """True for INTO OUTFILE and FROM INFILE, which are for clients; the engine itself would write or read the file."""
    words = [word for word, _, _ in _top_level_words(query)]
    return not {(b"INTO", b"OUTFILE"), (b"FROM", b"INFILE")}.isdisjoint(pairwise(words))


def split_arguments(text: str) -> tuple[str, list[str]]:
    """Split `Map(String, Array(UInt8))` into its name and the arguments in its parentheses."""
    raw, parts, depth, start = text.encode(), [], 0, 0
    for token in _TOKEN.finditer(raw):
        mark = token["mark"]
        depth -= mark == b")"
        if (depth == 1 and mark == b",") or (depth == 0 and mark in (b"(", b")")):
            parts.append(raw[start : token.start()].decode().strip())
            start = token.end()
        depth += mark == b"("
    return (parts[0], [part for part in parts[1:] if part]) if parts else (text, [])


def qualified_targets(grant: str, database: str) -> str:
    """Put the database before each table without one of `GRANT … ON table`, as the engine does where it is current."""
    raw, pieces, start = grant.encode(), [], 0
    tokens = [token for token in _TOKEN.finditer(raw) if not token["space"]]
    behind: list[re.Match[bytes] | None] = [*islice(tokens, 2, None), None]
    for word, target, after in zip(tokens, islice(tokens, 1, None), behind, strict=False):
        if (word["word"] or b"").upper() == b"ON" and (after is None or after["mark"] != b"."):
            pieces.append(raw[start : target.start()] + f"`{database.replace('`', '``')}`.".encode())
            start = target.start()
    return b"".join([*pieces, raw[start:]]).decode()


def replaced_words(query: str, word: str, text: str) -> str:
    """Put a text in the place of each bare word, but for one that belongs to a longer name."""
    raw, wanted, pieces, start = query.encode(), word.encode().upper(), [], 0
    for token in _TOKEN.finditer(raw):
        around = raw[token.start() - 1 : token.start()] + raw[token.end() : token.end() + 1]
        if token["word"] and token["word"].upper() == wanted and b"." not in around:
            pieces.append(raw[start : token.start()] + text.encode())
            start = token.end()
    return b"".join([*pieces, raw[start:]]).decode()


def replaced_table(query: str, database: str, table: str, text: str) -> str:
    """Put a text in the place of each `database.table` that is read from."""
    raw, pieces, start = query.encode(), [], 0
    tokens = [token for token in _TOKEN.finditer(raw) if not token["space"]]
    for reads, first, dot, second in zip(tokens, tokens[1:], tokens[2:], tokens[3:], strict=False):
        named = (first.group(), dot.group(), second.group()) == (database.encode(), b".", table.encode())
        if named and (reads["word"] or b"").upper() in (b"FROM", b"JOIN"):
            pieces.append(raw[start : first.start()] + text.encode())
            start = second.end()
    return b"".join([*pieces, raw[start:]]).decode()


def _top_level_words(query: bytes) -> Iterator[tuple[bytes, int, int]]:
    depth = 0
    for token in _TOKEN.finditer(query):
        if token["mark"] in (b"(", b")"):
            depth += 1 if token["mark"] == b"(" else -1
        elif token["word"] and depth == 0:
            yield token["word"].upper(), token.start(), token.end()
