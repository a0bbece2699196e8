"""Reader of the program file, `nps.toml`: checks it, hashes it and names the line of an error.

BadProgram   the file is wrong; the message is one line: file, line, the fault and its remedy
"""

import hashlib
import re
import tomllib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import msgspec
from iso4217 import Currency

from streams.domain.bands import ANY_CURRENCY, Banding
from streams.domain.incidents.rules import Option
from streams.domain.policy import AlertPolicy, Cap, CustomerBounds, FallPolicy, Limits, Program
from streams.domain.windows import Window
from streams.errors import BadProgram
from streams.program import file
from streams.program.brand import brand_of
from streams.program.comments import comments_of
from streams.program.complaint import error_at, located
from streams.program.contradictions import check
from streams.program.duration import UNITS_MS, duration_ms, ms_at
from streams.program.oncall import oncall_of
from streams.program.rules import rule

__all__ = ["UNITS_MS", "BadProgram", "duration_ms", "load", "load_receivers", "parse"]


def load(path: Path | None = None) -> Program:
    """Read the program in this file, or the one that ships with the pipeline.  Raises BadProgram."""
    return parse(*_text(path))


def load_receivers(path: Path | None = None) -> dict[str, dict[str, Option]]:
    """Read the tables `[receivers.NAME]` of this program file, or of the one that ships.  Raises BadProgram."""
    text, name = _text(path)
    return _tables(text, name).receivers


def parse(text: str, name: str) -> Program:
    """Parse the text of a program file; `name` is the file's name for errors.  Raises BadProgram."""
    tables = _tables(text, name)
    try:
        return _program(tables, Path(name).parent)
    except ValueError as error:
        raise BadProgram(located(error, text, name)) from None


def _text(path: Path | None) -> tuple[str, str]:
    """Text and name of a program file, or of the one that ships.  Raises BadProgram."""
    if path is None:
        return (resources.files("streams") / "nps.toml").read_text(encoding="utf-8"), "nps.toml"
    try:
        return path.read_text(encoding="utf-8"), str(path)
    except OSError as error:
        raise BadProgram(f"{path}: cannot be read ({error.strerror}); set NPS_PROGRAM to a program file") from None
    except UnicodeDecodeError as error:
        raise BadProgram(f"{path}: byte {error.start} is not UTF-8; save the program file as UTF-8") from None


def _tables(text: str, name: str) -> file.ProgramFile:
    try:
        return msgspec.convert(tomllib.loads(text), file.ProgramFile)
    except tomllib.TOMLDecodeError as error:
        message, _, position = str(error).partition(" (at ")
        line = re.match(r"line (\d+)", position)
        raise BadProgram(f"{name}:{line[1] if line else max(1, len(text.splitlines()))}: {message}") from None
    except ValueError as error:  # msgspec's own are such too
        raise BadProgram(located(error, text, name)) from None


def _program(tables: file.ProgramFile, folder: Path) -> Program:
    check(tables)
    hash_ = _hash(tables)
    quarantines, channels = tables.quarantine.surveys.items(), tables.channels.items()
    return Program(
        rules=tuple(rule(table, tables.sending, f"rules[{index}]") for index, table in enumerate(tables.rules)),
        quarantine_ms=ms_at(tables.quarantine.any, "quarantine.any"),
        survey_quarantine_ms={name: ms_at(text, f"quarantine.surveys.{name}") for name, text in quarantines},
        dimensions=tuple(tables.segments.dimensions),
        combinations=tuple(tuple(combination) for combination in tables.segments.combinations),
        windows=_windows(tables.windows.lengths, "windows.lengths"),
        minimum_n=tables.windows.minimum_n,
        limits=_limits(tables.limits),
        alerts=AlertPolicy(tables.alerts.critical_max, tables.alerts.error_max, tables.alerts.warning_max),
        segments_at_most=tables.segments.at_most,
        hash=hash_,
        caps={name: Cap(table.at_most, ms_at(table.every, f"channels.{name}.every")) for name, table in channels},
        events=frozenset(tables.events.types),
        placeholders=frozenset(text.strip().casefold() for text in tables.events.placeholders),
        customer=CustomerBounds(
            tables.customer.scheduled, tables.customer.invitations, tables.customer.triggers, tables.customer.held
        ),
        brand=brand_of(tables.brand, folder),
        bands={name: _bands(table, f"segments.bands.{name}") for name, table in tables.segments.bands.items()},
        falls=_falls(tables.drops) if tables.drops else None,
        oncall=oncall_of(tables, hash_),
        comments=comments_of(tables.comments, tables.themes, folder),
    )


def _bands(table: file.BandsTable, path: str) -> Banding:
    begin = table.begin if isinstance(table.begin, dict) else {ANY_CURRENCY: table.begin}
    if unknown := sorted(set(begin) - {ANY_CURRENCY, *(currency.code for currency in Currency)}):
        raise error_at(f"{unknown[0]!r} is no currency of ISO 4217", f"{path}.begin.{unknown[0]}")
    try:
        return Banding(table.of, tuple(table.names), {currency: tuple(edges) for currency, edges in begin.items()})
    except ValueError as error:
        raise error_at(str(error), path) from None


def _windows(lengths: Sequence[str], path: str) -> tuple[Window, ...]:
    return tuple(Window(text, ms_at(text, path)) for text in lengths)


def _falls(table: file.DropsTable) -> FallPolicy:
    windows = _windows(table.windows, "drops.windows")
    return FallPolicy(windows, table.false_alerts_a_year, table.segments, table.ignore)


def _hash(tables: file.ProgramFile) -> str:
    """Hash of all that decides anything: what a page looks like, where receivers are and what comments say does not."""
    deciding = msgspec.structs.replace(tables, brand=None, receivers={}, comments=None, themes={})
    return hashlib.sha256(msgspec.json.encode(deciding, order="sorted")).hexdigest()[:12]


def _limits(table: file.LimitsTable) -> Limits:
    return Limits(
        late_ms=ms_at(table.late, "limits.late"),
        early_ms=ms_at(table.early, "limits.early"),
        edit_ms=ms_at(table.edit, "limits.edit"),
        park_ms=ms_at(table.hold, "limits.hold"),
        remember_ms=ms_at(table.remember, "limits.remember"),
        confirm_ms=ms_at(table.confirm, "limits.confirm"),
    )
