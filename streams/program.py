"""Reads the program file, `nps.toml`: checked, hashed, with errors that name the line.

BadProgram   the file is wrong; the message is one line: file, line, what and what to do
"""

import hashlib
import re
import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated

import msgspec

from streams.domain.policy import AlertPolicy, Limits, Program, Rule
from streams.domain.rolling import Window

UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(r"(\d+)(ms|s|m|h|d)")
_WHERE = re.compile(r" - at `(?:key in )?\$(.*)`$")


class BadProgram(ValueError):
    """The program file is wrong."""


class _Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    survey: str
    on: list[str]
    delay: str
    expires: str
    where: dict[str, list[str]] = {}
    cancel_on: list[str] = []


class _Quarantine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    any: str
    surveys: dict[str, str] = {}


class _Segments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    dimensions: list[str] = []
    combinations: list[list[str]] = []


class _Windows(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    lengths: list[str]
    minimum_n: Annotated[int, msgspec.Meta(ge=0)] = 30


class _Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    late: str
    early: str
    edit: str
    hold: str
    remember: str
    confirm: str = "30s"


class _Alerts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    critical_max: int
    error_max: int
    warning_max: int


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rules: list[_Rule]
    quarantine: _Quarantine
    segments: _Segments
    windows: _Windows
    limits: _Limits
    alerts: _Alerts


def load(path: Path | None = None) -> Program:
    """The program in this file, or the one that ships with the pipeline.  Raises BadProgram."""
    if path is None:
        return parse((resources.files("streams") / "nps.toml").read_text(encoding="utf-8"), "nps.toml")
    try:
        return parse(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise BadProgram(f"{path}: cannot be read ({error.strerror}); set NPS_PROGRAM to a program file") from None
    except UnicodeDecodeError as error:
        raise BadProgram(f"{path}: byte {error.start} is not UTF-8; save the program file as UTF-8") from None


def parse(text: str, name: str) -> Program:
    """The program in this text; `name` is the file's name for errors.  Raises BadProgram."""
    try:
        file = msgspec.convert(tomllib.loads(text), _File)
        return _program(file)
    except tomllib.TOMLDecodeError as error:
        message, _, where = str(error).partition(" (at ")
        line = re.match(r"line (\d+)", where)
        raise BadProgram(f"{name}:{line[1] if line else max(1, len(text.splitlines()))}: {message}") from None
    except msgspec.ValidationError as error:
        found = _WHERE.search(str(error))
        message = _WHERE.sub("", str(error))
        raise BadProgram(f"{name}:{_line_of(text, found.group(1) if found else '', message)}: {message}") from None
    except ValueError as error:
        raise BadProgram(f"{name}:{_line_of(text, '', str(error))}: {error}") from None


def duration_ms(text: str) -> int:
    """'90d' in milliseconds.  Raises ValueError for anything but a whole number and a unit."""
    if not (match := _DURATION.fullmatch(text)):
        raise ValueError(f"{text!r} is no duration: write a whole number and one of {', '.join(UNITS_MS)}, as in '90d'")
    return int(match[1]) * UNITS_MS[match[2]]


def _program(file: _File) -> Program:
    _check_names(file)
    canonical = msgspec.json.encode(file, order="sorted")
    quarantines = file.quarantine.surveys.items()
    return Program(
        rules=tuple(_rule(rule, f"rules[{index}]") for index, rule in enumerate(file.rules)),
        quarantine_ms=_ms(file.quarantine.any, "quarantine.any"),
        survey_quarantine_ms={name: _ms(text, f"quarantine.surveys.{name}") for name, text in quarantines},
        dimensions=tuple(file.segments.dimensions),
        combinations=tuple(tuple(combination) for combination in file.segments.combinations),
        windows=tuple(Window(text, _ms(text, "windows.lengths")) for text in file.windows.lengths),
        minimum_n=file.windows.minimum_n,
        limits=Limits(
            late_ms=_ms(file.limits.late, "limits.late"),
            early_ms=_ms(file.limits.early, "limits.early"),
            edit_ms=_ms(file.limits.edit, "limits.edit"),
            hold_ms=_ms(file.limits.hold, "limits.hold"),
            remember_ms=_ms(file.limits.remember, "limits.remember"),
            confirm_ms=_ms(file.limits.confirm, "limits.confirm"),
        ),
        alerts=AlertPolicy(file.alerts.critical_max, file.alerts.error_max, file.alerts.warning_max),
        hash=hashlib.sha256(canonical).hexdigest()[:12],
    )


def _rule(rule: _Rule, path: str) -> Rule:
    delay_ms, expires_ms = _ms(rule.delay, f"{path}.delay"), _ms(rule.expires, f"{path}.expires")
    try:
        return Rule(
            name=rule.name,
            survey=rule.survey,
            on=frozenset(rule.on),
            where={name: frozenset(values) for name, values in rule.where.items()},
            delay_ms=delay_ms,
            expires_ms=expires_ms,
            cancel_on=frozenset(rule.cancel_on),
        )
    except ValueError as error:
        raise _wrong(str(error), f"{path}.expires") from None


def _check_names(file: _File) -> None:
    """Refuse what would count twice or silently do nothing."""
    combinations, surveys = file.segments.combinations, {rule.survey for rule in file.rules}
    lists = {"segments.dimensions": file.segments.dimensions, "windows.lengths": file.windows.lengths}
    for path, words in lists.items():
        if len(set(words)) < len(words):
            raise _wrong(f"{words} names something twice", path)
    for combination in combinations:
        if not combination or len(set(combination)) < len(combination) or combinations.count(combination) > 1:
            raise _wrong(f"{combination} is empty or there twice; 'all' is always there", "segments.combinations")
    if unknown := sorted(set(file.quarantine.surveys) - surveys):
        raise _wrong(f"no rule asks for the survey {unknown[0]!r}", f"quarantine.surveys.{unknown[0]}")


def _ms(text: str, path: str) -> int:
    try:
        return duration_ms(text)
    except ValueError as error:
        raise _wrong(str(error), path) from None


def _wrong(message: str, path: str) -> msgspec.ValidationError:
    """An error that says where, as msgspec's own do."""
    return msgspec.ValidationError(f"{message} - at `$.{path}`")


def _line_of(text: str, path: str, message: str) -> int:
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
