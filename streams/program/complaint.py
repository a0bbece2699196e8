"""Complaints about the program file, and the search for the lines they are about."""

import re

import msgspec

from schemas.display import nearest
from streams.program.file import keys_at

_PATH = re.compile(r" - at `(?:key in )?\$(.*)`$")


class Contradiction(ValueError):
    """Two places of the file that cannot both hold: `path` and `other`, as in 'rules[0].on'."""

    def __init__(self, message: str, path: str, other: str) -> None:
        super().__init__(message)
        self.path = path
        self.other = other


def error_at(message: str, path: str) -> msgspec.ValidationError:
    """An error that names the place in the file, in the form of msgspec's own."""
    return msgspec.ValidationError(f"{message} - at `$.{path}`")


def located(error: ValueError | msgspec.ValidationError, text: str, name: str) -> str:
    """The complaint as one line of text: file, line number and message; of a contradiction the other line too."""
    if isinstance(error, Contradiction):
        line, other_line = line_of(text, error.path, ""), line_of(text, error.other, "")
        return f"{name}:{line}: {error}, line {other_line}"
    found = _PATH.search(str(error))
    path, message = found[1] if found else "", _PATH.sub("", str(error))
    line = line_of(text, path, message)
    if unknown := re.search(r"unknown field `(.*)`", message):
        message = f"there is no key {unknown[1]!r} here{nearest(unknown[1], keys_at(path))}"
    return f"{name}:{line}: {message}"


def line_of(text: str, path: str, message: str) -> int:
    """Number, from 1, of the line of the path's last key or, without a path, of a word quoted in the message."""
    lines = text.splitlines()
    quoted = re.findall(r"[`']([^`']+)[`']", message)
    unknown = quoted[-1:] if "unknown field" in message else []
    dotted = re.match(r"[a-z]+\.[a-z_]+", message)
    keys = re.findall(r"([^.\[\]]+)(?![^\[]*\])|\[(\d+)\]", path or (dotted[0] if dotted else ""))
    start, table = 0, ""
    for key, index in [*keys, *((word, "") for word in unknown)]:
        if index:
            headers = [i for i, line in enumerate(lines) if i >= start and line.strip().startswith(f"[[{table}")]
            start = headers[int(index)] if int(index) < len(headers) else start
        else:
            table = key
            start = next((i for i in range(start, len(lines)) if _has_key(lines[i], key)), start)
    if not keys and not unknown:
        start = max((i for i, line in enumerate(lines) if any(f'"{word}"' in line for word in quoted)), default=start)
    return start + 1


def _has_key(line: str, key: str) -> bool:
    uncommented = line.split("#", 1)[0]
    return bool(re.search(rf"(^|[\[.{{,\s]){re.escape(key)}\s*[\]=.]", uncommented))
