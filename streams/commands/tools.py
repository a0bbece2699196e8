"""Commands that only read: `nps query`, `nps config`."""

import argparse
import codecs
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from schemas.display import printable
from streams import program
from streams import settings as all_settings
from streams.commands.session import cell, out, read_settings, set_logging_up, show, table_of
from streams.commands.warehouse import warehouse_of
from streams.errors import ExitCode
from streams.settings import Settings

FORMATS = {"csv": "CSVWithNames", "json": "JSONEachRow"}
"""ClickHouse's name of each format of `nps query`, besides the table."""


def query(parsed: argparse.Namespace) -> int:
    """Ask ClickHouse and print a table, CSV or an object a line; nothing is changed unless asked for."""
    settings = read_settings()
    with closing(warehouse_of(settings)) as warehouse:
        if parsed.format in FORMATS:
            _copy(warehouse.stream(parsed.sql, FORMATS[parsed.format], writes=parsed.write))
            return ExitCode.OK
        names, rows = warehouse.table(parsed.sql, writes=parsed.write)
    table = table_of(*names)
    for row in rows:
        table.add_row(*map(cell, row))
    show(table)
    return ExitCode.OK


def _copy(pieces: Iterator[bytes]) -> None:
    """Copy bytes to stdout as they are; to a terminal, as text that moves no cursor."""
    if sys.stdout.isatty():
        for text in codecs.iterdecode(pieces, "utf-8", errors="backslashreplace"):
            sys.stdout.write(printable(text, keep="\n"))
    else:
        sys.stdout.buffer.writelines(pieces)


def config(_: argparse.Namespace) -> int:
    """Show every setting and the program, also when a setting is wrong; that is said in the end."""
    set_logging_up()
    path = Path(os.environ["NPS_PROGRAM"]) if os.environ.get("NPS_PROGRAM") else None
    rules = program.load(path)
    meanings = {name: meaning for name, _, meaning in all_settings.rows()}
    table = table_of("setting", "value", "meaning")
    for name, value in all_settings.shown(os.environ):
        table.add_row(name, cell(value), meanings[name])
    show(table)
    table = table_of("rule", "asks", "after", "delay", "open for", "not when")
    for rule in rules.rules:
        words = (rule.name, rule.survey, _listed(rule.on), _duration(rule.delay_ms), _duration(rule.expires_ms))
        table.add_row(*map(cell, words), cell(_listed(rule.cancel_on)))
    show(table)
    out.print(f"program {path or 'nps.toml (as shipped)'}, hash {rules.hash}, {len(rules.rules)} rules")
    Settings.from_env(os.environ)
    return ExitCode.OK


def _listed(words: Iterable[str]) -> str:
    return ", ".join(sorted(words))


def _duration(ms: int) -> str:
    """Format a duration as the program file has it, in its largest whole unit."""
    unit = max(
        (unit for unit, unit_ms in program.UNITS_MS.items() if ms % unit_ms == 0), key=program.UNITS_MS.__getitem__
    )
    return f"{ms // program.UNITS_MS[unit]}{unit}" if ms else "0s"
