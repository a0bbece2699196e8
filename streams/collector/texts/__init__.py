"""What the collector's page says, one TOML file a language beside this module, and which language to speak.

To add a language, add its file, named like `en.toml` by the two letters of ISO 639-1.
"""

import tomllib
from importlib import resources
from typing import NamedTuple


class Texts(NamedTuple):
    """The sentences of one language; `{score}` is replaced."""

    language: str
    question: str
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


def parsed(language: str, toml: str) -> Texts:
    """Read a language's file.  Raises ValueError naming file and keys where one is missing, unknown or no sentence."""
    try:
        given = tomllib.loads(toml)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{language}.toml: {error}") from None
    wrong = [f"key {key!r} is {'unknown' if key in given else 'missing'}" for key in sorted(given.keys() ^ _KEYS)]
    wrong += [f"key {key!r} is no sentence" for key, text in given.items() if not isinstance(text, str) or not text]
    if wrong:
        raise ValueError(f"{language}.toml: {', '.join(wrong)}")
    return Texts(language, **given)


_KEYS = frozenset(Texts._fields) - {"language"}


def _shipped() -> dict[str, Texts]:
    files = {file.name: file for file in resources.files(__name__).iterdir() if file.name.endswith(".toml")}
    languages = [name.removesuffix(".toml") for name in sorted(files)]
    return {name: parsed(name, files[f"{name}.toml"].read_text(encoding="utf-8")) for name in languages}


TEXTS = _shipped()
"""By language.  Read and checked when this module is imported, so a wrong file ends the collector before it starts."""


def chosen(locale: str, accept_language: str) -> Texts:
    """The survey's locale if we speak its language, else the first that the browser accepts, else English."""
    for tag in (locale, *_accepted(accept_language)):
        if found := TEXTS.get(tag.replace("_", "-").partition("-")[0].strip().lower()):
            return found
    return TEXTS["en"]


def _accepted(header: str) -> list[str]:
    """Language tags, most wanted first (RFC 9110, section 12.5.4)."""
    wanted = []
    for place, part in enumerate(header[:500].split(",")):
        tag, _, weight = part.partition(";")
        try:
            quality = float(weight.strip().removeprefix("q=")) if weight else 1.0
        except ValueError:
            quality = 0.0
        wanted.append((-quality, place, tag.strip()))
    return [tag for quality, _, tag in sorted(wanted) if quality < 0]
