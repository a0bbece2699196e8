"""Reader of `[comments]` and `[themes.NAME]`: what comments are about, and the model that judges their sentiment."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from streams.domain.comments.judging import shipped
from streams.domain.comments.languages import LANGUAGES
from streams.domain.comments.stems import checked
from streams.domain.policy import CommentPolicy
from streams.program.complaint import error_at
from streams.program.file import CommentsTable, ThemeTable

MOST_THEMES = 50
MOST_STEMS = 1_000
"""Stems of a theme in one language."""

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_HASH = re.compile(r"[0-9a-f]{12}")


def comments_of(table: CommentsTable | None, themes: Mapping[str, ThemeTable], folder: Path) -> CommentPolicy:
    """Check the tables and put them over what ships; the model's path is relative to `folder`.

    Raises ValidationError for the place.
    """
    merged: dict[str, dict[str, Sequence[str]]] = {name: {**stems} for name, stems in shipped().items()}
    for name, theme in themes.items():
        if not _NAME.fullmatch(name):
            raise error_at(f"{name!r} is no name of a theme: letters a-z, digits, - and _, at most 32", "themes")
        merged.setdefault(name, {}).update(_stems(name, theme))
    if len(merged) > MOST_THEMES:
        raise error_at(f"there are {len(merged)} themes, {MOST_THEMES} at most", "themes")
    if table is None:
        return CommentPolicy(merged)
    if not _HASH.fullmatch(table.model_hash):
        raise error_at("model_hash is the 12 letters that `nps comments fit` printed", "comments.model_hash")
    return CommentPolicy(merged, str(folder / table.model), table.model_hash)


def _stems(name: str, theme: ThemeTable) -> dict[str, Sequence[str]]:
    found: dict[str, Sequence[str]] = {}
    for code in LANGUAGES:
        stems = getattr(theme, code)
        if stems is None:
            continue
        try:
            found[code] = [checked(stem) for stem in stems[: MOST_STEMS + 1]]
        except ValueError as error:
            raise error_at(str(error), f"themes.{name}.{code}") from None
        if len(stems) > MOST_STEMS:
            raise error_at(f"{len(stems)} stems, {MOST_STEMS} at most", f"themes.{name}.{code}")
    return found
