"""Complaints about the program file, and the lines they are about."""

import re

import msgspec

_WHERE = re.compile(r" - at `(?:key in )?\$(.*)`$")


class Contradiction(ValueError):
    """Two places of the file that cannot both hold."""

    def __init__(self, message: str, path: str, other: str) -> None:
        super().__init__(message)
        self.path = path
        self.other = other


def wrong(message: str, path: str) -> msgspec.ValidationError:
    """An error that says where, as msgspec's own do."""
    return msgspec.ValidationError(f"{message} - at `$.{path}`")


def located(error: ValueError | msgspec.ValidationError, text: str, name: str) -> str:
    """The complaint in one line: file, line, what; of a contradiction the other line too."""
    if isinstance(error, Contradiction):
        here, there = line_of(text, error.path, ""), line_of(text, error.other, "")
        return f"{name}:{here}: {error}, line {there}"
    found = _WHERE.search(str(error))
    message = _WHERE.sub("", str(error))
    return f"{name}:{line_of(text, found.group(1) if found else '', message)}: {message}"


def line_of(text: str, path: str, message: str) -> int:
    """The line a complaint is about: the path's last key, or else a word quoted in the message."""
    lines = text.splitlines()
    quoted = re.findall(r"[`']([^`']+)[`']", message)
    unknown = quoted[-1:] if "unknown field" in message else []
    dotted = re.match(r"[a-z]+\.[a-z_]+", message)
    keys = re.findall(r"([^.\[\]]+)(?![^\[]*\])|\[(\d+)\]", path or (dotted[0] if dotted else ""))
    start = 0
    for key, index in [*keys, *((word, "") for word in unknown)]:
        if index:
            heads = [i for i, line in enumerate(lines) if i >= start and line.strip().startswith("[[")]
            start = heads[int(index)] if int(index) < len(heads) else start
        else:
            start = next((i for i in range(start, len(lines)) if _names(lines[i], key)), start)
    if not keys and not unknown:
        start = max((i for i, line in enumerate(lines) if any(f'"{word}"' in line for word in quoted)), default=start)
    return start + 1


def _names(line: str, key: str) -> bool:
    bare = line.split("#", 1)[0]
    return bool(re.search(rf"(^|[\[.{{,\s]){re.escape(key)}\s*[\]=.]", bare))
