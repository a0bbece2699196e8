"""Texts of the collector's page, one TOML file a language beside this module, and the choice of the language.

To add a language, add its file, named like `en.toml` by the two letters of ISO 639-1.
"""

import tomllib
from importlib import resources
from typing import NamedTuple


class Texts(NamedTuple):
    """The sentences of one language; `{score}` and `{about}`, the company or what it is asked about, are replaced."""

    language: str
    question: str
    question_about: str
    lowest: str
    highest: str
    thanks: str
    scored: str
    reason: str
    send: str
    change: str
    done: str
    closed: str
    closed_more: str
    wait: str
    wait_more: str
    again: str
    again_more: str

    @property
    def is_right_to_left(self) -> bool:
        """True for a language that is written from right to left."""
        return self.language in _RIGHT_TO_LEFT


def parse_texts(language: str, toml: str) -> Texts:
    """Parse a language's file.  Raises ValueError that names the keys that are missing, unknown or no sentences."""
    try:
        texts = tomllib.loads(toml)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{language}.toml: {error}") from None
    faults = [f"key {key!r} is {'unknown' if key in texts else 'missing'}" for key in sorted(texts.keys() ^ _KEYS)]
    faults += [f"key {key!r} is no sentence" for key, text in texts.items() if not isinstance(text, str) or not text]
    faults += [
        f"key {key!r} must say {word}" for key, word in _REPLACED.items() if word not in str(texts.get(key, word))
    ]
    if faults:
        raise ValueError(f"{language}.toml: {', '.join(faults)}")
    return Texts(language, **texts)


_RIGHT_TO_LEFT = frozenset({"ar", "dv", "fa", "he", "ku", "ps", "sd", "ug", "ur", "yi"})
_REPLACED = {"scored": "{score}", "question_about": "{about}"}
_KEYS = frozenset(Texts._fields) - {"language"}


def _shipped_texts() -> dict[str, Texts]:
    files = {file.name: file for file in resources.files(__name__).iterdir() if file.name.endswith(".toml")}
    languages = [name.removesuffix(".toml") for name in sorted(files)]
    return {name: parse_texts(name, files[f"{name}.toml"].read_text(encoding="utf-8")) for name in languages}


TEXTS = _shipped_texts()
"""Texts by language.  Read and checked at import, so that a wrong file ends the collector before it starts."""


def texts_for(locale: str, accept_language: str) -> Texts:
    """Texts in the language of the survey's locale, else in the first that the browser accepts, else in English."""
    for tag in (locale, *_accepted_tags(accept_language)):
        if texts := TEXTS.get(tag.replace("_", "-").partition("-")[0].strip().lower()):
            return texts
    return TEXTS["en"]


def _accepted_tags(header: str) -> list[str]:
    """Language tags of an Accept-Language header, the preferred first (RFC 9110, section 12.5.4)."""
    weighted = []
    for place, part in enumerate(header[:500].split(",")):
        tag, _, weight = part.partition(";")
        try:
            quality = float(weight.strip().removeprefix("q=")) if weight else 1.0
        except ValueError:
            quality = 0.0
        weighted.append((-quality, place, tag.strip()))
    return [tag for quality, _, tag in sorted(weighted) if quality < 0]
