"""`nps schemas check`: a new version of a record reads what every older version wrote, and loses nothing of it."""

import argparse
from pathlib import Path

from schemas import compatibility
from schemas.compatibility import BadSchema, SchemaFile
from streams.commands.session import out
from streams.errors import ExitCode


def check(parsed: argparse.Namespace) -> int:
    """Compare schemas and print each fault with file and field; returns 0 when there is none."""
    files = [compatibility.read(Path(name)) for name in parsed.files]
    if files:
        lines = compatibility.faults(_older_than(files[-1], files[:-1]), files[-1])
    else:
        files = compatibility.released()
        lines = compatibility.faults_of_releases(files, compatibility.manifest())
    for line in lines:
        out.print(line, soft_wrap=True)
    out.print(f"{len(files)} schemas checked, {len(lines)} faults")
    return ExitCode.BAD_SETTINGS if lines else ExitCode.OK


def _older_than(new: SchemaFile, told: list[SchemaFile]) -> list[SchemaFile]:
    """The versions before a new one: those told, else all others of its record that ship.  Raises BadSchema."""
    known = compatibility.released()
    older = told or [one for one in known if one.record == new.record and one.digest != new.digest]
    if not older and all(one.record != new.record for one in known):
        raise BadSchema(f"{new.file}: {new.record} is no record that ships: name the older versions before it")
    return older
