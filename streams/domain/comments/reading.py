"""Reading of a comment in one language: its themes, its words of praise and blame, and how many words are known."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from streams.domain.comments.languages.language import Language
from streams.domain.comments.stems import Found, Stems
from streams.domain.comments.words import BREAK

NEGATED_WORDS = 3
"""Words behind a negation that it turns round, punctuation aside: it ends there."""

StemKind = Literal["common", "negation", "good", "bad", "expected", "theme"]


class StemMeaning(NamedTuple):
    """Meaning of a stem; `name` is a theme's."""

    kind: StemKind
    name: str = ""


class Findings(NamedTuple):
    """Findings in a comment: themes by name, pieces of praise and of blame, and the words that are known."""

    themes: tuple[str, ...]
    good: int
    bad: int
    known: int


class CommentReader:
    """Reader of comments in one language."""

    def __init__(self, language: Language, themes: Mapping[str, Sequence[str]]) -> None:
        """Compile the stems of a language and of the themes in it.  Raises ValueError for a stem that is none."""
        kinds: Sequence[tuple[StemKind, Sequence[str]]] = (
            ("common", language.common),
            ("negation", language.negations),
            ("good", language.good),
            ("bad", language.bad),
            ("expected", language.expected),
        )
        words = [(stem, StemMeaning(kind)) for kind, stems in kinds for stem in stems]
        named = [(stem, StemMeaning("theme", name)) for name, stems in themes.items() for stem in stems]
        self._stems = Stems([*words, *named])

    def read(self, words: Sequence[str]) -> Findings:
        """Read the words of a comment."""
        themes = set[str]()
        good = bad = known = 0
        negated_until = told_until = -1
        for position, word in enumerate(words):
            if word == BREAK:
                negated_until = -1
                continue
            if not (found := self._stems.at(words, position)):
                continue
            known += 1
            telling, is_negation = None, False
            for one in found:
                kind, name = one.meaning
                if kind == "theme":
                    themes.add(name)
                elif kind == "negation":
                    is_negation = True
                elif kind != "common" and (telling is None or one.characters > telling.characters):
                    telling = one
            if telling is not None and position >= told_until:
                told_until = position + telling.words
                kind = _negated(telling, found) if position <= negated_until else telling.meaning.kind
                good += kind == "good"
                bad += kind == "bad"
            if is_negation:
                negated_until = position + NEGATED_WORDS
        return Findings(tuple(sorted(themes)), good, bad, known)


def _negated(told: Found[StemMeaning], found: Sequence[Found[StemMeaning]]) -> StemKind:
    """Kind of a negated word: denied blame is praise; denied praise is blame, and so is what was expected in vain."""
    if told.meaning.kind == "bad" and not any(one.meaning.kind == "expected" for one in found):
        return "good"
    return "bad"
