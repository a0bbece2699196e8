"""Position map of a TOML text: the line of every table, key and array element, by its path.

`tomllib` reads values and forgets where they stood.  This scanner finds only where they stand; it expects a text that
`tomllib` has read, and checks nothing.  A path holds keys and, for elements of arrays, their places from 0.
"""

import tomllib
from bisect import bisect_right
from typing import TypeAlias

TomlPath: TypeAlias = tuple[str | int, ...]

_SPACE = " \t"
_BLANK = " \t\n"


def positions(text: str) -> dict[TomlPath, int]:
    """Find the line, from 1, of every path of a TOML text."""
    return _Scanner(text.replace("\r\n", "\n")).scan()


def line_of(lines: dict[TomlPath, int], path: TomlPath) -> int:
    """Line of a path, or of the nearest table or array around it; 1 where nothing is known."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


class _Scanner:
    """Reader of one text, from its beginning to its end."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line_ends = [at for at, letter in enumerate(text) if letter == "\n"]
        self._lines: dict[TomlPath, int] = {}
        self._last_index: dict[TomlPath, int] = {}

    def scan(self) -> dict[TomlPath, int]:
        table: TomlPath = ()
        while self._skip_to_next():
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
        return self._lines

    def _header(self) -> TomlPath:
        brackets = 2 if self._text.startswith("[[", self._at) else 1
        line = self._line()
        self._at += brackets
        keys = self._keys()
        self._at += brackets
        path: TomlPath = ()
        for number, key in enumerate(keys, 1):
            path = self._noted((*path, key), line)
            if path in self._last_index and not (brackets == 2 and number == len(keys)):
                path = (*path, self._last_index[path])
        if brackets == 2:
            self._last_index[path] = self._last_index.get(path, -1) + 1
            path = self._noted((*path, self._last_index[path]), line)
        return path

    def _pair(self, table: TomlPath) -> None:
        line, path = self._line(), table
        for key in self._keys():
            path = self._noted((*path, key), line)
        self._at += 1  # the sign
        self._value(path)

    def _value(self, path: TomlPath) -> None:
        self._skip(_SPACE)
        letter = self._text[self._at]
        if letter in "\"'":
            self._string()
        elif letter in "[{":
            self._at += 1
            self._inside(path, is_array=letter == "[")
        else:
            end = len(self._text)
            self._at = next((at for at in range(self._at, end) if self._text[at] in ",]}#\n"), end)

    def _inside(self, path: TomlPath, *, is_array: bool) -> None:
        index = 0
        while self._skip_to_next() and self._text[self._at] not in "]}":
            if self._text[self._at] == ",":
                self._at += 1
            elif is_array:
                self._value(self._noted((*path, index), self._line()))
                index += 1
            else:
                self._pair(path)
        self._at += 1

    def _keys(self) -> list[str]:
        """Read a key, of several parts where it has dots."""
        keys = []
        while True:
            self._skip(_SPACE)
            start = self._at
            if self._text[start] in "\"'":
                self._string()
                keys.append(next(iter(tomllib.loads(f"{self._text[start : self._at]} = 0"))))
            else:
                while self._text[self._at] not in " \t.=]":
                    self._at += 1
                keys.append(self._text[start : self._at])
            self._skip(_SPACE)
            if self._text[self._at] != ".":
                return keys
            self._at += 1

    def _string(self) -> None:
        """Pass over a text in quotes of any kind."""
        quote = self._text[self._at]
        mark = quote * 3 if self._text.startswith(quote * 3, self._at) else quote
        self._at += len(mark)
        while not self._text.startswith(mark, self._at):
            self._at += 2 if quote == '"' and self._text[self._at] == "\\" else 1
        self._at += len(mark)
        while len(mark) == 3 and self._text.startswith(quote, self._at):  # quotes that the text itself ends with
            self._at += 1

    def _skip_to_next(self) -> bool:
        """Pass over blanks and comments; False at the end."""
        self._skip(_BLANK)
        while self._text.startswith("#", self._at):
            end = self._text.find("\n", self._at)
            self._at = len(self._text) if end < 0 else end
            self._skip(_BLANK)
        return self._at < len(self._text)

    def _skip(self, letters: str) -> None:
        while self._at < len(self._text) and self._text[self._at] in letters:
            self._at += 1

    def _line(self) -> int:
        return bisect_right(self._line_ends, self._at - 1) + 1

    def _noted(self, path: TomlPath, line: int) -> TomlPath:
        self._lines.setdefault(path, line)
        return path
