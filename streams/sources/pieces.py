"""Pieces of a mapping file: tables, words, places and conditions, each checked where it stands."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from schemas.display import nearest
from streams.sources import language
from streams.sources.language import Place, Requirement, Scalar
from streams.sources.positions import TomlPath

MOST_WORDS = 1_000
"""The most elements of a list in a mapping file."""

LONGEST_POINTER = 64
"""The most tokens of a pointer."""

_TESTS = ("not", "exists", "at_least", "starts", "differs_from")
_ESCAPE = re.compile(r"~(?![01])")


class MappingFault(ValueError):
    """A fault of a mapping file, at a path of its TOML."""

    def __init__(self, message: str, path: TomlPath) -> None:
        super().__init__(message)
        self.path = path


def require_keys(table: Mapping[str, Any], path: TomlPath, known: Iterable[str], required: Iterable[str]) -> None:
    """Refuse unknown keys, with the nearest known one, and missing ones.  Raises MappingFault."""
    known = list(known)
    for key in table:
        if key not in known:
            raise MappingFault(f"there is no key {key!r} here{nearest(key, known)}", (*path, key))
    for key in required:
        if key not in table:
            raise MappingFault(f"{key!r} is missing", path)


def text_at(table: Mapping[str, Any], path: TomlPath, key: str) -> str:
    """Text of a key.  Raises MappingFault for any other value and for empty text."""
    value = table[key]
    if not isinstance(value, str) or not value:
        raise MappingFault("must be text", (*path, key))
    return value


def one_of(table: Mapping[str, Any], path: TomlPath, key: str, words: Collection[str]) -> str | None:
    """Word of a key that takes one of a closed list; None where the key is left out.  Raises MappingFault."""
    if key not in table:
        return None
    word = text_at(table, path, key)
    if word not in words:
        raise MappingFault(f"{word!r} is none of {', '.join(words)}{nearest(word, words)}", (*path, key))
    return word


def word_list(table: Mapping[str, Any], path: TomlPath, key: str) -> list[str]:
    """Texts of a key that takes a list of them.  Raises MappingFault."""
    words = list_of(table[key], (*path, key))
    for number, word in enumerate(words):
        if not isinstance(word, str) or not word:
            raise MappingFault("must be text", (*path, key, number))
    return words


def list_of(value: object, path: TomlPath) -> list[Any]:
    """A list of one element or more.  Raises MappingFault."""
    if not isinstance(value, list) or not value:
        raise MappingFault("must be a list", path)
    if len(value) > MOST_WORDS:
        raise MappingFault(f"has more than {MOST_WORDS} elements", path)
    return value


def scalar(value: object, path: TomlPath) -> Scalar:
    """Text, a whole number, true or false.  Raises MappingFault."""
    if isinstance(value, (str, int)) and value != "":
        return value
    raise MappingFault("must be text, a whole number, true or false", path)


def is_place(text: str) -> bool:
    """True for text that is a pointer rather than itself."""
    return text.startswith(("/", "./", "@")) or text == "."


def place_of(value: object, path: TomlPath, *, in_element: bool = False, has_envelope: bool = True) -> Place:
    """Read a place.  Raises MappingFault for text that is none, and for `./` where there is no element."""
    if not isinstance(value, str) or not (is_place(value) or value == ""):
        raise MappingFault("must be a place: /a/b in the record, ./b in an element, @header/..., @key ...", path)
    if value.startswith("@"):
        return _special(value, path, has_envelope=has_envelope)
    if not value.startswith("."):
        return Place(language.ROOT, _tokens(value, path), value)
    if not in_element:
        raise MappingFault(f"{value!r} needs `each`: there is no element here", path)
    return Place(language.ITEM, _tokens(value[1:], path), value)


def _special(text: str, path: TomlPath, *, has_envelope: bool) -> Place:
    kind, slash, rest = text.partition("/")
    kinds = (language.HEADER, language.KEY, language.RECORD, language.ENVELOPE)
    if kind not in kinds:
        raise MappingFault(f"{kind!r} is none of {', '.join(kinds)}{nearest(kind, kinds)}", path)
    if kind == language.KEY:
        if slash:
            raise MappingFault("the key is text: @key has nothing inside", path)
        return Place(kind, (), text)
    if not rest:
        raise MappingFault(f"{kind}/ what?  A name is missing", path)
    if kind == language.HEADER:
        return Place(kind, (rest.lower(),), text)
    if kind == language.RECORD and rest not in language.RECORD_FIELDS:
        known = language.RECORD_FIELDS
        raise MappingFault(f"{rest!r} is none of {', '.join(known)}{nearest(rest, known)}", path)
    if kind == language.ENVELOPE and not has_envelope:
        raise MappingFault("there is no envelope: set `envelope`", path)
    return Place(kind, _tokens(f"/{rest}", path), text)


def _tokens(pointer: str, path: TomlPath) -> tuple[str, ...]:
    """Tokens of a JSON Pointer (RFC 6901)."""
    if _ESCAPE.search(pointer):
        raise MappingFault("~ must be written ~0, and / within a key ~1", path)
    if pointer.count("/") > LONGEST_POINTER:
        raise MappingFault(f"a pointer has {LONGEST_POINTER} parts at most", path)
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])


def requirements(value: object, path: TomlPath, *, in_element: bool, has_envelope: bool) -> tuple[Requirement, ...]:
    """Read the conditions of `when` or `where`.  Raises MappingFault."""
    if not isinstance(value, dict) or not value:
        raise MappingFault("must be a table of places and what must be there", path)
    scope = {"in_element": in_element, "has_envelope": has_envelope}
    return tuple(
        _requirement(place_of(key, (*path, key), **scope), wanted, (*path, key), scope) for key, wanted in value.items()
    )


def _requirement(place: Place, wanted: object, path: TomlPath, scope: Mapping[str, bool]) -> Requirement:
    if not isinstance(wanted, dict):
        return Requirement(place, any_of=_scalars(wanted, path))
    if not wanted:
        raise MappingFault(f"must hold one of {', '.join(_TESTS)}", path)
    require_keys(wanted, path, _TESTS, ())
    exists, at_least = wanted.get("exists"), wanted.get("at_least")
    if exists is not None and not isinstance(exists, bool):
        raise MappingFault("must be true or false", (*path, "exists"))
    if at_least is not None and (isinstance(at_least, bool) or not isinstance(at_least, (int, Decimal))):
        raise MappingFault("must be a number", (*path, "at_least"))
    if isinstance(at_least, Decimal) and not at_least.is_finite():
        raise MappingFault("must be a finite number", (*path, "at_least"))
    other = wanted.get("differs_from")
    starts = _scalars(wanted["starts"], (*path, "starts")) if "starts" in wanted else None
    if starts is not None and not all(isinstance(text, str) for text in starts):
        raise MappingFault("must be text", (*path, "starts"))
    return Requirement(
        place,
        none_of=_scalars(wanted["not"], (*path, "not")) if "not" in wanted else None,
        exists=exists,
        at_least=None if at_least is None else Decimal(at_least),
        starts=None if starts is None else tuple(map(str, starts)),
        differs_from=None if other is None else place_of(other, (*path, "differs_from"), **scope),
    )


def _scalars(value: object, path: TomlPath) -> tuple[Scalar, ...]:
    if not isinstance(value, list):
        return (scalar(value, path),)
    return tuple(scalar(element, (*path, number)) for number, element in enumerate(list_of(value, path)))


def texts(values: Sequence[Scalar]) -> frozenset[str]:
    """Texts of scalars, as record values are compared with them."""
    return frozenset(str(value).lower() if isinstance(value, bool) else str(value) for value in values)
