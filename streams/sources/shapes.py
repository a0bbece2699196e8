"""Shapes of records: which places a mapping reads, so that the decoder makes nothing of the rest.

msgspec reads a 6.6 KB order into a struct of the places that are wanted in a third of the time that all of it takes.
A value that does not fit the shape, such as a list where an object was, is read whole and found by plain walking, with
the same result.
"""

import re
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, Final, TypeAlias

import msgspec

ELEMENT: Final = None
"""Token of a path for every element of an array."""

Token: TypeAlias = str | None
Getter: TypeAlias = Callable[[Any], Any]

_MOST_INDEXES = 3
_MOST_SHAPES = 2_000
_UNSHAPEABLE = re.compile(r'[\x00-\x1f"\\]')
"""Keys that are escaped in JSON: no struct has such a field, so what is around them is read whole."""

_SCALARS: Any = str | int | float | bool | None


class Shape:
    """Parts of a value that are read: `children` by key, `elements` of an array, or all of it (`is_leaf`)."""

    __slots__ = ("children", "elements", "is_leaf")

    def __init__(self) -> None:
        self.children: dict[str, Shape] = {}
        self.elements: Shape | None = None
        self.is_leaf = False

    def add(self, path: Sequence[Token], *, is_read: bool = True, indexes: int = 0) -> None:
        """Add a place, of which the value is read or only what other places find in it.

        A token that may be an index is read as a key too, unless there are too many of them.
        """
        if not path or indexes > _MOST_INDEXES:
            self.is_leaf = self.is_leaf or is_read or bool(path)
            return
        token, rest = path[0], path[1:]
        if token is not ELEMENT and _UNSHAPEABLE.search(token):
            self.is_leaf = True
            return
        is_index = token is not ELEMENT and index_of(token) is not None
        if token is not ELEMENT:
            self.children.setdefault(token, Shape()).add(rest, is_read=is_read, indexes=indexes + is_index)
        if token is ELEMENT or is_index:
            self.elements = self.elements or Shape()
            self.elements.add(rest, is_read=is_read, indexes=indexes + is_index)

    def at(self, path: Sequence[Token]) -> "Shape | None":
        """The shape of the value at a path; None where all of something around it is read."""
        shape: Shape | None = self
        for token in path:
            if shape is None or shape.is_leaf:
                return None
            shape = shape.elements if token is ELEMENT else shape.children.get(token)
        return None if shape is None or shape.is_leaf else shape

    def attribute(self, token: str) -> str:
        """Name of a key's field in the struct of this shape."""
        return f"f{list(self.children).index(token)}"

    def count(self) -> int:
        """Number of shapes in this one."""
        inner = [*self.children.values(), *([self.elements] if self.elements else [])]
        return 1 + sum(shape.count() for shape in inner)

    def type(self) -> Any:
        """The type for msgspec's decoder that reads this and passes over the rest."""
        if self.is_leaf:
            return Any
        found: Any = _SCALARS | (list if self.elements is None else list[self.elements.type()])  # type: ignore[misc]
        if not self.children:
            return found | dict
        fields = [(f"f{number}", child.type(), msgspec.UNSET) for number, child in enumerate(self.children.values())]
        names = {f"f{number}": key for number, key in enumerate(self.children)}
        return found | msgspec.defstruct("Wanted", fields, rename=names, gc=False)


def decoder_of(shape: Shape, float_hook: Callable[[str], Any]) -> "msgspec.json.Decoder[Any] | None":
    """Make the decoder that reads a shape; None where reading everything does as well."""
    if shape.is_leaf or shape.count() > _MOST_SHAPES:
        return None
    return msgspec.json.Decoder(shape.type(), float_hook=float_hook)


def index_of(token: str) -> int | None:
    """The index that a token of a pointer may be; None for one that can only be a key."""
    if token.isascii() and token.isdigit() and (token == "0" or token[0] != "0") and len(token) < 10:
        return int(token)
    return None


def getter(path: Sequence[str], shape: Shape | None) -> Getter:
    """Make a function that finds the value at a path in a value that was read as `shape` or whole.

    Where there is none it returns None or UNSET, or raises AttributeError.
    """
    names: list[tuple[str, int | None]] = []
    for token in path:
        if shape is None or shape.is_leaf:
            break
        names.append((shape.attribute(token), index_of(token)))
        shape = shape.children[token]
    rest = [(token, index_of(token)) for token in path[len(names) :]]
    if not names:
        return _walker(rest)
    typed = _typed(names)
    if not rest:
        return typed
    plain = _walker(rest)
    return lambda value: plain(typed(value))


def _walker(steps: Sequence[tuple[str, int | None]]) -> Getter:
    def walk(value: Any) -> Any:
        for key, index in steps:
            if type(value) is dict:
                value = value.get(key)
            elif type(value) is list and index is not None and index < len(value):
                value = value[index]
            else:
                return None
        return value

    return walk


def _typed(steps: Sequence[tuple[str, int | None]]) -> Getter:
    if any(index is not None for _, index in steps):
        return _typed_walker(steps)
    return attrgetter(".".join(name for name, _ in steps))


def _typed_walker(steps: Sequence[tuple[str, int | None]]) -> Getter:
    def walk(value: Any) -> Any:
        for name, index in steps:
            if type(value) is list:
                value = value[index] if index is not None and index < len(value) else None
            else:
                value = getattr(value, name, None)
        return value

    return walk
