"""What the README says is what the code does."""

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from streams.commands.reference import written
from streams.engine.config import EngineConfig
from streams.program import load
from streams.settings import rows

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = sorted(
    set(re.findall(r"(?<![/\w])nps ([a-z]+)", "\n".join(re.findall(r"(?:^\$ .*|`nps [^`]*`)", README, re.MULTILINE))))
)


def test_reference_tables_are_written_from_the_code() -> None:
    """Settings, topics, metrics, reasons and exit codes: `make readme` would change nothing."""
    assert written(README) == README


def test_a_changed_table_is_noticed() -> None:
    """The comparison can fail: a table altered by hand is written anew."""
    altered = README.replace("`NPS_BROKERS`", "`NPS_KAFKA`")
    assert altered != README
    assert written(altered) == README


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_in_the_readme_exists(command: str) -> None:
    """Each `nps` command that the README names is taken by the parser and has an example."""
    shown = subprocess.run(
        [sys.executable, "-m", "streams.cli", command, "--help"], capture_output=True, text=True, check=False
    )
    assert shown.returncode == 0, shown.stderr
    assert "example:" in shown.stdout


@pytest.mark.parametrize("target", sorted(set(re.findall(r"(?:\$ |`)make (\w+)", README))))
def test_every_make_target_in_the_readme_exists(target: str) -> None:
    """Each `make` target that the README names is in the Makefile."""
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#h][^)#]*)\)", README))))
def test_every_file_the_readme_links_to_exists(link: str) -> None:
    """No link of the README leads nowhere."""
    assert (ROOT / link).exists()


def test_every_setting_in_the_readme_exists() -> None:
    """A setting that is named can be set, also in the table of exit codes; no field of ours passes for one."""
    settings = {name for name, *_ in rows()}
    named = set(re.findall(r"\b(NPS_[A-Z_]+)\b", README))
    assert named
    of_receivers = {name for name in named if name.startswith("NPS_RECEIVER_")}
    assert named - of_receivers <= settings
    own = {field.name for field in fields(EngineConfig)}
    assert set(re.findall(r"`(\w+_(?:ms|s|bytes))`", README)) & own == set()


def test_the_bounds_are_those_of_the_program() -> None:
    """Each key of the table of bounds has the default that the table says."""
    rows = re.findall(r"^\| [^|]+ \| ([\d,]+) \| `(customer|segments)\.(\w+)` \|", README, re.MULTILINE)
    program = load()
    defaults = {"segments.at_most": program.segments_at_most}
    defaults |= {f"customer.{field.name}": getattr(program.customer, field.name) for field in fields(program.customer)}
    assert {f"{table}.{key}": int(number.replace(",", "")) for number, table, key in rows} == defaults
