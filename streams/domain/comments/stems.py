"""Word stems: the beginnings of words, alone or one after another, each with what it stands for.

`reembols` matches every word that begins with it, `app$` the word alone, `money back` two words one after another.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Generic, NamedTuple, TypeVar

from streams.domain.comments.words import BREAK, folded, words_of

Meaning = TypeVar("Meaning")

MOST_WORDS = 4
"""Words that a stem may have."""

LONGEST_CHARACTERS = 64
"""Characters that a stem may have."""

KNOWN_WORDS = 4_096
"""Words whose stems are remembered: most words of comments are few."""


class Found(NamedTuple, Generic[Meaning]):
    """A stem that was found: how many `words` and `characters` it has, and what it stands for."""

    words: int
    characters: int
    meaning: Meaning


class Stems(Generic[Meaning]):
    """Stems that are looked for all at once: a word costs a look-up for each length that stems begin with."""

    def __init__(self, meanings: Iterable[tuple[str, Meaning]]) -> None:
        """Take stems with their meanings; one stem may have several.  Raises ValueError for a stem that is none."""
        self._first = _Level[Meaning]()
        for stem, meaning in meanings:
            words = checked(stem).split()
            self._first.add(words, Found(len(words), len(stem), meaning))
        self._known = lru_cache(KNOWN_WORDS)(self._first.nodes)

    def at(self, words: Sequence[str], position: int) -> Sequence[Found[Meaning]]:
        """Find the stems that begin with the word at this position."""
        found: list[Found[Meaning]] = []  # list[...]() takes as long as all else here
        for node in self._known(words[position]):
            found += node.complete
            if node.following is not None:
                node.following.collect(words, position + 1, found)
        return found


class _Node(Generic[Meaning]):
    """A word of stems: those that are `complete` with it, and what may follow it."""

    __slots__ = ("complete", "following")

    def __init__(self) -> None:
        self.complete: list[Found[Meaning]] = []
        self.following: _Level[Meaning] | None = None


class _Level(Generic[Meaning]):
    """Words of stems at one place of them."""

    def __init__(self) -> None:
        self._nodes: dict[str, _Node[Meaning]] = {}
        self._lengths: list[int] = []

    def add(self, words: Sequence[str], found: Found[Meaning]) -> None:
        node = self._nodes.setdefault(words[0], _Node())
        self._lengths = sorted({len(word) for word in self._nodes if not word.endswith("$")})
        if len(words) == 1:
            node.complete.append(found)
        else:
            node.following = node.following or _Level()
            node.following.add(words[1:], found)

    def nodes(self, word: str) -> Sequence[_Node[Meaning]]:
        """Find the nodes that match a word."""
        beginnings = [word[:length] for length in self._lengths if length <= len(word)]
        return [self._nodes[one] for one in (*beginnings, f"{word}$") if one in self._nodes]

    def collect(self, words: Sequence[str], position: int, found: list[Found[Meaning]]) -> None:
        """Add the stems that go on with the word at this position."""
        if position < len(words):
            for node in self.nodes(words[position]):
                found += node.complete
                if node.following is not None:
                    node.following.collect(words, position + 1, found)


def checked(stem: str) -> str:
    """Fold a stem as words are.  Raises ValueError for one that matches no word, or nearly any."""
    words = folded(stem).split()
    if not 1 <= len(words) <= MOST_WORDS or len(stem) > LONGEST_CHARACTERS:
        raise ValueError(f"a stem has 1 to {MOST_WORDS} words and {LONGEST_CHARACTERS} characters, not {stem!r}")
    for word in words:
        if words_of(bare := word.removesuffix("$")) != [bare] or bare == BREAK:
            raise ValueError(f"a stem is letters and digits, each word ended by $ where it is whole, not {stem!r}")
    return " ".join(words)
