"""Judgement of comments: themes and sentiment, by word stems, or the sentiment by what was learnt from own answers."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from streams.domain.comments.languages import LANGUAGES
from streams.domain.comments.reading import CommentReader, Findings
from streams.domain.comments.regression import Model
from streams.domain.comments.sentiment import Sentiment, weighed
from streams.domain.comments.words import words_of

ThemeStems = Mapping[str, Mapping[str, Sequence[str]]]
"""Themes by name, each with its stems by language."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Judgement of a comment: its themes by name, its sentiment, and how sure that is, from 0 to 1."""

    themes: tuple[str, ...]
    sentiment: Sentiment
    confidence: float


class CommentJudge:
    """Judge of comments, by the themes of a program and the model that it names, if any.

    `hash` tells by what a comment was judged: it changes with the themes, the words that ship, and the model.
    """

    def __init__(self, themes: ThemeStems | None = None, model: Model | None = None) -> None:
        """Compile the themes, those that ship unless others are given.  Raises ValueError for a stem that is none."""
        chosen = shipped() if themes is None else themes
        self._readers = {code: CommentReader(language, _of(chosen, code)) for code, language in LANGUAGES.items()}
        self._languages = _Languages(self._readers)
        self._model = model
        self.hash = _hash(chosen, model)

    def judge(self, comment: str) -> Judgement:
        """Judge a comment by its first MOST_CHARACTERS, whatever they are."""
        words = words_of(comment)
        reading = self._languages.read(words)
        sentiment, confidence = weighed(reading) if self._model is None else self._model.sentiment(words)
        return Judgement(reading.themes, sentiment, confidence)


def shipped() -> dict[str, dict[str, tuple[str, ...]]]:
    """Themes that ship, each with its stems by language."""
    names = dict.fromkeys(name for language in LANGUAGES.values() for name in language.themes)
    return {name: {code: language.themes[name] for code, language in LANGUAGES.items()} for name in names}


class _Languages:
    """Languages of comments: the one of most function words is taken, and where several have as many, of most words."""

    def __init__(self, readers: Mapping[str, CommentReader]) -> None:
        self._readers = readers
        found: dict[str, list[str]] = {}
        for code, language in LANGUAGES.items():
            for word in language.common:
                found.setdefault(word.removesuffix("$"), []).append(code)
        self._common = found

    def read(self, words: Sequence[str]) -> Findings:
        counts = dict.fromkeys(self._readers, 0)
        for word in words:
            for code in self._common.get(word, ()):
                counts[code] += 1
        most = max(counts.values())
        readings = [self._readers[code].read(words) for code, count in counts.items() if count == most]
        return max(readings, key=lambda reading: reading.known)


def _of(themes: ThemeStems, code: str) -> dict[str, Sequence[str]]:
    return {name: by_language.get(code, ()) for name, by_language in themes.items()}


def _hash(themes: ThemeStems, model: Model | None) -> str:
    words = {code: (one.common, one.negations, one.good, one.bad, one.expected) for code, one in LANGUAGES.items()}
    text = json.dumps([themes, words, model.hash if model else ""], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
