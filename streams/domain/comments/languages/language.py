"""Knowledge of one language: a few hundred word stems, as `streams.domain.comments.stems` matches them."""

from collections.abc import Mapping
from dataclasses import dataclass

THEMES = ("delivery", "quality", "support", "price", "ease")
"""The themes that ship."""


@dataclass(frozen=True, slots=True)
class Language:
    """A language.  Stems are folded: without accents, in lower case.

    `common` are function words that tell it from others, `negations` turn what follows within three words round.
    `good` and `bad` are praise and blame.  `expected` is what goes without saying, as arriving, and is blame when it is
    negated; `gone` is blame's absence, as in "no problems".  `themes` has the stems of each of THEMES.
    """

    code: str
    common: tuple[str, ...]
    negations: tuple[str, ...]
    good: tuple[str, ...]
    bad: tuple[str, ...]
    expected: tuple[str, ...]
    themes: Mapping[str, tuple[str, ...]]


def stems(text: str) -> tuple[str, ...]:
    """Split a text at its commas into stems."""
    return tuple(" ".join(stem.split()) for stem in text.split(",") if stem.strip())
