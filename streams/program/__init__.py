"""Reads the program file, `nps.toml`: checked, hashed, with errors that name the line.

BadProgram   the file is wrong; the message is one line: file, line, what and what to do
"""

import hashlib
import re
import tomllib
from importlib import resources
from pathlib import Path

import msgspec

from streams.domain.policy import AlertPolicy, Cap, Limits, Program
from streams.domain.windows import Window
from streams.errors import BadProgram
from streams.program import file
from streams.program.complaint import located
from streams.program.contradictions import check
from streams.program.duration import UNITS_MS, duration_ms, ms_at
from streams.program.rules import rule

__all__ = ["UNITS_MS", "BadProgram", "duration_ms", "load", "parse"]


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
        return _program(msgspec.convert(tomllib.loads(text), file.ProgramFile))
    except tomllib.TOMLDecodeError as error:
        message, _, where = str(error).partition(" (at ")
        line = re.match(r"line (\d+)", where)
        raise BadProgram(f"{name}:{line[1] if line else max(1, len(text.splitlines()))}: {message}") from None
    except ValueError as error:  # msgspec's own are such too
        raise BadProgram(located(error, text, name)) from None


def _program(said: file.ProgramFile) -> Program:
    check(said)
    quarantines = said.quarantine.surveys.items()
    return Program(
        rules=tuple(rule(each, said.sending, f"rules[{index}]") for index, each in enumerate(said.rules)),
        quarantine_ms=ms_at(said.quarantine.any, "quarantine.any"),
        survey_quarantine_ms={name: ms_at(text, f"quarantine.surveys.{name}") for name, text in quarantines},
        dimensions=tuple(said.segments.dimensions),
        combinations=tuple(tuple(combination) for combination in said.segments.combinations),
        windows=tuple(Window(text, ms_at(text, "windows.lengths")) for text in said.windows.lengths),
        minimum_n=said.windows.minimum_n,
        limits=_limits(said.limits),
        alerts=AlertPolicy(said.alerts.critical_max, said.alerts.error_max, said.alerts.warning_max),
        hash=hashlib.sha256(msgspec.json.encode(said, order="sorted")).hexdigest()[:12],
        caps={
            name: Cap(cap.at_most, ms_at(cap.every, f"channels.{name}.every")) for name, cap in said.channels.items()
        },
        events=frozenset(said.events.types),
    )


def _limits(said: file.LimitsTable) -> Limits:
    return Limits(
        late_ms=ms_at(said.late, "limits.late"),
        early_ms=ms_at(said.early, "limits.early"),
        edit_ms=ms_at(said.edit, "limits.edit"),
        park_ms=ms_at(said.hold, "limits.hold"),
        remember_ms=ms_at(said.remember, "limits.remember"),
        confirm_ms=ms_at(said.confirm, "limits.confirm"),
    )
